package import MuninnDisk
package import MuninnFormat
package import MuninnStore

/// Copies one snapshot into another repository, chunk by chunk: read, verified, identified anew
/// with the other repository's secrets, and stored unless that has it.
///
/// ```
/// CopyPlan       the snapshot's entries beside those of one that was copied before -> CopyItem
/// CopyWorker     reads chunks, identifies, stores                  -> [ManifestEntry]
/// AssembleStage  entries in path order, manifest pages             -> TreeRoot
/// commit         as a backup's
/// ```
///
/// Files whose content is that of the snapshot that was copied before, at the same path, are taken
/// over without reading a chunk. The copy keeps the snapshot's id, times and statistics; a chunk
/// that is lost ends it, so that a copy is whole or is not there.
package struct CopyPipeline {
  /// A snapshot that both repositories have.
  package struct Base: Sendable {
    package let source: TreeRoot
    package let target: SnapshotRecord

    package init(source: TreeRoot, target: SnapshotRecord) {
      self.source = source
      self.target = target
    }
  }

  private let source: Store
  private let target: Store
  private let threads: Int
  private let counters: ProgressCounters
  private let cancellation: Cancellation

  package init(
    from source: Store, to target: Store, threads: Int, progress: ProgressCounters,
    cancellation: Cancellation
  ) {
    self.source = source
    self.target = target
    self.threads = max(1, threads)
    counters = progress
    self.cancellation = cancellation
  }

  /// Copies and commits. Whatever it throws, nothing was committed.
  package func run(
    _ snapshot: SnapshotRecord, base: Base?
  ) throws(PipelineError) -> SnapshotRecord {
    let session = try fromStore { () throws(StoreError) in try WriteSession(store: target) }
    defer { session.end() }
    let run = CopyRun(source: source, target: target, session: session, counters: counters)
    counters.phase = .reading
    let queue = BoundedQueue<CopyBatch>(capacity: 2 * threads)
    let workers = (0..<threads).map { _ in
      WorkerThread.start(name: "muninn-copy") {
        let worker = CopyWorker(run)
        do throws(PipelineError) {
          while let batch = queue.pop() { try worker.copy(batch) }
          try worker.finish()
        } catch {
          run.stop(error)
          queue.cancel()
        }
        worker.discard()
      }
    }
    let assembled = Monitor<ManifestWriter.Result?>(nil)
    let assembler = WorkerThread.start(name: "muninn-tree") {
      do throws(PipelineError) {
        let live = LiveContainers(session: session, store: run.target, usage: run.usage)
        // A further name of a file comes with its content, like any other.
        let result = try run.assemble.run(
          ManifestWriter(manifest: run.manifest, live: live, usage: run.usage),
          counters: run.counters)
        assembled.withLock { $0 = result }
      } catch {
        run.stop(error)
        queue.cancel()
      }
    }
    do throws(PipelineError) { try plan(snapshot, base, run, queue) } catch { run.stop(error) }
    queue.close()
    workers.forEach { $0.join() }
    assembler.join()
    if let failure = run.failure {
      run.manifest.discard()
      throw failure
    }
    guard let result = assembled.withLock({ $0 }) else { throw PipelineError.cancelled }
    counters.phase = .committing
    var draft = snapshot
    draft.root = result.root
    draft.parent = base?.target.id
    let copied = draft
    return try fromStore { () throws(StoreError) in
      try session.commit(copied, needed: result.containers)
    }
  }

  /// Goes through the snapshot's entries beside those of the base, in both repositories.
  private func plan(
    _ snapshot: SnapshotRecord, _ base: Base?, _ run: CopyRun, _ queue: BoundedQueue<CopyBatch>
  ) throws(PipelineError) {
    var entries = try fromStore { () throws(StoreError) in
      try EntryCursor(snapshot.root, store: source)
    }
    var known = try base.map { (base) throws(PipelineError) in
      try fromStore { () throws(StoreError) in
        (
          try EntryCursor(base.source, store: source),
          try EntryCursor(base.target.root, store: target)
        )
      }
    }
    let contents = SnapshotDifference(store: source)
    let live = LiveContainers(session: run.session, store: target, usage: run.usage)
    var batch = CopyBatch(sequence: 0)
    func emit() throws(PipelineError) {
      let full = batch
      batch = CopyBatch(sequence: full.sequence + 1)
      guard run.assemble.waitForRoom(full.sequence, entryCount: full.items.count), queue.push(full)
      else {
        throw run.failure ?? PipelineError.cancelled
      }
    }
    while let entry = entries.current() {
      if cancellation.isCancelled { throw PipelineError.cancelled }
      entries.advance()
      var item = CopyItem(entry: entry, needsCopy: entry.needsCopy)
      if item.needsCopy, let there = try copied(entry, &known, contents, live) {
        item.entry.content = there
        item.needsCopy = false
        counters.add(bytes: entry.size)
      }
      batch.add(item)
      if batch.isFull { try emit() }
    }
    if let failure = entries.failures.first {
      throw PipelineError(
        .damaged, "the snapshot cannot be copied: \(failure.message)",
        path: displayPath(failure.path))
    }
    if !batch.items.isEmpty { try emit() }
    run.assemble.end(after: batch.sequence)
  }

  /// The content that the other repository has of an entry whose content is the base's.
  private func copied(
    _ entry: ManifestEntry, _ known: inout (EntryCursor, EntryCursor)?,
    _ contents: SnapshotDifference, _ live: LiveContainers
  ) throws(PipelineError) -> EntryContent? {
    guard known != nil else { return nil }
    let old = known?.0.entry(at: entry.path)
    let there = known?.1.entry(at: entry.path)
    guard let old, let there, old.kind == .file, there.kind == .file, old.size == entry.size,
      there.size == entry.size
    else { return nil }
    return try fromStore { () throws(StoreError) in
      guard try contents.isSameContent(old.content, entry.content) else { return nil }
      return try live.revalidate(there)?.content
    }
  }
}

/// An entry of the snapshot that is copied.
struct CopyItem: Sendable {
  var entry: ManifestEntry
  /// Its content names chunks of the source repository.
  var needsCopy: Bool
}

struct CopyBatch: Sendable {
  private static let maximumByteCount: UInt64 = 4 << 20
  private static let maximumCount = 1024

  let sequence: UInt64
  private(set) var items: [CopyItem] = []
  private var byteCount: UInt64 = 0

  init(sequence: UInt64) { self.sequence = sequence }

  var isFull: Bool {
    byteCount >= CopyBatch.maximumByteCount || items.count >= CopyBatch.maximumCount
  }

  mutating func add(_ item: CopyItem) {
    items.append(item)
    if item.needsCopy {
      byteCount = byteCount.addingReportingOverflow(item.entry.size).partialValue
    }
  }
}

extension ManifestEntry {
  fileprivate var needsCopy: Bool {
    switch content {
    case .none, .inline: false
    case .extents, .tree: true
    }
  }
}

/// What the threads of one copy share.
final class CopyRun: Sendable {
  let source: Store
  let target: Store
  let session: WriteSession
  let manifest: ManifestChunks
  let assemble = AssembleStage()
  let usage = UsageCounter(parent: nil)
  let counters: ProgressCounters
  private let firstFailure = Monitor<PipelineError?>(nil)

  init(source: Store, target: Store, session: WriteSession, counters: ProgressCounters) {
    self.source = source
    self.target = target
    self.session = session
    self.counters = counters
    manifest = ManifestChunks(session: session, identifying: target.identifying)
  }

  /// Ends the copy; the first reason counts.
  func stop(_ error: PipelineError) {
    firstFailure.withLock { $0 = $0 ?? error }
    assemble.cancel()
  }

  var failure: PipelineError? { firstFailure.withLock { $0 } }
}
