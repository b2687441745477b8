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

  private struct State {
    var journal: JournalState
    var synced: [(record: ContainerRecord, identities: [ChunkIdentity])] = []
    var failure: StoreError?
  }

  let blockBytes = Atomic<UInt64>(0)
  private let state: Monitor<State>
  private let queue = BoundedQueue<UnsyncedContainer>(capacity: 4)
  private let syncThread = Monitor<WorkerThread?>(nil)

  /// Registers the session and starts the thread that syncs its containers.
  package init(store: Store) throws(StoreError) {
    self.store = store
    let journal = try store.loadJournal()
    if let problem = journal.problems.first { throw problem }
    try store.relyOn(journal)
    id = Identifier(high: randomIdentifier().high, low: 0)
    index = try ChunkIndex(store: store, journal: journal)
    state = Monitor(State(journal: journal))
    let name = ObjectName.session(id)
    let note = [UInt8](
      "\(Machine.hostName()) \(Machine.processID()) \(Machine.nowNanoseconds())\n".utf8)
    try onDisk(name) { () throws(DiskError) in try store.storage.put(name, note) }
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
    do throws(DiskError) {
      try container.writer.finish()
      state.withLock {
        $0.synced.append((container.record, container.directory.identities))
      }
    } catch {
      // After a failed sync the pages may be gone: the object is given up, never synced again.
      container.writer.discard()
      let failure = StoreError(error, object: ObjectName.container(container.record.id))
      state.withLock { $0.failure = $0.failure ?? failure }
    }
  }

  /// Waits until every container that was handed over is on stable storage.
  package func waitForSyncs() throws(StoreError) {
    queue.close()
    syncThread.withLock { $0.take() }?.join()
    if let failure = state.withLock({ $0.failure }) { throw failure }
  }

  /// Commits a snapshot with everything that this session stored. `needed` is every container that
  /// it refers to.
  package func commit(
    _ draft: SnapshotRecord, needed: Set<Identifier>
  ) throws(StoreError) -> SnapshotRecord {
    try waitForSyncs()
    let synced = state.withLock { $0.synced }.sorted { $0.record.id < $1.record.id }
    var journal = self.journal
    let segment = try writeMergedSegment(synced.map { ($0.record.id, $0.identities) }, journal)
    try onDisk(store.storage.location) { () throws(DiskError) in
      try store.storage.makeNamesDurable()
    }
    let own = Set(synced.map(\.record.id))
    var committed = draft
    try store.commit(session: id, state: &journal) { (state) throws(StoreError) in
      // Every container that the snapshot needs must live now, not only when it was found.
      if let lost = needed.first(where: { state.containers[$0] == nil && !own.contains($0) }) {
        throw StoreError(
          .damaged, "is needed by the new snapshot and no longer in the repository",
          object: ObjectName.container(lost))
      }
      committed.completedNanoseconds = Machine.nowNanoseconds()
      committed.counts.bytesStored =
        synced.reduce(0) { $0 + $1.record.byteCount } + (segment?.added.first?.byteCount ?? 0)
      committed.containers = difference(needed, to: draft.parent, state)
      var operations: [JournalOperation] = []
      if !synced.isEmpty { operations.append(.containers(synced.map(\.record))) }
      if let segment {
        operations.append(.segments(added: segment.added, removed: segment.removed))
      }
      operations.append(.snapshot(committed))
      return operations
    }
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

  /// Writes the segment over this session's chunks, taking in the live segments that are not much
  /// larger, so that their number stays logarithmic. Nil where there is nothing to list.
  private func writeMergedSegment(
    _ directories: [(id: Identifier, identities: [ChunkIdentity])], _ journal: JournalState
  ) throws(StoreError) -> (added: [SegmentRecord], removed: [Identifier])? {
    guard !directories.isEmpty else { return nil }
    var (entries, containers) = segmentEntries(of: directories)
    var removed: [Identifier] = []
    for record in journal.segments.values.sorted(by: { $0.entryCount < $1.entryCount })
    where record.entryCount <= UInt64(entries.count) * 2 {
      // One that cannot be read is left as it is: its containers' directories stand in for it.
      guard let old = try? Segment(record, store: store),
        let taken = try? entriesOf(old, shiftedBy: containers.count)
      else { continue }
      entries.append(contentsOf: taken)
      containers.append(contentsOf: old.tables.containers)
      removed.append(record.id)
    }
    if !removed.isEmpty { entries.sort { $0.prefix < $1.prefix } }
    let record = try store.writeSegment(
      id: newObjectID(), entries: entries, containers: containers)
    return ([record], removed)
  }

  private func entriesOf(_ segment: Segment, shiftedBy shift: Int) throws(StoreError)
    -> [SegmentEntry]
  {
    var entries: [SegmentEntry] = []
    entries.reserveCapacity(Int(segment.record.entryCount))
    for number in 0..<segment.pageCount {
      for entry in try segment.page(number) {
        entries.append(
          SegmentEntry(
            prefix: entry.prefix, container: entry.container + UInt32(shift), slot: entry.slot))
      }
    }
    return entries
  }

  /// Ends the session, committed or not. What it stored and did not commit stays behind as garbage
  /// that no reader looks at.
  package func end() {
    queue.cancel()
    syncThread.withLock { $0.take() }?.join()
    try? store.storage.delete(ObjectName.session(id))
  }
}
