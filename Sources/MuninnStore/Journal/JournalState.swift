package import MuninnFormat

/// Records that could not be read, and why.
package struct JournalGap: Sendable {
  package let numbers: ClosedRange<UInt64>
  package let problem: StoreError
}

/// What the journal's records add up to: the repository's only truth.
///
/// A new operation that changes it needs a line in `apply`, and what it adds a field in
/// `Checkpoint` with a line in `init(_:)` and in `checkpoint()`.
package struct JournalState: Sendable {
  /// The newest record's number; 0 where there is none yet.
  package private(set) var head: UInt64 = 0
  /// SHA-256 of the newest record; zeros where there is none yet.
  package private(set) var headHash = [UInt8](repeating: 0, count: 32)
  /// Whether `headHash` is known: not behind a record that was stepped over.
  private(set) var isHeadKnown = true
  /// Snapshots that were not forgotten, in the order of their commits.
  package private(set) var snapshots: [SnapshotRecord] = []
  /// The live containers.
  package private(set) var containers: [Identifier: ContainerRecord] = [:]
  /// The live index segments.
  package private(set) var segments: [Identifier: SegmentRecord] = [:]
  /// Bytes of all records.
  package private(set) var byteCount: UInt64 = 0
  /// The newest checkpoints, the newest last: a damaged one falls back to the one before.
  package private(set) var checkpoints: [CheckpointRecord] = []
  /// What is on its way out, fenced, held and set.
  package private(set) var upkeep = UpkeepState()
  /// What a reader of the state without the newest checkpoint would have to read.
  private(set) var sinceCheckpoint = (records: 0, bytes: 0)
  /// Records that could not be read. A repository that has any is read, never written.
  package var problems: [StoreError] = []
  /// The records among the problems.
  package private(set) var gaps: [JournalGap] = []
  /// Whether some record was given up: a checkpoint from before may know more than the records.
  private(set) var hasBridges = false
  /// All repacks, in their order.
  package private(set) var repacks: [Repack] = []
  /// How many repacks came before a snapshot's container set was written, where any did: only those
  /// behind it say something about it.
  private var repacksBefore: [Identifier: Int] = [:]

  /// Where in `snapshots` those are that were not forgotten.
  private var places: [Identifier: Int] = [:]
  /// Places of `snapshots` that were forgotten and not taken out yet: one by one that would take
  /// the square of their number.
  private var forgotten: Set<Int> = []
  /// Others may be differences to these.
  private var forgottenSets: [Identifier: ContainerSet] = [:]

  /// Checkpoints whose objects are kept, and a few whose objects may not have been deleted yet.
  static let keptCheckpointCount = 2
  private static let rememberedCheckpointCount = 5

  /// The newest master key that a record was sealed under; 0 where nothing is encrypted.
  var keyEpoch: UInt32 = 0

  package init() {}

  package mutating func apply(_ record: JournalRecord, hash: [UInt8], byteCount: Int) {
    applyUnsettled(record, hash: hash, byteCount: byteCount)
    settle()
  }

  /// Applies a record of many. `settle` has to follow the last.
  mutating func applyUnsettled(_ record: JournalRecord, hash: [UInt8], byteCount: Int) {
    head = record.number
    headHash = hash
    isHeadKnown = true
    self.byteCount += UInt64(byteCount)
    sinceCheckpoint.records += 1
    sinceCheckpoint.bytes += byteCount
    for operation in record.operations { apply(operation, at: record.timeNanoseconds) }
  }

  private mutating func apply(_ operation: JournalOperation, at nanoseconds: Int64) {
    switch operation {
    case .containers(let records):
      for container in records { containers[container.id] = container }
    case .snapshot(let snapshot): insert(snapshot)
    case .forgotten(let ids):
      for id in ids {
        guard let place = places.removeValue(forKey: id) else { continue }
        forgottenSets[id] = snapshots[place].containers
        forgotten.insert(place)
        upkeep.forget(id, at: nanoseconds)
      }
    case .segments(let added, let removed):
      for segment in added { segments[segment.id] = segment }
      for id in removed {
        guard let segment = segments.removeValue(forKey: id) else { continue }
        upkeep.retired[id] = RetiredSegment(id: id, byteCount: segment.byteCount, number: head)
      }
    case .checkpoint(let checkpoint):
      checkpoints.append(checkpoint)
      if checkpoints.count > JournalState.rememberedCheckpointCount {
        checkpoints.removeFirst()
      }
      sinceCheckpoint = (0, 0)
      upkeep.expire(at: nanoseconds)
    case .repacked(let added, let removed):
      for container in added { containers[container.id] = container }
      condemn(removed)
      repacks.append(Repack(added: added.map(\.id), removed: removed))
    case .bridged(let ranges): bridge(ranges)
    case .condemned(let ids): condemn(ids)
    case .rescued(let ids):
      for id in ids {
        guard let condemned = upkeep.condemned.removeValue(forKey: id) else { continue }
        containers[id] = condemned.container
      }
    case .swept(let containers, let segments):
      upkeep.sweep(containers: containers, segments: segments)
    case .fenced(let sessions): upkeep.fenced.formUnion(sessions.map(\.high))
    case .adopted(let records):
      for container in records { containers[container.id] = container }
    case .annotated(let annotations):
      settle()
      for annotation in annotations { annotate(annotation) }
    case .settings(let settings): upkeep.settings = settings
    }
  }

  private mutating func condemn(_ ids: [Identifier]) {
    for id in ids {
      guard let container = containers.removeValue(forKey: id) else { continue }
      upkeep.condemned[id] = CondemnedContainer(container: container, number: head)
    }
  }

  private mutating func annotate(_ annotation: Annotation) {
    guard let place = places[annotation.snapshot] else { return }
    snapshots[place].tags.removeAll { annotation.removedTags.contains($0) }
    for tag in annotation.addedTags where !snapshots[place].tags.contains(tag) {
      snapshots[place].tags.append(tag)
    }
    switch annotation.hold {
    case .unchanged: break
    case .set: upkeep.holds[annotation.snapshot] = annotation.reason
    case .lifted: upkeep.holds[annotation.snapshot] = nil
    }
  }

  /// A repaired snapshot comes right behind the one that it stands for, so that the newest one of
  /// some kind is the last one still.
  private mutating func insert(_ snapshot: SnapshotRecord) {
    // A repair says again what a record said that nobody else can read any more.
    guard places[snapshot.id] == nil else { return }
    if !repacks.isEmpty { repacksBefore[snapshot.id] = repacks.count }
    if let original = snapshot.repairs {
      settle()
      if let place = places[original] {
        snapshots.insert(snapshot, at: place + 1)
        findPlaces()
        return
      }
    }
    places[snapshot.id] = snapshots.count
    snapshots.append(snapshot)
  }

  private mutating func bridge(_ ranges: [BridgedRecords]) {
    hasBridges = true
    // One that bridges itself stands where another was lost: the next does not follow it.
    if ranges.contains(where: { $0.first <= head && head <= $0.last }) { isHeadKnown = false }
    giveUp(
      gaps.filter { gap in
        ranges.contains {
          $0.first <= gap.numbers.lowerBound && gap.numbers.upperBound <= $0.last
        }
      })
  }

  /// Counts records that cannot be read as if they said nothing.
  mutating func giveUp(_ given: [JournalGap]) {
    let firsts = Set(given.map(\.numbers.lowerBound))
    gaps.removeAll { firsts.contains($0.numbers.lowerBound) }
    problems.removeAll { problem in
      problem.object.flatMap { ObjectName.recordNumber($0) }.map { firsts.contains($0) } ?? false
    }
  }

  /// The snapshots that a repaired one stands for.
  package var superseded: Set<Identifier> { Set(snapshots.compactMap(\.repairs)) }

  /// The state as if some containers were not there: for whoever must not build on them.
  package func without(_ damaged: Set<Identifier>) -> JournalState {
    guard !damaged.isEmpty else { return self }
    var state = self
    for id in damaged { state.containers[id] = nil }
    return state
  }

  /// Takes the forgotten snapshots out of the list.
  mutating func settle() {
    guard !forgotten.isEmpty else { return }
    var kept: [SnapshotRecord] = []
    kept.reserveCapacity(snapshots.count - forgotten.count)
    for (place, snapshot) in snapshots.enumerated() where !forgotten.contains(place) {
      kept.append(snapshot)
    }
    snapshots = kept
    forgotten = []
    findPlaces()
  }

  private mutating func findPlaces() {
    places.removeAll(keepingCapacity: true)
    places.reserveCapacity(snapshots.count)
    for (place, snapshot) in snapshots.enumerated() { places[snapshot.id] = place }
  }

  /// Steps over a record that cannot be read.
  mutating func skip(to number: UInt64, problem: StoreError) {
    skip(number...number, problem: problem)
  }

  private mutating func skip(_ numbers: ClosedRange<UInt64>, problem: StoreError) {
    head = numbers.upperBound
    headHash = [UInt8](repeating: 0, count: 32)
    isHeadKnown = false
    problems.append(problem)
    gaps.append(JournalGap(numbers: numbers, problem: problem))
  }

  /// Steps over the records between the newest one and `number`, which are not there.
  mutating func skip(gapBefore number: UInt64) {
    let first = head + 1
    let missing = number - first
    let text =
      missing == 1
      ? "the record is missing, and record \(number) is there"
      : "this record and the \(missing - 1) after it are missing, and record \(number) is there"
    skip(
      first...(number - 1), problem: StoreError(.damaged, text, object: ObjectName.record(first)))
  }

  /// Nil where there is none, or where it was forgotten.
  package func snapshot(_ id: Identifier) -> SnapshotRecord? { places[id].map { snapshots[$0] } }

  /// All containers that a snapshot needs, what was repacked since in the place of what it named.
  package func containerSet(of snapshot: Identifier) -> Set<Identifier> {
    var chain: [(set: ContainerSet, repacksBefore: Int)] = []
    var next: Identifier? = snapshot
    // A base is always an older snapshot, so that the chain ends; the count guards against a
    // crafted journal.
    while let id = next, let set = difference(of: id),
      chain.count <= snapshots.count + forgottenSets.count
    {
      chain.append((set, repacksBefore[id] ?? 0))
      next = set.base
    }
    var result: Set<Identifier> = []
    var done = 0
    for (set, before) in chain.reversed() {
      // A difference speaks of its base as it was when the difference was written.
      repack(&result, from: &done, upTo: before)
      result.subtract(set.removed)
      result.formUnion(set.added)
    }
    repack(&result, from: &done, upTo: repacks.count)
    return result
  }

  private func repack(_ set: inout Set<Identifier>, from done: inout Int, upTo end: Int) {
    guard done < end else { return }
    for repack in repacks[done..<end] {
      let count = set.count
      set.subtract(repack.removed)
      if set.count < count { set.formUnion(repack.added) }
    }
    done = end
  }

  /// A snapshot's set as it was written, forgotten or not, and how many repacks came before it.
  func writtenSet(of snapshot: Identifier) -> (set: ContainerSet, repacksBefore: Int)? {
    difference(of: snapshot).map { ($0, repacksBefore[snapshot] ?? 0) }
  }

  private func difference(of snapshot: Identifier) -> ContainerSet? {
    places[snapshot].map { snapshots[$0].containers } ?? forgottenSets[snapshot]
  }
}

// To and from one object.
extension JournalState {
  init(_ checkpoint: Checkpoint) {
    head = checkpoint.record
    headHash = checkpoint.recordHash
    byteCount = checkpoint.journalByteCount
    snapshots = checkpoint.snapshots
    checkpoints = checkpoint.earlier
    containers.reserveCapacity(checkpoint.containers.count)
    for container in checkpoint.containers { containers[container.id] = container }
    for segment in checkpoint.segments { segments[segment.id] = segment }
    for item in checkpoint.forgottenSets { forgottenSets[item.snapshot] = item.containers }
    repacks = checkpoint.repacks
    for item in checkpoint.repackCounts { repacksBefore[item.snapshot] = item.count }
    upkeep = UpkeepState(checkpoint)
    findPlaces()
  }

  /// The whole state, the same for everyone who has read the same records.
  func checkpoint() -> Checkpoint {
    var checkpoint = Checkpoint(record: head, recordHash: headHash, journalByteCount: byteCount)
    checkpoint.containers = containers.values.sorted { $0.id < $1.id }
    checkpoint.segments = segments.values.sorted { $0.id < $1.id }
    checkpoint.snapshots = snapshots
    checkpoint.forgottenSets = neededSets().sorted { $0.snapshot < $1.snapshot }
    checkpoint.earlier = checkpoints
    checkpoint.repacks = repacks
    let sets = Set(snapshots.map(\.id)).union(checkpoint.forgottenSets.map(\.snapshot))
    checkpoint.repackCounts =
      repacksBefore.filter { sets.contains($0.key) }
      .map { RepackCount(snapshot: $0.key, count: $0.value) }
      .sorted { $0.snapshot < $1.snapshot }
    upkeep.write(into: &checkpoint)
    return checkpoint
  }

  /// The sets of forgotten snapshots that a live one's is a difference to, at any remove. The
  /// others can be let go: a new snapshot's base is always live when it is committed.
  private func neededSets() -> [ForgottenSet] {
    var needed: [Identifier: ContainerSet] = [:]
    let protected = upkeep.forgottenTimes.keys
    for first in snapshots.map(\.containers.base) + protected.map(Optional.some) {
      var next = first
      while let id = next, needed[id] == nil, let set = forgottenSets[id] {
        needed[id] = set
        next = set.base
      }
    }
    return needed.map { ForgottenSet(snapshot: $0.key, containers: $0.value) }
  }

  /// A checkpoint is due once what came since takes half as long to read as the checkpoint itself:
  /// so its cost per record stays small, and opening takes at most half as long again as it must.
  var isCheckpointDue: Bool {
    let roundTrip = 4096
    let cost = sinceCheckpoint.records * roundTrip + sinceCheckpoint.bytes
    return sinceCheckpoint.records >= 64
      && UInt64(cost) >= (checkpoints.last?.byteCount ?? 0) / 2
  }
}
