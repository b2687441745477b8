package import MuninnDisk
package import MuninnStore
import Synchronization

/// A restore, stage by stage, in the order of the data:
///
///     manifest -> ManifestWalk -> PlanStage -> [RestoreWindow] -> ContentStage on every core
///       (read blocks, decode, verify, write; PlainStage for what needs no container)
///       -> LinkStage -> DirectoryStage -> IdentityStage
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

  package func run() throws(PipelineError) -> RestoreOutcome {
    counters.phase = .planning
    let selection = try PathSelection(options.paths)
    // A snapshot that cannot be read at all leaves the target as it is.
    _ = try ManifestWalk(options.root, selection: selection, needsOrdinals: false, store: store)
    let target = try TargetStage.prepare(options.target)
    let status = try fromDisk { () throws(DiskError) in
      try FileCalls.status(of: target.descriptor, path: displayPath(options.target))
    }
    if selection.isEverything {
      counters.entriesTotal.store(options.entryCount, ordering: .relaxed)
      counters.bytesTotal.store(options.byteCount, ordering: .relaxed)
    }
    let run = RestoreRun(
      store: store, tree: TargetTree(root: target), ownership: Ownership(target: status),
      options: options, counters: counters, cancellation: cancellation, onRestored: onRestored)
    try restore(run, selection)
    return try outcome(run, selection)
  }

  private func restore(
    _ run: RestoreRun, _ selection: PathSelection
  ) throws(PipelineError) {
    let windows = BoundedQueue<RestoreWindow>(capacity: 1)
    let planner = WorkerThread.start(name: "muninn-plan") { [options] in
      do throws(PipelineError) {
        var stage = try PlanStage(options, selection, run) { windows.push($0) }
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
    var directories = DirectoryStage(run: run)
    let links = LinkStage(run: run)
    let recorder = IdentityStage(run: run, options.identityCatalogue, target: options.target)
    while let window = windows.pop() {
      WorkerThreads.run(count: max(1, options.threads), name: "muninn-restore") { _ in
        ContentStage(window, run).work()
      }
      try run.checkStopped()
      run.containersRead.add(UInt64(window.containers.count), ordering: .relaxed)
      links.link(window.links)
      directories.complete(window.closed)
      recorder.record(window.identities.withLock { $0.sorted { $0.ordinal < $1.ordinal } })
      try run.checkStopped()
    }
    // The planner may have ended the queue because of an error.
    try run.checkStopped()
    counters.phase = .metadata
    let linked = links.finish()
    directories.finish()
    try run.checkStopped()
    recorder.finish(linked)
  }

  private func outcome(
    _ run: RestoreRun, _ selection: PathSelection
  ) throws(PipelineError) -> RestoreOutcome {
    var outcome = RestoreOutcome()
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
    (outcome.failures, outcome.failureCount) = run.failures
    counters.phase = .done
    return outcome
  }
}
