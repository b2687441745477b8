package import MuninnDisk
package import MuninnFormat
package import MuninnStore
internal import Synchronization

/// What a backup would find: walks and compares, and opens no file. Writes nothing, not even a
/// session.
package struct BackupPreview {
  package struct Outcome: Sendable {
    /// `bytesRead` is what would be read.
    package var counts: SnapshotCounts
    package var failures: [PathFailure]
  }

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

  /// Blocks; call it from a thread of its own.
  package func run() throws(PipelineError) -> Outcome {
    let root = try SourceRoot(options.sources, listed: options.listedSources)
    var failures = root.missing.map { PathFailure(path: $0.path, message: $0.reason) }
    var failureCount = UInt64(failures.count)
    let fail = { (failure: PathFailure) in
      failureCount += 1
      if failures.count < BackupShared.maximumReportedFailures { failures.append(failure) }
    }
    let walk = WalkStage(root, rules: options.rules)
    let lister = WorkerThread.start(name: "muninn-walk") { walk.runAhead() }
    defer {
      walk.stop()
      lister.join()
      walk.close()
    }
    counters.phase = .scanning
    var byteCount: UInt64 = 0
    var stage = try CompareStage(
      options: options, store: store, live: nil, counters: counters
    ) { (batch) throws(PipelineError) in
      counters.add(entries: UInt64(batch.entryCount))
    }
    try walk.run { (walked) throws(PipelineError) in
      guard !cancellation.isCancelled else { throw PipelineError.cancelled }
      if walked.status.kind == .file { byteCount += walked.status.size }
      try stage.add(walked, fail: fail)
    } fail: {
      fail($0)
    }
    try stage.flush()
    counters.phase = .done
    var counts = stage.counts
    counts.bytes = byteCount
    counts.bytesRead = stage.readByteCount
    counts.errors = failureCount
    return Outcome(counts: counts, failures: failures)
  }
}
