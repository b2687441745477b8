internal import MuninnDisk
internal import MuninnFormat
internal import MuninnPipeline
internal import MuninnStore

/// How a repository is defragmented.
public struct DefragmentOptions: Sendable {
  /// Say what would be done, and do nothing.
  public var isDryRun = false
  /// Compress what is rewritten with LZ4-HC, which takes longer and makes it smaller.
  public var recompresses = false
  /// What may stay that nobody needs, as in a prune.
  public var maximumUnused = UnusedLimit.fraction(0.05)
  /// Bytes that are read for copying in a second at most, on average.
  public var bytesPerSecond: UInt64?
  public var threads: Int?

  public init() {}
}

/// What a restore of the newest snapshots has to touch.
public struct LayoutStatistics: Sendable, Codable, Equatable {
  public let containers: UInt64
  /// Bytes of content and manifests that they need in those containers, before compression.
  public let bytesNeeded: UInt64
  /// All that those containers hold, before compression.
  public let bytesHeld: UInt64

  init(_ figures: LayoutFigures) {
    containers = figures.containers
    bytesNeeded = figures.usedByteCount
    bytesHeld = figures.rawByteCount
  }
}

/// What a defragmentation did, or would do. Bytes are those of objects on the disk.
public struct DefragmentReport: Sendable, Codable {
  public let isDryRun: Bool
  public let seconds: Double
  /// Containers that were rewritten, what was copied of them, and what they took.
  public let containersRewritten: UInt64
  public let bytesRewritten: UInt64
  public let bytesReplaced: UInt64
  /// The newest snapshot of each source before, and now; in a dry run, as before.
  public let before: LayoutStatistics
  public let after: LayoutStatistics
  /// Objects that were deleted, and the space that is free again.
  public let objectsDeleted: UInt64
  public let bytesFreed: UInt64
  /// What was replaced and waits until the backups and restores end that may not know.
  public let bytesWaiting: UInt64
  public let waitingFor: [String]
  /// Whether it stopped early on their account, so that the disk would not grow further.
  public let isHeldBack: Bool
  /// What stays as it is, since something of it is damaged: check and repair know more.
  public let problems: [PathProblem]
  /// What is left.
  public let containersLeft: UInt64
  public let bytesLeft: UInt64
}

extension Repository {
  /// Lays the newest snapshot of each source out in path order, and groups the rest by the
  /// snapshots that use it, while backups and restores go on.
  ///
  /// Throws as `prune` does. When it is cancelled or killed, what it did stays done, and the next
  /// one goes on.
  public func defragment(
    _ options: DefragmentOptions = DefragmentOptions(), progress: ProgressHandler? = nil
  ) async throws(MuninnError) -> DefragmentReport {
    try await onOperationThread { [self] (cancellation) throws(MuninnError) in
      let started = Machine.monotonicNanoseconds()
      let counters = ProgressCounters()
      let reporter = ProgressReporter(counters, progress)
      defer { reporter?.finish() }
      _ = try currentJournal()
      var work = CollectOptions(threads: Engine.workers(options.threads))
      work.isDryRun = options.isDryRun
      work.maximumUnused = options.maximumUnused.limit
      work.bytesPerSecond = options.bytesPerSecond
      work.level = options.recompresses ? 9 : 1
      work.windowByteCount = 1 << 30
      let outcome = try asMuninn(pipeline: { () throws(PipelineError) in
        try DefragmentPipeline(
          store: store, options: work, progress: counters, cancellation: cancellation
        ).run()
      })
      _ = try? readJournal()
      return DefragmentReport(
        outcome, isDryRun: options.isDryRun,
        seconds: Double(Machine.monotonicNanoseconds() - started) / 1e9)
    }
  }
}

extension DefragmentReport {
  init(_ outcome: DefragmentOutcome, isDryRun: Bool, seconds: Double) {
    let (work, collection) = (outcome.work, outcome.work.collection)
    self.init(
      isDryRun: isDryRun, seconds: seconds, containersRewritten: work.rewrittenContainers,
      bytesRewritten: work.rewrittenByteCount, bytesReplaced: work.replacedByteCount,
      before: LayoutStatistics(outcome.before), after: LayoutStatistics(outcome.after),
      objectsDeleted: collection.deleted.count, bytesFreed: collection.deleted.bytes,
      bytesWaiting: collection.waiting.bytes,
      waitingFor: collection.waitedFor.map(\.description), isHeldBack: work.isHeldBack,
      problems: work.pathProblems, containersLeft: collection.live.count,
      bytesLeft: collection.live.bytes)
  }
}
