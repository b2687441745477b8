/// How far a long operation is. Delivered at most ten times a second, from a thread of the engine.
public struct Progress: Sendable, Codable, Equatable {
  public enum Phase: String, Sendable, Codable {
    case starting, scanning, reading, committing, planning, restoring, metadata, checking, done
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
  public var secondsElapsed: Double = 0
  /// The path being worked on, in the display encoding of names.
  public var currentPath: String = ""

  public init() {}

  /// Seconds that are left at the present rate, where the total is known.
  public var secondsLeft: Double? {
    guard let bytesTotal, bytesPerSecond > 0, bytesTotal >= bytesDone else { return nil }
    return Double(bytesTotal - bytesDone) / bytesPerSecond
  }
}

/// Called with each step of progress; never at the same time from two threads.
public typealias ProgressHandler = @Sendable (Progress) -> Void
