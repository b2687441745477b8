internal import MuninnDisk
internal import MuninnStore

/// How a repository is pruned.
public struct PruneOptions: Sendable {
  /// Say what would be done, and do nothing.
  public var isDryRun = false

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
  /// What is left.
  public let containersLeft: UInt64
  public let bytesLeft: UInt64
}

extension Repository {
  /// Gives the space back that no snapshot needs, while backups and restores go on. Nobody waits
  /// for it, and it waits for nobody: what a running backup or restore may still need is left to
  /// the next prune.
  ///
  /// Throws `damaged` where the journal is, since then nobody can say what is needed. When it is
  /// cancelled or killed, what it did stays done, and the next one goes on.
  public func prune(
    _ options: PruneOptions = PruneOptions()
  ) async throws(MuninnError) -> PruneReport {
    try await onEngineThread { [self] (cancellation) throws(MuninnError) in
      let started = Machine.monotonicNanoseconds()
      _ = try currentJournal()
      let outcome = try asMuninn(store: { () throws(StoreError) in
        try GarbageCollection.run(store, isDryRun: options.isDryRun, cancellation: cancellation)
      })
      _ = try? readJournal()
      return PruneReport(
        isDryRun: options.isDryRun,
        seconds: Double(Machine.monotonicNanoseconds() - started) / 1e9,
        sessionsFenced: outcome.fenced, containersCondemned: outcome.condemned.count,
        bytesCondemned: outcome.condemned.bytes, objectsDeleted: outcome.deleted.count,
        bytesFreed: outcome.deleted.bytes, objectsWaiting: outcome.waiting.count,
        bytesWaiting: outcome.waiting.bytes,
        waitingFor: outcome.waitedFor.map(\.description), containersLeft: outcome.live.count,
        bytesLeft: outcome.live.bytes)
    }
  }
}
