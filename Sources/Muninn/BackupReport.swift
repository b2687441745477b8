/// What a backup did.
public struct BackupReport: Sendable, Codable {
  public let snapshot: Snapshot
  public let seconds: Double
  /// The partial snapshots of backups that did not end from which this one went on, and whose place
  /// its snapshot took.
  public internal(set) var continued: [String] = []
  /// How often another was first to commit, and the seconds that this took: in no other way does
  /// anybody wait for another.
  public internal(set) var conflicts: UInt64 = 0
  public internal(set) var secondsWaited: Double = 0
  /// Paths that could not be read, in path order, at most 1,000 of them; the count is in the
  /// statistics.
  public let problems: [PathProblem]
  /// What went wrong with the command that was to run after the backup.
  public internal(set) var afterProblem: PathProblem?
  /// Of a full backup: files that held something else than the parent has of them although inode,
  /// size and times said that they did not change; at most 1,000 of them. Empty proves that what
  /// the incremental backups before took over was right.
  public let differing: [PathProblem]
  public let differingCount: UInt64
  /// Files that were changing each time that they were read, at most 1,000 of them.
  public let unstable: [PathProblem]
  public let unstableCount: UInt64
  /// Content bytes that were written again out of containers of which the parent needed little.
  public internal(set) var bytesRewritten: UInt64 = 0
  /// How the snapshot's content lies in the repository, without a look into it: nil is not known.
  public internal(set) var fragmentation: FragmentationReport?
  /// Chunks that were stored anew although the repository has chunks of their fingerprint and tag:
  /// those are something else, or cannot be read. Only where duplicates were verified.
  public let refusedDuplicates: UInt64
  /// Content bytes of the tree a second.
  public let bytesPerSecond: Double
  /// Content bytes that were read for each that was new; nil where nothing was new.
  public let deduplicationRatio: Double?
  /// Bytes of new chunks for each byte that the repository grew by; nil where nothing was new.
  public let compressionRatio: Double?

  public init(
    snapshot: Snapshot, seconds: Double, problems: [PathProblem],
    differing: [PathProblem] = [], differingCount: UInt64 = 0, unstable: [PathProblem] = [],
    unstableCount: UInt64 = 0, refusedDuplicates: UInt64 = 0
  ) {
    self.snapshot = snapshot
    self.seconds = seconds
    self.problems = problems
    self.differing = differing
    self.differingCount = differingCount
    self.unstable = unstable
    self.unstableCount = unstableCount
    self.refusedDuplicates = refusedDuplicates
    let counts = snapshot.statistics
    bytesPerSecond = seconds > 0 ? Double(counts.bytes) / seconds : 0
    let new = Double(counts.bytesNew)
    deduplicationRatio = counts.bytesNew > 0 ? Double(counts.bytesRead) / new : nil
    compressionRatio =
      counts.bytesNew > 0 && counts.bytesStored > 0 ? new / Double(counts.bytesStored) : nil
  }

  /// Whether every path was read and none of them was changing.
  public var isComplete: Bool {
    problems.isEmpty && afterProblem == nil && snapshot.statistics.errors == 0
      && differingCount == 0
      && unstableCount == 0
  }
}

/// What a backup would do.
public struct PreviewReport: Sendable, Codable {
  /// The snapshot that it would be held against.
  public let parent: String?
  /// `bytesRead` is what would be read; what of it is new shows in a backup alone.
  public let statistics: BackupStatistics
  public let seconds: Double
  /// Paths that cannot be looked at, at most 1,000 of them.
  public let problems: [PathProblem]

  public init(
    parent: String?, statistics: BackupStatistics, seconds: Double, problems: [PathProblem]
  ) {
    self.parent = parent
    self.statistics = statistics
    self.seconds = seconds
    self.problems = problems
  }
}

/// What a running backup has to say.
public enum BackupEvent: Sendable {
  case progress(Progress)
  /// The last one.
  case done(BackupReport)
}
