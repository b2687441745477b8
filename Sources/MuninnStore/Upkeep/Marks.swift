package import MuninnFormat

extension JournalState {
  /// The containers that snapshots need, and those that the minimum age protects at a moment.
  /// Throws `damaged` where that is not known whole.
  package func neededContainers(at nanoseconds: Int64) throws(StoreError) -> Set<Identifier> {
    try ContainerMarks.needed(in: self, at: nanoseconds)
  }
}

/// Which containers the snapshots need, all together: the OR of their sets, as bits.
///
/// The sets are differences to each other, and so a forest. It is walked once, with one set that is
/// changed on the way down and changed back on the way up. Time goes with the differences and with
/// snapshots times containers / 64; memory with containers.
struct ContainerMarks {
  private var ordinals: [Identifier: Int] = [:]
  private var ids: [Identifier] = []
  private var current: [UInt64] = []
  /// By the number of repacks that came before: what the snapshots of that time name.
  private var marks: [Int: [UInt64]] = [:]
  private let repacks: [(removed: [Int], added: [Int])]
  /// By the number of repacks that came before: the containers that a set of that time must not
  /// have, since they, or what stands in their place today, are not live. Empty where nobody asks.
  private var lost: [Int: [UInt64]] = [:]
  /// What the sets of snapshots have of those.
  private var hits: [(snapshot: Identifier, containers: Set<Identifier>, repacksBefore: Int)] = []

  private struct Node {
    let set: ContainerSet
    let repacksBefore: Int
    var children: [Identifier] = []
    var isWanted = false
  }

  private var nodes: [Identifier: Node] = [:]
  private var roots: [Identifier] = []

  /// The containers that the live snapshots of `journal` need, and those that it protects for their
  /// minimum age. Throws `damaged` where a set is not known whole: then nothing can be said to be
  /// needed by nobody.
  static func needed(
    in journal: JournalState, at nanoseconds: Int64
  ) throws(StoreError) -> Set<Identifier> {
    var marks = ContainerMarks(journal)
    let protected = journal.upkeep.protectedSnapshots(at: nanoseconds)
    for id in journal.snapshots.map(\.id) + protected { try marks.add(id, journal) }
    guard marks.walk() == marks.nodes.count else {
      throw StoreError(.damaged, "the container sets of snapshots are differences in a circle")
    }
    return marks.result()
  }

  /// For each live snapshot that lacks some, the containers of its set that are not live. Exact, as
  /// `JournalState.containerSet(of:)` is, for all of them in one walk. A set whose base is lost
  /// counts as if the base were empty.
  static func missing(in journal: JournalState) -> [Identifier: Set<Identifier>] {
    var marks = ContainerMarks(journal)
    // Nothing throws that is lenient.
    for snapshot in journal.snapshots { try? marks.add(snapshot.id, journal, isLenient: true) }
    marks.findLost(journal)
    _ = marks.walk()
    var missing: [Identifier: Set<Identifier>] = [:]
    for hit in marks.hits {
      var set = hit.containers
      for repack in journal.repacks[min(hit.repacksBefore, journal.repacks.count)...]
      where !set.isDisjoint(with: repack.removed) {
        set.subtract(repack.removed)
        set.formUnion(repack.added)
      }
      missing[hit.snapshot] = set.filter { journal.containers[$0] == nil }
    }
    return missing
  }

  /// From the newest repack back: an old container is lost if one that stands in its place is.
  private mutating func findLost(_ journal: JournalState) {
    for node in nodes.values { for id in node.set.added { _ = ordinal(id) } }
    var bits = [UInt64](repeating: 0, count: ids.count / 64 + 1)
    for (ordinal, id) in ids.enumerated() where journal.containers[id] == nil {
      bits[ordinal >> 6] |= 1 << UInt64(ordinal & 63)
    }
    let times = Set(nodes.values.map(\.repacksBefore))
    var time = repacks.count
    while true {
      if times.contains(time) { lost[time] = bits }
      guard time > 0 else { return }
      time -= 1
      let isLost = repacks[time].added.contains { bits[$0 >> 6] >> UInt64($0 & 63) & 1 == 1 }
      for old in repacks[time].removed {
        let bit: UInt64 = 1 << UInt64(old & 63)
        bits[old >> 6] = isLost ? bits[old >> 6] | bit : bits[old >> 6] & ~bit
      }
    }
  }

  /// Notes what a snapshot, at which the walk is, has of lost containers.
  private mutating func noteLost(_ id: Identifier, _ time: Int) {
    guard let lost = lost[time] else { return }
    var found: Set<Identifier> = []
    for word in 0..<min(lost.count, current.count) {
      var rest = lost[word] & current[word]
      while rest != 0 {
        found.insert(ids[word * 64 + rest.trailingZeroBitCount])
        rest &= rest - 1
      }
    }
    if !found.isEmpty { hits.append((id, found, time)) }
  }

  private init(_ journal: JournalState) {
    var ordinals: [Identifier: Int] = [:]
    var ids: [Identifier] = []
    func ordinal(_ id: Identifier) -> Int {
      if let known = ordinals[id] { return known }
      ordinals[id] = ids.count
      ids.append(id)
      return ids.count - 1
    }
    repacks = journal.repacks.map { ($0.removed.map(ordinal), $0.added.map(ordinal)) }
    self.ordinals = ordinals
    self.ids = ids
  }

  /// Adds a snapshot and the chain of those that its set is a difference to.
  private mutating func add(
    _ id: Identifier, _ journal: JournalState, isLenient: Bool = false
  ) throws(StoreError) {
    var next = id
    var child: Identifier?
    while true {
      let isKnown = nodes[next] != nil
      if !isKnown {
        guard let (set, before) = journal.writtenSet(of: next) else {
          if isLenient {
            if let child { roots.append(child) }
            break
          }
          throw StoreError(
            .damaged,
            "the container set of snapshot \(next) is lost, so that nobody can say what snapshots "
              + "need: repair the repository before it is pruned")
        }
        nodes[next] = Node(set: set, repacksBefore: before)
      }
      if let child { nodes[next]?.children.append(child) }
      if isKnown { break }
      child = next
      guard let base = nodes[next]?.set.base else {
        roots.append(next)
        break
      }
      next = base
    }
    nodes[id]?.isWanted = true
  }

  private mutating func ordinal(_ id: Identifier) -> Int {
    if let known = ordinals[id] { return known }
    ordinals[id] = ids.count
    ids.append(id)
    return ids.count - 1
  }

  /// Returns how many snapshots it met.
  private mutating func walk() -> Int {
    var count = 0
    enum Step {
      case enter(Identifier, repacksDone: Int)
      case leave([Int])
    }
    var steps = roots.map { Step.enter($0, repacksDone: 0) }
    while let step = steps.popLast() {
      switch step {
      case .leave(let flipped):
        for ordinal in flipped.reversed() { current[ordinal >> 6] ^= 1 << UInt64(ordinal & 63) }
      case .enter(let id, let repacksDone):
        guard let node = nodes[id] else { continue }
        count += 1
        var flipped: [Int] = []
        // A difference speaks of its base as it was when the difference was written.
        repack(&current, from: repacksDone, upTo: node.repacksBefore, &flipped)
        for id in node.set.removed { set(ordinal(id), to: false, &current, &flipped) }
        for id in node.set.added { set(ordinal(id), to: true, &current, &flipped) }
        if node.isWanted {
          if lost.isEmpty { mark(node.repacksBefore) } else { noteLost(id, node.repacksBefore) }
        }
        steps.append(.leave(flipped))
        let done = max(repacksDone, node.repacksBefore)
        steps += node.children.map { .enter($0, repacksDone: done) }
      }
    }
    return count
  }

  private mutating func mark(_ time: Int) {
    var bits = marks.removeValue(forKey: time) ?? []
    while bits.count < current.count { bits.append(0) }
    for word in current.indices { bits[word] |= current[word] }
    marks[time] = bits
  }

  private func set(_ ordinal: Int, to value: Bool, _ bits: inout [UInt64], _ flipped: inout [Int]) {
    while bits.count <= ordinal >> 6 { bits.append(0) }
    let bit: UInt64 = 1 << UInt64(ordinal & 63)
    guard (bits[ordinal >> 6] & bit != 0) != value else { return }
    bits[ordinal >> 6] ^= bit
    flipped.append(ordinal)
  }

  private func repack(
    _ bits: inout [UInt64], from first: Int, upTo end: Int, _ flipped: inout [Int]
  ) {
    guard first < end else { return }
    for repack in repacks[first..<min(end, repacks.count)] {
      let count = flipped.count
      for ordinal in repack.removed { set(ordinal, to: false, &bits, &flipped) }
      guard flipped.count > count else { continue }
      for ordinal in repack.added { set(ordinal, to: true, &bits, &flipped) }
    }
  }

  /// A repack says the same of a union of sets as of each: so one set is carried through them all.
  private mutating func result() -> Set<Identifier> {
    var bits: [UInt64] = []
    var done = 0
    var flipped: [Int] = []
    for time in marks.keys.sorted() {
      repack(&bits, from: done, upTo: time, &flipped)
      done = time
      guard let more = marks[time] else { continue }
      while bits.count < more.count { bits.append(0) }
      for word in more.indices { bits[word] |= more[word] }
    }
    repack(&bits, from: done, upTo: repacks.count, &flipped)
    var result: Set<Identifier> = []
    for (word, value) in bits.enumerated() {
      var rest = value
      while rest != 0 {
        result.insert(ids[word * 64 + rest.trailingZeroBitCount])
        rest &= rest - 1
      }
    }
    return result
  }
}
