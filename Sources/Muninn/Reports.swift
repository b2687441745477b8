/// A path, or an object of the repository, and what went wrong there.
public struct PathProblem: Sendable, Codable, Equatable {
  public let path: String
  public let message: String

  public init(path: String, message: String) {
    self.path = path
    self.message = message
  }
}

/// In how many contiguous pieces files lie on disk, as `filefrag` counts them.
public struct ExtentStatistics: Sendable, Codable, Equatable {
  /// Files that have content on disk.
  public let files: UInt64
  /// Extents of all of them.
  public let total: UInt64
  /// Extents of a file: of the one in the middle, of 99 in 100 files at most, and of the worst.
  public let median: UInt64
  public let percentile99: UInt64
  public let maximum: UInt64

  public init(
    files: UInt64, total: UInt64, median: UInt64, percentile99: UInt64, maximum: UInt64
  ) {
    self.files = files
    self.total = total
    self.median = median
    self.percentile99 = percentile99
    self.maximum = maximum
  }
}

/// What a restore would do to a path.
public enum RestoreChange: String, Sendable, Codable {
  case create, replace
  /// The content would be compared, and what differs written.
  case update
  /// The content is right already.
  case keep
  /// It would stay, whatever it is.
  case leave
  case delete
}

public struct RestoreReport: Sendable, Codable {
  public let snapshot: String
  public let seconds: Double
  public let entries: UInt64
  public let files: UInt64
  public let bytes: UInt64
  public let containersRead: UInt64
  public let containerBytesRead: UInt64
  /// Bytes of content that were written; the rest was there.
  public var bytesWritten: UInt64 = 0
  /// Of those, bytes that an attempt which was interrupted had written before.
  public var bytesRewritten: UInt64 = 0
  /// Entries that were there already and stay, as they were or with new metadata.
  public var entriesKept: UInt64 = 0
  /// Entries that the snapshot does not have and that were removed.
  public var entriesDeleted: UInt64 = 0
  /// Whether this went on with a restore that was interrupted.
  public var isResumed: Bool = false
  /// Files that were read back and are what the snapshot says.
  public var filesVerified: UInt64 = 0
  /// Of the restored files, where it was asked for and the file system tells.
  public let extents: ExtentStatistics?
  /// Of the same files in the source, where it is on this machine still and they have not changed.
  public let sourceExtents: ExtentStatistics?
  public let problems: [PathProblem]
  /// How many problems there were in all.
  public let problemCount: UInt64

  public init(
    snapshot: String, seconds: Double, entries: UInt64, files: UInt64, bytes: UInt64,
    containersRead: UInt64, containerBytesRead: UInt64, extents: ExtentStatistics?,
    sourceExtents: ExtentStatistics? = nil, problems: [PathProblem], problemCount: UInt64
  ) {
    self.snapshot = snapshot
    self.seconds = seconds
    self.entries = entries
    self.files = files
    self.bytes = bytes
    self.containersRead = containersRead
    self.containerBytesRead = containerBytesRead
    self.extents = extents
    self.sourceExtents = sourceExtents
    self.problems = problems
    self.problemCount = problemCount
  }
}

public struct RepositoryStatistics: Sendable, Codable {
  public let repositoryID: String
  public let formatVersion: UInt32
  public let isEncrypted: Bool
  public let snapshots: UInt64
  public let containers: UInt64
  public let chunks: UInt64
  /// Content bytes of all unique chunks, before compression.
  public let uniqueBytes: UInt64
  /// Bytes of all live containers.
  public let containerBytes: UInt64
  public let segmentBytes: UInt64
  public let journalRecords: UInt64
  public let journalBytes: UInt64
  /// Content bytes of all snapshots, as if each were kept alone.
  public let logicalBytes: UInt64

  public init(
    repositoryID: String, formatVersion: UInt32, isEncrypted: Bool, snapshots: UInt64,
    containers: UInt64, chunks: UInt64, uniqueBytes: UInt64, containerBytes: UInt64,
    segmentBytes: UInt64, journalRecords: UInt64, journalBytes: UInt64, logicalBytes: UInt64
  ) {
    self.repositoryID = repositoryID
    self.formatVersion = formatVersion
    self.isEncrypted = isEncrypted
    self.snapshots = snapshots
    self.containers = containers
    self.chunks = chunks
    self.uniqueBytes = uniqueBytes
    self.containerBytes = containerBytes
    self.segmentBytes = segmentBytes
    self.journalRecords = journalRecords
    self.journalBytes = journalBytes
    self.logicalBytes = logicalBytes
  }
}
