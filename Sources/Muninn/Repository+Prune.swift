internal import MuninnDisk
internal import MuninnFormat
internal import MuninnPipeline
internal import MuninnStore

/// How much may stay in a repository that nobody needs.
public enum UnusedLimit: Sendable, Equatable {
  /// A part of all bytes of containers, from 0 to 1.
  case fraction(Double)
  case bytes(UInt64)
  /// Nothing is rewritten for the sake of space.
  case unlimited
}

/// How a repository is pruned.
public struct PruneOptions: Sendable {
  /// Say what would be done, and do nothing.
  public var isDryRun = false
  /// Containers of which only a part is needed are rewritten, the sparsest first, until no more
  /// than this is left that nobody needs.
  public var maximumUnused = UnusedLimit.fraction(0.05)
  /// Bytes that are copied at most; nil as many as it takes.
  public var maximumRewrite: UInt64?
  /// Bytes that are read for copying in a second at most, on average.
  public var bytesPerSecond: UInt64?
  public var threads: Int?

  public init() {}
}

/// What a prune did, or would do. Bytes are those of objects on the disk.
public struct PruneReport: Sendable, Codable {
  public let isDryRun: Bool
  public let seconds: Double
  /// Sessions that were taken for dead: what they stored and did not commit was given up.
  public let sessionsFenced: Int
  /// Containers that no snapshot needs, newly found.
  public let containersCondemned: UInt64
  public let bytesCondemned: UInt64
  /// Objects that were deleted, and the space that is free again.
  public let objectsDeleted: UInt64
  public let bytesFreed: UInt64
  /// Objects that nobody needs and that wait until the backups and restores end that may not know.
  public let objectsWaiting: UInt64
  public let bytesWaiting: UInt64
  /// Which backups and restores those are.
  public let waitingFor: [String]
  /// Containers of which only a part was needed and that were rewritten, what was copied of them,
  /// and what they took.
  public var containersRewritten: UInt64 = 0
  public var bytesRewritten: UInt64 = 0
  public var bytesReplaced: UInt64 = 0
  /// What nobody needs in the containers that are left; nil where nobody looked.
  public var bytesUnused: UInt64?
  /// Whether less was rewritten than asked for, since much that was replaced waits for others.
  public var isHeldBack: Bool = false
  /// What stays as it is, since something of it is damaged: check and repair know more.
  public var problems: [PathProblem] = []
  /// What is left.
  public let containersLeft: UInt64
  public let bytesLeft: UInt64
}

extension Repository {
  /// Gives the space back that no snapshot needs, while backups and restores go on. Nobody waits
  /// for it, and it waits for nobody: what a running backup or restore may still need is left to
  /// the next prune.
  ///
  /// Throws `damaged` where the journal is, since then nobody can say what is needed, `noSpace`
  /// where there is no room for what is copied. When it is cancelled or killed, what it did stays
  /// done, and the next one goes on.
  public func prune(
    _ options: PruneOptions = PruneOptions(), progress: ProgressHandler? = nil
  ) async throws(MuninnError) -> PruneReport {
    try await onOperationThread { [self] (cancellation) throws(MuninnError) in
      let started = Machine.monotonicNanoseconds()
      let counters = ProgressCounters()
      let reporter = ProgressReporter(counters, progress)
      defer { reporter?.finish() }
      _ = try currentJournal()
      var work = CollectOptions(threads: Engine.workers(options.threads))
      work.isDryRun = options.isDryRun
      work.maximumUnused = options.maximumUnused.limit
      work.maximumRewrite = options.maximumRewrite
      work.bytesPerSecond = options.bytesPerSecond
      work.earlier = state.usage(of: store)
      let outcome = try asMuninn(pipeline: { () throws(PipelineError) in
        try PrunePipeline(
          store: store, options: work, progress: counters, cancellation: cancellation
        ).run()
      })
      if !options.isDryRun { state.remember(outcome.known, of: store) }
      _ = try? readJournal()
      return PruneReport(
        outcome, isDryRun: options.isDryRun,
        seconds: Double(Machine.monotonicNanoseconds() - started) / 1e9)
    }
  }
}

extension PruneReport {
  init(_ outcome: CollectOutcome, isDryRun: Bool, seconds: Double) {
    let collection = outcome.collection
    self.init(
      isDryRun: isDryRun, seconds: seconds, sessionsFenced: collection.fenced,
      containersCondemned: collection.condemned.count,
      bytesCondemned: collection.condemned.bytes, objectsDeleted: collection.deleted.count,
      bytesFreed: collection.deleted.bytes, objectsWaiting: collection.waiting.count,
      bytesWaiting: collection.waiting.bytes,
      waitingFor: collection.waitedFor.map(\.description),
      containersLeft: collection.live.count, bytesLeft: collection.live.bytes)
    containersRewritten = outcome.rewrittenContainers
    bytesRewritten = outcome.rewrittenByteCount
    bytesReplaced = outcome.replacedByteCount
    bytesUnused = outcome.unusedByteCount
    isHeldBack = outcome.isHeldBack
    problems = outcome.pathProblems
  }
}

extension UnusedLimit {
  var limit: MuninnPipeline.UnusedLimit {
    switch self {
    case .fraction(let part): .fraction(part)
    case .bytes(let count): .bytes(count)
    case .unlimited: .unlimited
    }
  }
}

extension CollectOutcome {
  var pathProblems: [PathProblem] {
    problems.map { PathProblem(path: $0.object ?? "repository", message: $0.message) }
      + unknown.map {
        PathProblem(
          path: "snapshot \($0.description.prefix(8))",
          message: "what it needs cannot be found whole, so nothing that it has was rewritten")
      }
  }
}
