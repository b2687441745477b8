package import MuninnDisk
package import MuninnStore
import Synchronization

/// A restore, stage by stage, in the order of the data:
///
///     manifest -> ManifestWalk -> PlanStage -> [RestoreWindow] -> UnitReader
///       -> ContentStage on every core (decode, verify, write; PlainStage for what needs no
///       container)
///       -> LinkStage -> DirectoryStage -> IdentityStage
///       -> VerifyStage and ExtentCountStage, where they are asked for
///
/// One thread plans the next window while the workers restore the one before. Within a window each
/// container is read once. Nothing is written outside the target: see `TargetTree`.
///
/// What concerns one path is reported and left out, so that nothing half-done looks done; what
/// concerns the target as a whole ends the restore. What was written until then stays.
package struct RestorePipeline {
  private let store: Store
  private let options: RestoreOptions
  private let counters: ProgressCounters
  private let cancellation: Cancellation
  private let onRestored: (@Sendable ([UInt8], FileStatus) -> Void)?

  /// `onRestored` is called with each entry that is complete, by several threads.
  package init(
    store: Store, options: RestoreOptions, progress: ProgressCounters, cancellation: Cancellation,
    onRestored: (@Sendable (_ path: [UInt8], FileStatus) -> Void)? = nil
  ) {
    self.store = store
    self.options = options
    counters = progress
    self.cancellation = cancellation
    self.onRestored = onRestored
  }

  /// Throws `invalidInput` for a target that is not as `options.overwrite` and `options.journal`
  /// allow; then nothing was written.
  package func run() throws(PipelineError) -> RestoreOutcome {
    counters.phase = .planning
    defer { options.journal?.release() }
    let selection = try PathSelection(
      options.paths, includes: options.includes, excludes: options.excludes)
    // A snapshot that cannot be read at all leaves the target as it is.
    _ = try ManifestWalk(options.root, selection: selection, needsOrdinals: false, store: store)
    let rule = ExistingRule(options)
    let target = try TargetStage.prepare(options.target, rule)
    let (wasEmpty, foldsCase) = (target.wasEmpty, target.foldsCase)
    let status = try status(of: target)
    var unremembered: PipelineError?
    do throws(PipelineError) {
      try options.journal?.begin(
        inode: status.inode, targetWasAbsent: target.wasAbsent, targetWasEmpty: wasEmpty)
    } catch {
      unremembered = error
    }
    if selection.isEverything {
      counters.entriesTotal.store(options.entryCount, ordering: .relaxed)
      counters.bytesTotal.store(options.byteCount, ordering: .relaxed)
    }
    let run = RestoreRun(
      store: store, tree: TargetTree(root: target.takeFile()),
      ownership: Ownership(target: status), options: options, selection: selection,
      foldsCase: foldsCase, counters: counters, cancellation: cancellation,
      onRestored: onRestored)
    if let unremembered {
      run.fail([], "could not be taken up again if it were interrupted: \(unremembered.message)")
    }
    try restore(run, selection, isTargetEmpty: wasEmpty)
    let outcome = try outcome(run, selection)
    options.journal?.finish()
    counters.phase = .done
    return outcome
  }

  private func status(of target: borrowing Target) throws(PipelineError) -> FileStatus {
    let descriptor = target.file.descriptor
    return try fromDisk { () throws(DiskError) in
      try FileCalls.status(of: descriptor, path: displayPath(options.target))
    }
  }

  private func restore(
    _ run: RestoreRun, _ selection: PathSelection, isTargetEmpty: Bool
  ) throws(PipelineError) {
    let windows = BoundedQueue<RestoreWindow>(capacity: 1)
    let planner = WorkerThread.start(name: "muninn-plan") { [options] in
      do throws(PipelineError) {
        var stage = try PlanStage(options, selection, run, isTargetEmpty: isTargetEmpty) {
          windows.push($0)
        }
        if stage.plan() { windows.close() } else { windows.cancel() }
      } catch {
        run.stop(error)
        windows.cancel()
      }
    }
    defer {
      windows.cancel()
      planner.join()
    }
    let syncs = options.syncs || options.countsExtents || options.verifies
    let early = syncs ? EarlySync(run) : nil
    defer { early?.end() }
    var directories = DirectoryStage(run: run)
    let links = LinkStage(run: run)
    let recorder = IdentityStage(run: run, options.identityCatalogue, target: options.target)
    let buffers = UnitReader.makeBuffers(threads: run.threads)
    while let window = windows.pop() {
      let reader = UnitReader(window, run, buffers)
      let behind = WriteBehind(window, run)
      WorkerThreads.run(count: run.threads, name: "muninn-restore") { _ in
        ContentStage(window, run, reader, behind).work()
      }
      reader.end()
      behind.end()
      try run.checkStopped()
      run.containersRead.add(UInt64(window.containers.count), ordering: .relaxed)
      links.link(window.links)
      directories.complete(window.closed)
      let identities = window.identities.withLock { $0 } + window.finished
      recorder.record(identities.sorted { $0.ordinal < $1.ordinal })
      try run.checkStopped()
    }
    // The planner may have ended the queue because of an error.
    try run.checkStopped()
    counters.phase = .metadata
    let linked = links.finish()
    directories.finish()
    try run.checkStopped()
    if syncs {
      early?.end()
      try run.checkStopped()
      let root = run.tree.root
      try fromDisk { () throws(DiskError) in
        try FileCalls.syncFileSystem(of: root.descriptor, path: displayPath(options.target))
      }
      recorder.isSynced = true
    }
    recorder.finish(linked)
  }

  private func outcome(
    _ run: RestoreRun, _ selection: PathSelection
  ) throws(PipelineError) -> RestoreOutcome {
    var outcome = RestoreOutcome()
    if options.verifies {
      counters.phase = .checking
      outcome.filesVerified = try VerifyStage(
        run: run, options: options, selection: selection
      ).verify()
      try run.checkStopped()
    }
    if options.countsExtents {
      (outcome.extents, outcome.sourceExtents) = try ExtentCountStage(
        run: run, options: options, selection: selection
      ).count()
      try run.checkStopped()
    }
    outcome.entries = run.entries.load(ordering: .relaxed)
    outcome.files = run.files.load(ordering: .relaxed)
    outcome.bytes = run.bytes.load(ordering: .relaxed)
    outcome.containersRead = run.containersRead.load(ordering: .relaxed)
    outcome.containerBytesRead = run.containerBytesRead.load(ordering: .relaxed)
    outcome.bytesWritten = run.bytesWritten.load(ordering: .relaxed)
    outcome.bytesRewritten = run.bytesRewritten.load(ordering: .relaxed)
    outcome.entriesKept = run.entriesKept.load(ordering: .relaxed)
    outcome.entriesDeleted = run.entriesDeleted.load(ordering: .relaxed)
    outcome.isResumed = run.rule.isResuming
    (outcome.failures, outcome.failureCount) = run.failures
    return outcome
  }
}
