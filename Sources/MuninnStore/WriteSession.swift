internal import MuninnDisk
package import MuninnFormat
internal import Synchronization

/// A writer at work: its containers, its view of the index, and its commit.
///
/// Order of durability: the containers' bytes, the segment's bytes, the names of both, then the
/// journal record. Before the record nothing happened; after it everything did.
package final class WriteSession: Sendable {
  package let id: Identifier
  package let index: ChunkIndex
  let store: Store
  private let registration: Registration
  private let isBackup: Bool
  /// Containers of dead sessions that this one took over.
  package let adoptedCount: Int

  private struct State {
    var journal: JournalState
    /// Containers on stable storage that no record names yet.
    var synced: [ContainerRecord] = []
    /// Containers that were begun and are not on stable storage, or never will be.
    var unsynced: Set<Identifier> = []
    /// How many were handed over to be synced and are not yet.
    var underWay = 0
    /// Bytes of containers and segments that records of this session named.
    var namedBytes: UInt64 = 0
    var failure: StoreError?
  }

  let blockBytes = Atomic<UInt64>(0)
  private let state: Monitor<State>
  private let queue = BoundedQueue<UnsyncedContainer>(capacity: 4)
  private let syncThread = Monitor<WorkerThread?>(nil)

  /// Registers the session and starts the thread that syncs its containers. It builds on nothing in
  /// the containers `without` which it is made.
  package init(
    store: Store, limits: IndexLimits? = nil, without damaged: Set<Identifier> = [],
    work: SessionNote.Work = .backup
  ) throws(StoreError) {
    self.store = store
    isBackup = work == .backup
    let (registration, registered) = try Registration.begin(store, work)
    self.registration = registration
    id = registration.id
    var journal = registered
    do throws(StoreError) {
      if let problem = journal.problems.first { throw problem }
      try store.relyOn(journal)
      try store.completeHeader()
      adoptedCount =
        work == .backup
        ? try Adoption.run(store, session: registration.id, state: &journal) : 0
      store.reach(.joined)
      index = try ChunkIndex(
        store: store, journal: journal.without(damaged), session: registration.id, limits: limits)
      // A segment that was merged away meanwhile had the index read on: then it knows containers
      // that a commit on top of the older state would take for gone.
      if index.head > journal.head {
        try store.extend(&journal)
        if let problem = journal.problems.first { throw problem }
        try store.relyOn(journal)
      }
    } catch {
      registration.end()
      throw error
    }
    state = Monitor(State(journal: journal))
    syncThread.withLock {
      $0 = WorkerThread.start(name: "muninn-sync") { [queue, self] in
        while let container = queue.pop() { finish(container) }
      }
    }
  }

  package var journal: JournalState { state.withLock { $0.journal } }

  /// Bytes of blocks that were written so far.
  package var bytesStored: UInt64 { blockBytes.load(ordering: .relaxed) }

  /// A name that was never used and never will be again.
  func newObjectID() -> Identifier { Identifier(high: id.high, low: randomIdentifier().low) }

  /// A container of this session is begun.
  func newContainerID() -> Identifier {
    let id = newObjectID()
    state.withLock { _ = $0.unsynced.insert(id) }
    return id
  }

  /// Containers of this session that are not on stable storage: a commit that needs one of them
  /// would be refused.
  package var unsyncedContainers: Set<Identifier> { state.withLock { $0.unsynced } }

  package func makeContainerWriter(isManifest: Bool, level: Int = 1) -> ContainerWriter {
    ContainerWriter(session: self, isManifest: isManifest, level: level)
  }

  func sync(_ container: consuming UnsyncedContainer) throws(StoreError) {
    if let failure = state.withLock({ $0.failure }) {
      container.writer.discard()
      throw failure
    }
    state.withLock { $0.underWay += 1 }
    guard queue.push(container) else {
      state.update { $0.underWay -= 1 }
      throw StoreError(.cancelled, "the session has ended")
    }
  }

  private func finish(_ container: UnsyncedContainer) {
    defer { state.update { $0.underWay -= 1 } }
    do throws(StoreError) {
      try onDisk(ObjectName.container(container.record.id)) { () throws(DiskError) in
        try container.writer.finish()
      }
      try add(container.record, identities: container.directory.identities)
    } catch {
      // After a failed sync the pages may be gone: the object is given up, never synced again.
      container.writer.discard()
      state.withLock { $0.failure = $0.failure ?? error }
    }
  }

  /// Takes over a container of this session that is on stable storage, and whose chunks were
  /// claimed.
  package func add(
    _ record: ContainerRecord, identities: [ChunkIdentity]
  ) throws(StoreError) {
    state.withLock { state in
      state.synced.append(record)
      state.unsynced.remove(record.id)
    }
    try index.addDurable(record.id, identities)
  }

  /// Waits until each container that was handed over so far is on stable storage or given up; more
  /// may follow.
  package func drain() { state.wait(until: { $0.underWay == 0 }) }

  /// Waits until every container that was handed over is on stable storage; no more can be.
  package func waitForSyncs() throws(StoreError) {
    queue.close()
    syncThread.withLock { $0.take() }?.join()
    if let failure = state.withLock({ $0.failure }) { throw failure }
  }

  /// What this session has stored, all of it on stable storage; nothing more can be.
  func storedContainers() throws(StoreError) -> [ContainerRecord] {
    try waitForSyncs()
    return state.withLock { $0.synced }.sorted { $0.id < $1.id }
  }

  /// Commits a snapshot with everything that this session stored, and forgets the snapshots
  /// `dropping` in the same record, but for those that are held. `needed` is every container that
  /// it refers to.
  package func commit(
    _ draft: SnapshotRecord, needed: Set<Identifier>, dropping: [Identifier] = []
  ) throws(StoreError) -> SnapshotRecord {
    try waitForSyncs()
    return try commit(draft, needed: needed, dropping: dropping, isLast: true)
  }

  /// Commits what is on stable storage now, and goes on. So what the session stored until here
  /// outlives it. Throws `damaged`, and commits nothing, where something that is needed is not on
  /// stable storage.
  package func commitPartial(
    _ draft: SnapshotRecord, needed: Set<Identifier>, dropping: [Identifier]
  ) throws(StoreError) -> SnapshotRecord {
    drain()
    var draft = draft
    draft.isPartial = true
    return try commit(draft, needed: needed, dropping: dropping, isLast: false)
  }

  private func commit(
    _ draft: SnapshotRecord, needed: Set<Identifier>, dropping: [Identifier], isLast: Bool
  ) throws(StoreError) -> SnapshotRecord {
    // Those that no snapshot needs yet too: they are found and rescued by the next commit, or by
    // the next session if this one dies.
    let (synced, namedBytes) = state.withLock { state in
      (state.synced.sorted { $0.id < $1.id }, state.namedBytes)
    }
    let own = Set(synced.map(\.id))
    var committed = draft
    let journal = try commitInOrder(isLast: isLast) { () throws(StoreError) in
      isLast ? try index.flush(mergesSmall: true) : try index.flushPart()
    } prepare: { (state, change) throws(StoreError) in
      // Every container that the snapshot needs must live now, not only when it was found.
      let rescued = try state.revalidate(needed, own: own, session: id)
      let dropped = dropping.filter {
        state.snapshot($0) != nil && state.upkeep.holds[$0] == nil
      }
      // A copy of a snapshot was completed when the original was.
      committed.completedNanoseconds =
        draft.completedNanoseconds == 0 ? Machine.nowNanoseconds() : draft.completedNanoseconds
      committed.counts.bytesStored =
        synced.reduce(namedBytes) { $0 + $1.byteCount }
        + (change?.added.reduce(0) { $0 + $1.byteCount } ?? 0)
      committed.containers = difference(needed, to: draft.parent, state, dropping: dropped)
      var operations: [JournalOperation] = []
      if !synced.isEmpty { operations.append(.containers(synced)) }
      if let change { operations.append(change.operation(in: state)) }
      operations += rescued
      if !dropped.isEmpty { operations.append(.forgotten(dropped)) }
      operations.append(.snapshot(committed))
      store.reach(.commitPrepared)
      return operations
    }
    state.withLock { state in
      state.journal = journal
      state.synced.removeAll { own.contains($0.id) }
      state.namedBytes = committed.counts.bytesStored
    }
    return committed
  }

  /// What every commit of a session does, in the order of durability: containers are synced
  /// already; then the segments that `flush` makes, the names of all, and the record of what
  /// `prepare` returns for the state that it is tried on and the index's change.
  ///
  /// Returns the state behind it. Segments in `kept` that it takes out are left where they are.
  func commitInOrder(
    isLast: Bool = true, keeping kept: Set<Identifier> = [],
    flush: () throws(StoreError) -> IndexChange?,
    prepare: (JournalState, IndexChange?) throws(StoreError) -> [JournalOperation]
  ) throws(StoreError) -> JournalState {
    var journal = self.journal
    index.beginCommit()
    var isCommitted = false
    var change: IndexChange?
    defer {
      index.endCommit(change, isCommitted: isCommitted, keeping: kept, isLast: isLast)
    }
    change = try flush()
    try onDisk(store.storage.location) { () throws(DiskError) in
      try store.storage.makeNamesDurable()
    }
    var isNothing = false
    try store.commit(session: id, state: &journal) { (state) throws(StoreError) in
      let operations = try prepare(state, change)
      isNothing = operations.isEmpty
      return operations
    }
    isCommitted = !isNothing
    return journal
  }

  private func difference(
    _ needed: Set<Identifier>, to parent: Identifier?, _ state: JournalState,
    dropping dropped: [Identifier]
  ) -> ContainerSet {
    // A base is live when the record is made: what was forgotten may be let go of.
    guard let parent, state.snapshot(parent) != nil, !dropped.contains(parent) else {
      return ContainerSet(base: nil, added: needed.sorted(), removed: [])
    }
    let base = state.containerSet(of: parent)
    return ContainerSet(
      base: parent, added: needed.subtracting(base).sorted(),
      removed: base.subtracting(needed).sorted())
  }

  /// A commit of another kind has named all that the session stored.
  func didNameAll() { state.withLock { $0.synced = [] } }

  /// Ends the session, committed or not. What it stored and did not commit no reader looks at: the
  /// next backup adopts it, or a collection deletes it.
  package func end() {
    queue.cancel()
    syncThread.withLock { $0.take() }?.join()
    index.endMerging()
    // What a repacking copied is all there already: nobody adopts it.
    registration.end(leavingNote: isBackup && state.withLock { !$0.synced.isEmpty })
  }
}
