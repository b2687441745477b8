package import MuninnDisk
package import MuninnFormat
package import MuninnStore
internal import Synchronization

/// One backup, as stages. This file is the table of contents:
///
/// ```
/// WalkStage      directories, listed ahead, visited in path order      -> WalkedEntry
/// CompareStage   met with the parent's manifest: taken over, or to be read -> Batch
/// WorkPool       batches, and segments of large files, for the workers -> Work
/// BackupWorker   reads, cuts, identifies, deduplicates, compresses, writes -> [ManifestEntry]
/// AssembleStage  entries back in path order, manifest pages            -> TreeRoot
/// commit         containers and segment durable, then the journal record -> SnapshotRecord
/// ```
///
/// Walking and comparing run on the calling thread; as many threads as there are workers list ahead
/// of it, since of an unchanged tree that is most of the work; one thread assembles; the session's
/// syncs. Every queue between them is bounded.
package struct BackupPipeline {
  private let store: Store
  private let options: BackupOptions
  private let counters: ProgressCounters
  private let cancellation: Cancellation

  package init(
    store: Store, options: BackupOptions, progress: ProgressCounters, cancellation: Cancellation
  ) {
    self.store = store
    self.options = options
    counters = progress
    self.cancellation = cancellation
  }

  /// Backs up and commits. `describe` fills in what the pipeline does not know: host, user, tags
  /// and the like.
  ///
  /// Blocks; call it from a thread of its own. Whatever it throws, no complete snapshot was
  /// committed; a partial one is in the error.
  package func run(
    describe: @escaping @Sendable (inout SnapshotRecord) -> Void
  ) throws(PipelineError) -> BackupOutcome {
    let started = Machine.nowNanoseconds()
    counters.phase = .scanning
    let root =
      options.stream == nil
      ? try SourceRoot(options.sources, listed: options.listedSources) : nil
    let session = try fromStore { () throws(StoreError) in try WriteSession(store: store) }
    defer { session.end() }
    let shared = BackupShared(
      store: store, session: session, options: options.suited(to: root), counters: counters,
      cancellation: cancellation)
    for (path, reason) in root?.missing ?? [] {
      shared.fail(PathFailure(path: path, message: reason))
    }
    let draft = { @Sendable (counts: SnapshotCounts, result: ManifestWriter.Result) in
      var draft = shared.draft(counts, result)
      draft.startedNanoseconds = started
      describe(&draft)
      return draft
    }
    let committed = try namingLeftovers(of: shared) { () throws(PipelineError) in
      let stages = try runStages(root, shared, draft)
      counters.phase = .committing
      let partials = options.partials.map(\.id) + (shared.committedPartial.map { [$0] } ?? [])
      return try fromStore { () throws(StoreError) in
        try session.commit(
          draft(stages.counts, stages.result), needed: stages.result.containers,
          dropping: partials)
      }
    }
    counters.phase = .done
    let usage = shared.usage.usage(of: committed.id)
    return BackupOutcome(
      snapshot: committed, failures: shared.pathFailures.first, differing: shared.differing,
      unstable: shared.unstable, usage: usage, rewritten: shared.rewriting.done,
      fragmentation: Fragmentation(
        usage, contentByteCount: committed.counts.bytes, journal: session.journal),
      refusedDuplicates: shared.proof?.refusedCount ?? 0)
  }

  /// Says what is left in the repository where its disk, or the user, ended the backup.
  private func namingLeftovers<R>(
    of shared: BackupShared, _ body: () throws(PipelineError) -> R
  ) throws(PipelineError) -> R {
    let session = shared.session
    do throws(PipelineError) { return try body() } catch {
      if let partial = shared.committedPartial { throw error.leaving(partial) }
      guard let store = error.store, session.bytesStored > 0,
        [.noSpace, .inputOutput, .notFound, .accessDenied].contains(store.code)
      else { throw error }
      throw PipelineError(
        StoreError(
          store.code,
          "\(store.message); nothing was committed, and what was stored so far, up to "
            + "\(session.bytesStored) bytes, stays in the repository for a later run",
          object: store.object))
    }
  }

  private func runStages(
    _ root: SourceRoot?, _ shared: BackupShared,
    _ draft: @escaping @Sendable (SnapshotCounts, ManifestWriter.Result) -> SnapshotRecord
  ) throws(PipelineError) -> (result: ManifestWriter.Result, counts: SnapshotCounts) {
    let walk = root.map { WalkStage($0, rules: options.rules) }
    defer { walk?.close() }
    let assembled = Monitor<ManifestWriter.Result?>(nil)
    // One that lists ahead is enough for a disk whose head would have to jump between two.
    let threads = shared.options.threads
    let listerCount = shared.options.readers == 1 ? 1 : threads
    let listers = (0..<(walk == nil ? 0 : listerCount)).map { _ in
      WorkerThread.start(name: "muninn-walk") { walk?.runAhead() }
    }
    let workers = (0..<threads).map { _ in
      WorkerThread.start(name: "muninn-work") {
        let worker = BackupWorker(shared: shared)
        do throws(PipelineError) { try worker.run() } catch { shared.stop(error) }
        worker.leave()
      }
    }
    let assembler = WorkerThread.start(name: "muninn-tree") {
      do throws(PipelineError) {
        let result = try shared.assemble.run(
          shared, partial: PartialStage(shared, draft: draft))
        assembled.withLock { $0 = result }
      } catch {
        shared.stop(error)
      }
    }
    counters.phase = .reading
    var counts = SnapshotCounts()
    do throws(PipelineError) { counts = try compare(walk, shared) } catch { shared.stop(error) }
    walk?.stop()
    shared.pool.close()
    listers.forEach { $0.join() }
    workers.forEach { $0.join() }
    assembler.join()
    if cancellation.isCancelled { shared.stop(.cancelled) }
    if let failure = shared.storeFailure {
      shared.manifest.discard()
      throw failure
    }
    guard let result = assembled.withLock({ $0 }) else { throw PipelineError.cancelled }
    return (result, counts)
  }

  /// Walks and compares on this thread.
  private func compare(
    _ walk: WalkStage?, _ shared: BackupShared
  ) throws(PipelineError) -> SnapshotCounts {
    guard let walk else { return try handOnStream(shared) }
    let live = LiveContainers(
      session: shared.session, store: store, manifest: shared.manifest, usage: shared.usage)
    var stage = try CompareStage(
      options: options, store: store, live: live, rewriting: shared.rewriting, counters: counters
    ) { (batch) throws(PipelineError) in
      guard shared.assemble.waitForRoom(batch) else { throw PipelineError.cancelled }
      if batch.needsReading {
        guard shared.pool.add(batch) else { throw PipelineError.cancelled }
      } else {
        shared.assemble.deliver(batch.finished, sequence: batch.sequence)
      }
    }
    try walk.run { (walked) throws(PipelineError) in
      guard !cancellation.isCancelled else { throw PipelineError.cancelled }
      try stage.add(walked, fail: shared.fail, passed: shared.notePassed)
    } fail: { failure in
      shared.fail(failure)
    }
    try stage.flush()
    shared.assemble.end(after: stage.batchCount)
    return stage.counts
  }

  /// A stream is one batch: the directories that hold it, and itself.
  private func handOnStream(_ shared: BackupShared) throws(PipelineError) -> SnapshotCounts {
    guard let stream = options.stream else { return SnapshotCounts() }
    let now = Machine.nowNanoseconds()
    var batch = Batch(sequence: 0)
    let directories = stream.directories(at: now)
    for directory in directories { batch.append(.ready(directory)) }
    batch.append(.stream(stream, stream.file(at: now)))
    guard shared.pool.add(batch) else { throw PipelineError.cancelled }
    shared.assemble.end(after: 1)
    var counts = SnapshotCounts()
    counts.entries = UInt64(directories.count + 1)
    counts.directories = UInt64(directories.count)
    counts.files = 1
    counts.filesNew = 1
    return counts
  }
}

extension BackupShared {
  /// The record of what the backup has made so far, whole or partial.
  fileprivate func draft(
    _ counts: SnapshotCounts, _ result: ManifestWriter.Result
  ) -> SnapshotRecord {
    var draft = SnapshotRecord(
      id: randomIdentifier(), root: result.root,
      containers: ContainerSet(base: nil, added: [], removed: []))
    draft.parent = options.parent?.id
    draft.isFull = options.isFull || options.parent == nil
    draft.paths = options.sources
    draft.counts = counts
    draft.counts.bytesRead = bytesRead.load(ordering: .relaxed)
    draft.counts.bytesNew = bytesNew.load(ordering: .relaxed)
    draft.counts.bytes = result.byteCount
    draft.counts.chunksNew = counters.chunksNew.load(ordering: .relaxed)
    draft.counts.chunksDuplicate = counters.chunksDuplicate.load(ordering: .relaxed)
    draft.counts.errors = pathFailures.count
    let differing = differing.count
    draft.counts.filesUnchanged -= min(differing, draft.counts.filesUnchanged)
    draft.counts.filesChanged += differing
    return draft
  }
}

extension ParentCursor {
  /// The cursor of a snapshot; nil where there is none, or its manifest is damaged at its root,
  /// which costs time alone: every file is read again.
  static func opened(
    _ snapshot: SnapshotRecord?, store: Store
  ) throws(PipelineError) -> ParentCursor? {
    guard let snapshot else { return nil }
    do throws(StoreError) { return try ParentCursor(snapshot, store: store) } catch {
      guard error.code == .damaged || error.code == .notFound else { throw PipelineError(error) }
      return nil
    }
  }
}

extension IdentityCatalogue.Reader {
  /// A catalogue that is lost or damaged costs time alone: the files are read again.
  static func opened(_ path: String?, snapshot: Identifier?) -> IdentityCatalogue.Reader? {
    guard let path, let snapshot else { return nil }
    return try? IdentityCatalogue.Reader(path: path, snapshot: snapshot)
  }
}
