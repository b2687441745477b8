/// How far a long operation is. Delivered at most ten times a second, from a thread of the engine.
public struct Progress: Sendable, Codable, Equatable {
  public enum Phase: String, Sendable, Codable {
    case starting, scanning, reading, committing, planning, restoring, metadata, checking
    /// Finding and removing what nobody needs; copying what is needed to where it lies better.
    case collecting, rewriting
    case done
  }

  public var phase: Phase = .starting
  /// Entries of the tree that are done: files, directories and all else.
  public var filesDone: UInt64 = 0
  /// Entries in all, where they are known.
  public var filesTotal: UInt64?
  /// Content bytes that are done, unchanged files included.
  public var bytesDone: UInt64 = 0
  /// Content bytes in all, where they are known.
  public var bytesTotal: UInt64?
  /// Bytes written to the repository.
  public var bytesStored: UInt64 = 0
  public var chunksNew: UInt64 = 0
  public var chunksDuplicate: UInt64 = 0
  /// Content bytes a second since the start.
  public var bytesPerSecond: Double = 0
  /// Content bytes and entries a second over the last seconds.
  public var recentBytesPerSecond: Double = 0
  public var recentFilesPerSecond: Double = 0
  public var secondsElapsed: Double = 0
  /// Paths that could not be read so far.
  public var problemCount: UInt64 = 0
  /// The ones since the report before this one, at most 100 of them.
  public var newProblems: [PathProblem] = []
  /// The newest partial snapshot that a running backup has committed.
  public var partialSnapshot: String?
  /// The path being worked on, in the display encoding of names.
  public var currentPath: String = ""

  public init() {}

  /// Seconds that are left at the present rate, where the total is known; for a backup it is its
  /// parent's. Of bytes and entries the slower decides: a tree may have much of either.
  public var secondsLeft: Double? {
    let rate = recentBytesPerSecond > 0 ? recentBytesPerSecond : bytesPerSecond
    guard let bytesTotal, rate > 0, bytesTotal >= bytesDone else { return nil }
    let byBytes = Double(bytesTotal - bytesDone) / rate
    guard let filesTotal, recentFilesPerSecond > 0, filesTotal >= filesDone else { return byBytes }
    return max(byBytes, Double(filesTotal - filesDone) / recentFilesPerSecond)
  }
}

/// Called with each step of progress; never at the same time from two threads.
public typealias ProgressHandler = @Sendable (Progress) -> Void
