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
  /// Containers of dead sessions that this one took over.
  package let adoptedCount: Int

  private struct State {
    var journal: JournalState
    var synced: [ContainerRecord] = []
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
      index = try ChunkIndex(
        store: store, journal: journal.without(damaged), session: registration.id, limits: limits)
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

  package func makeContainerWriter(isManifest: Bool, level: Int = 1) -> ContainerWriter {
    ContainerWriter(session: self, isManifest: isManifest, level: level)
  }

  func sync(_ container: consuming UnsyncedContainer) throws(StoreError) {
    if let failure = state.withLock({ $0.failure }) {
      container.writer.discard()
      throw failure
    }
    guard queue.push(container) else {
      throw StoreError(.cancelled, "the session has ended")
    }
  }

  private func finish(_ container: UnsyncedContainer) {
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
    state.withLock { $0.synced.append(record) }
    try index.addDurable(record.id, identities)
  }

  /// Waits until every container that was handed over is on stable storage.
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

  /// Commits a snapshot with everything that this session stored. `needed` is every container that
  /// it refers to.
  package func commit(
    _ draft: SnapshotRecord, needed: Set<Identifier>
  ) throws(StoreError) -> SnapshotRecord {
    try waitForSyncs()
    let synced = state.withLock { $0.synced }.sorted { $0.id < $1.id }
    var journal = self.journal
    index.beginCommit()
    var isCommitted = false
    var change: IndexChange?
    defer { index.endCommit(change, isCommitted: isCommitted) }
    change = try index.flush(mergesSmall: true)
    try onDisk(store.storage.location) { () throws(DiskError) in
      try store.storage.makeNamesDurable()
    }
    let own = Set(synced.map(\.id))
    var committed = draft
    try store.commit(session: id, state: &journal) { (state) throws(StoreError) in
      // Every container that the snapshot needs must live now, not only when it was found.
      let rescued = try state.revalidate(needed, own: own, session: id)
      committed.completedNanoseconds = Machine.nowNanoseconds()
      committed.counts.bytesStored =
        synced.reduce(0) { $0 + $1.byteCount }
        + (change?.added.reduce(0) { $0 + $1.byteCount } ?? 0)
      committed.containers = difference(needed, to: draft.parent, state)
      var operations: [JournalOperation] = []
      if !synced.isEmpty { operations.append(.containers(synced)) }
      if let change {
        // Another session may have taken one of them out first.
        operations.append(
          .segments(
            added: change.added, removed: change.removed.filter { state.segments[$0] != nil }))
      }
      operations += rescued
      operations.append(.snapshot(committed))
      store.reach(.commitPrepared)
      return operations
    }
    isCommitted = true
    state.withLock { $0.journal = journal }
    return committed
  }

  private func difference(
    _ needed: Set<Identifier>, to parent: Identifier?, _ state: JournalState
  ) -> ContainerSet {
    // A base is live when the record is made: what was forgotten may be let go of.
    guard let parent, state.snapshot(parent) != nil else {
      return ContainerSet(base: nil, added: needed.sorted(), removed: [])
    }
    let base = state.containerSet(of: parent)
    return ContainerSet(
      base: parent, added: needed.subtracting(base).sorted(),
      removed: base.subtracting(needed).sorted())
  }

  /// Ends the session, committed or not. What it stored and did not commit stays behind as garbage
  /// that no reader looks at.
  package func end() {
    queue.cancel()
    syncThread.withLock { $0.take() }?.join()
    index.endMerging()
    registration.end()
  }
}
