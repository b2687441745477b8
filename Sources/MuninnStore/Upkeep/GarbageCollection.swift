package import MuninnDisk
internal import MuninnFormat

/// What a collection did, or would do.
package struct CollectionOutcome: Sendable, Equatable {
  package struct Tally: Sendable, Equatable {
    package var count: UInt64 = 0
    package var bytes: UInt64 = 0

    package init() {}

    mutating func add(_ byteCount: UInt64) {
      count += 1
      bytes += byteCount
    }

    mutating func add(_ other: Tally) {
      count += other.count
      bytes += other.bytes
    }
  }

  /// Live containers, and what they take.
  package var live = Tally()
  /// Sessions that were taken for dead.
  package var fenced = 0
  /// Live containers that no snapshot needs, newly found.
  package var condemned = Tally()
  /// Containers and segments that wait for sessions at work.
  package var waiting = Tally()
  /// Who is waited for.
  package var waitedFor: [SessionNote] = []
  /// Objects that were deleted.
  package var deleted = Tally()
  /// Objects that are nobody's and belong to sessions at work, which may yet commit them.
  package var pending = Tally()

  package init() {}

  /// Takes what a later collection of the same operation did on top of this one.
  package mutating func add(_ later: CollectionOutcome) {
    live = later.live
    fenced += later.fenced
    condemned.add(later.condemned)
    waiting = later.waiting
    waitedFor = later.waitedFor
    deleted.add(later.deleted)
    pending = later.pending
  }
}

/// Takes out of the repository what nobody needs, while others read and write: fence the dead,
/// condemn, list sessions, sweep, delete. See the commit protocol for why in this order.
///
/// It may stop between any two steps. Memory and time go with the number of containers.
package struct GarbageCollection {
  private let store: Store
  private let isDryRun: Bool
  private let cancellation: Cancellation
  private let now: Int64
  private var state: JournalState
  private var outcome = CollectionOutcome()
  /// What was in the storage before the journal was read to its end.
  private var objects: [StoredObject] = []
  private var notes: [SessionNote] = []
  /// In a dry run: the sessions that would be fenced, and what would be swept.
  private var foreseen: Set<UInt64> = []
  private var doomed: Set<Identifier> = []

  /// Ids in one record, so that it stays far below the limit of a record's bytes.
  private static let idsPerRecord = 1 << 16

  package static func run(
    _ store: Store, isDryRun: Bool, cancellation: Cancellation
  ) throws(StoreError) -> CollectionOutcome {
    var collection = GarbageCollection(
      store: store, isDryRun: isDryRun, cancellation: cancellation,
      now: Machine.nowNanoseconds(), state: try store.loadJournal())
    try collection.run()
    return collection.outcome
  }

  private init(
    store: Store, isDryRun: Bool, cancellation: Cancellation, now: Int64, state: JournalState
  ) {
    self.store = store
    self.isDryRun = isDryRun
    self.cancellation = cancellation
    self.now = now
    self.state = state
  }

  private mutating func run() throws(StoreError) {
    if let problem = state.problems.first { throw problem }
    try look()
    try fenceAndCondemn()
    store.reach(.condemned)
    if !isDryRun {
      try sweep()
      store.reach(.swept)
    }
    try delete()
    for container in state.containers.values where !doomed.contains(container.id) {
      outcome.live.add(container.byteCount)
    }
  }

  private func stopIfCancelled() throws(StoreError) {
    if cancellation.isCancelled {
      throw StoreError(.cancelled, "the collection was cancelled; what it did stays done")
    }
  }

  /// Objects, then sessions, then the journal: so an object that a session stored is seen beside
  /// its note, or the session has ended and what it committed is in the journal.
  private mutating func look() throws(StoreError) {
    for prefix in [ObjectName.containerPrefix, ObjectName.segmentPrefix] {
      objects += try onDisk(prefix) { () throws(DiskError) in try store.storage.list(prefix) }
    }
    notes = try store.sessions()
    try store.extend(&state)
    if let problem = state.problems.first { throw problem }
    try store.relyOn(state)
  }

  // MARK: Fencing and condemning

  private mutating func fenceAndCondemn() throws(StoreError) {
    let (objects, now) = (objects, now)
    let limit = isDryRun ? Int.max : GarbageCollection.idsPerRecord
    let seeminglyDead = Set(notes.filter { $0.seemsDead(at: now) }.map(\.session.high))
    let registered = Set(notes.map(\.session.high))
    var needed = try ContainerMarks.needed(in: state, at: now)
    var marked = state.head
    store.reach(.marked)
    while true {
      try stopIfCancelled()
      var dead: Set<UInt64> = []
      var condemned: [Identifier] = []
      func prepare(_ state: JournalState) throws(StoreError) -> [JournalOperation] {
        if state.head != marked {
          needed = try ContainerMarks.needed(in: state, at: now)
          marked = state.head
        }
        dead = seeminglyDead
        for object in objects {
          guard let id = ObjectName.id(object.name), state.isUnnamed(id) else { continue }
          if !registered.contains(id.high) { dead.insert(id.high) }
        }
        dead.subtract(state.upkeep.fenced)
        condemned = state.containers.keys.filter { !needed.contains($0) }.sorted()
        condemned = Array(condemned.prefix(limit))
        var operations: [JournalOperation] = []
        if !dead.isEmpty {
          operations.append(.fenced(dead.sorted().map { Identifier(high: $0, low: 0) }))
        }
        if !condemned.isEmpty { operations.append(.condemned(condemned)) }
        return operations
      }
      if isDryRun { _ = try prepare(state) } else { try commit(prepare) }
      outcome.fenced += dead.count
      for id in condemned {
        let container = state.upkeep.condemned[id]?.container ?? state.containers[id]
        outcome.condemned.add(container?.byteCount ?? 0)
      }
      if isDryRun { return foresee(dead, condemned) }
      // The state may be newer than this record by others' ones, as where a checkpoint was made
      // behind it: what is needed is found anew for the next turn.
      if condemned.count < limit { return }
    }
  }

  /// What a collection would delete, if nobody else did anything meanwhile.
  private mutating func foresee(_ dead: Set<UInt64>, _ condemned: [Identifier]) {
    let waited = notes.filter { note in
      !state.upkeep.isFenced(note.session) && !dead.contains(note.session.high)
    }
    let known = waited.map(\.record).min() ?? .max
    foreseen = dead.union(state.upkeep.fenced)
    func foresee(_ id: Identifier, _ byteCount: UInt64, condemnedBy number: UInt64) {
      if number <= known { doomed.insert(id) } else { outcome.waiting.add(byteCount) }
    }
    for id in condemned {
      foresee(id, state.containers[id]?.byteCount ?? 0, condemnedBy: state.head + 1)
    }
    for (id, item) in state.upkeep.condemned {
      foresee(id, item.container.byteCount, condemnedBy: item.number)
    }
    for (id, item) in state.upkeep.retired {
      foresee(id, item.byteCount, condemnedBy: item.number)
    }
    if outcome.waiting.count > 0 { outcome.waitedFor = waited }
  }

  /// A collection stores nothing, and so needs no session that others could fence.
  private mutating func commit(
    _ prepare: (JournalState) throws(StoreError) -> [JournalOperation]
  ) throws(StoreError) {
    try store.commit(session: randomIdentifier(), state: &state, prepare: prepare)
  }

  // MARK: Sweeping

  private mutating func sweep() throws(StoreError) {
    guard !state.upkeep.condemned.isEmpty || !state.upkeep.retired.isEmpty else { return }
    notes = try store.sessions()
    let dead = notes.filter { $0.seemsDead(at: now) }.map(\.session)
    let waited = notes.filter { note in
      !state.upkeep.isFenced(note.session) && !dead.contains(note.session)
    }
    // Who registered after a record knows what it condemned.
    let known = waited.map(\.record).min() ?? .max
    let listed = state.upkeep
    store.reach(.listed)
    while true {
      try stopIfCancelled()
      var isDone = true
      try commit { (state) throws(StoreError) in
        var containers: [Identifier] = []
        for (id, item) in state.upkeep.condemned
        where item.number <= known && listed.condemned[id]?.number == item.number {
          containers.append(id)
        }
        var segments: [Identifier] = []
        for (id, item) in state.upkeep.retired
        where item.number <= known && listed.retired[id]?.number == item.number {
          segments.append(id)
        }
        isDone = containers.count + segments.count <= GarbageCollection.idsPerRecord
        containers = Array(containers.sorted().prefix(GarbageCollection.idsPerRecord))
        segments = Array(
          segments.sorted().prefix(GarbageCollection.idsPerRecord - containers.count))
        let fenced = dead.filter { !state.upkeep.isFenced($0) }
        var operations: [JournalOperation] = []
        if !fenced.isEmpty { operations.append(.fenced(fenced)) }
        if !containers.isEmpty || !segments.isEmpty {
          operations.append(.swept(containers: containers, segments: segments))
        }
        return operations
      }
      if isDone { break }
    }
    for item in state.upkeep.condemned.values { outcome.waiting.add(item.container.byteCount) }
    for item in state.upkeep.retired.values { outcome.waiting.add(item.byteCount) }
    if outcome.waiting.count > 0 { outcome.waitedFor = waited }
  }

  // MARK: Deleting

  private mutating func delete() throws(StoreError) {
    for object in objects {
      guard let id = ObjectName.id(object.name), state.isUnnamed(id) || doomed.contains(id)
      else { continue }
      guard doomed.contains(id) || foreseen.contains(id.high) || state.upkeep.isFenced(id) else {
        outcome.pending.add(object.size)
        continue
      }
      outcome.deleted.add(object.size)
      if isDryRun { continue }
      try stopIfCancelled()
      try onDisk(object.name) { () throws(DiskError) in try store.storage.delete(object.name) }
    }
    if isDryRun { return }
    for note in notes where state.upkeep.isFenced(note.session) {
      let name = ObjectName.session(note.session)
      try onDisk(name) { () throws(DiskError) in try store.storage.delete(name) }
    }
  }
}

extension JournalState {
  /// Whether a container or segment of this name is neither live nor on its way out. Then its bytes
  /// may be deleted if its session is fenced.
  func isUnnamed(_ id: Identifier) -> Bool {
    containers[id] == nil && segments[id] == nil && upkeep.condemned[id] == nil
      && upkeep.retired[id] == nil
  }
}
