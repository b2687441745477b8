internal import MuninnFormat

/// How a repository is made.
public struct CreateOptions: Sendable {
  /// Average chunk size in bytes; nil takes the measured default. The minimum and maximum follow
  /// from it.
  public var averageChunkSize: UInt32?
  /// Whether several file systems of a server may use the repository.
  public var isShared: Bool = false
  /// How chunks are told apart; it cannot be changed later.
  public var fingerprint: ChunkFingerprint = .xxh3
  /// What opens the repository; nil leaves everything in it readable for whoever can read its
  /// directory.
  public var key: RepositoryKey?

  public init() {}
}

/// How a repository's chunks are told apart.
public enum ChunkFingerprint: String, Sendable, Codable, CaseIterable {
  /// Keyed XXH3-128 and GMAC: as fast as memory, and sound unless whoever chooses what is backed up
  /// can read the repository's secrets.
  case xxh3
  /// SHA-256: sound also then. For repositories without encryption whose readers may be hostile.
  case sha256

  init(_ method: IdentityMethod) {
    switch method {
    case .xxh3: self = .xxh3
    case .sha256: self = .sha256
    }
  }

  var method: IdentityMethod {
    switch self {
    case .xxh3: .xxh3
    case .sha256: .sha256
    }
  }
}

/// How a repository is opened.
public struct OpenOptions: Sendable {
  /// Where this machine remembers what it has seen; nil takes `$XDG_STATE_HOME/muninn`.
  public var stateDirectory: String?
  /// Whether a local repository is written past the page cache (O_DIRECT) where its file system
  /// allows that; nil takes what was measured to be faster.
  public var writesDirectly: Bool?
  /// What opens an encrypted repository; nil for one that is not.
  public var key: RepositoryKey?
  /// Takes a repository as it is although this machine has seen a newer state of it, and remembers
  /// the older one from then on: for after an older state was put back on purpose.
  public var acceptsRollback: Bool = false

  public init(stateDirectory: String? = nil, writesDirectly: Bool? = nil) {
    self.stateDirectory = stateDirectory
    self.writesDirectly = writesDirectly
  }
}

/// Which snapshot is meant.
public enum SnapshotSelector: Sendable, Equatable {
  /// The newest one, or the newest of a file system.
  case latest(fileSystemID: String? = nil)
  /// An id or an unambiguous prefix of one.
  case id(String)
  /// The newest one at or before a time, in seconds since 1970, UTC.
  case at(seconds: Double, fileSystemID: String? = nil)
}

/// What a restore does with files that are in the target already.
public enum OverwritePolicy: String, Sendable, Codable, CaseIterable {
  /// They stay as they are.
  case never
  /// A file of the same size and time of modification has the content already; any other becomes
  /// what the snapshot says.
  case changed
  /// Every file's content is compared, and what differs becomes what the snapshot says.
  case always
}

/// What to restore, and where to.
public struct RestoreRequest: Sendable {
  public var snapshot: SnapshotSelector
  /// A directory that is absent or empty, or that holds the unfinished restore of the same
  /// snapshot, which then goes on where it was; any other with `overwrite`.
  public var target: String
  /// Paths below the snapshot's root; empty means everything.
  public var paths: [String] = []
  /// Patterns in gitignore syntax, as a backup's: what they match is left out.
  public var excludes: [String] = []
  /// The same, of what alone is restored, with the directories above it.
  public var includes: [String] = []
  /// What happens to files that are there already; nil refuses a target that is not empty.
  public var overwrite: OverwritePolicy?
  /// Remove what the target has and the snapshot has not. Only with `overwrite`.
  public var deletesOthers: Bool = false
  /// Write only what differs into large files that are there, instead of replacing them. Whoever
  /// has such a file open meets old and new content mixed while the restore runs.
  public var updatesInPlace: Bool = true
  /// Whether character and block devices are made.
  public var makesDevices: Bool = true
  /// Put everything on stable storage before the restore is done. Without it a power loss soon
  /// after may still lose what was restored, as with any copy.
  public var syncs: Bool = false
  /// Read everything back from the disk in the end, and compare it with the snapshot.
  public var verifies: Bool = false
  /// Bytes of content restored in a second at most, on average.
  public var bytesPerSecond: UInt64?
  /// Restore a file whose content cannot all be had as far as it can, with holes for the rest. What
  /// a repair has marked is restored so in any case.
  public var keepsPartialFiles: Bool = false
  /// Lay files out in path order in preallocated contiguous extents; holes stay holes.
  public var defragment: Bool = false
  /// Report the extents that the restored files lie in, and those of the source where it is on this
  /// machine. A defragmenting restore always does.
  public var countsExtents: Bool = false
  /// Where the restored tree's index is written, so that its next backup reads nothing; nil takes
  /// the state directory.
  public var indexDirectory: String?
  /// Where the restore's journal is kept; nil takes the state directory.
  public var journalDirectory: String?
  public var threads: Int?

  public init(snapshot: SnapshotSelector, target: String) {
    self.snapshot = snapshot
    self.target = target
  }
}

/// What a check verifies beyond the structure.
public struct CheckOptions: Sendable {
  /// Read and verify blocks, not only the structure.
  public var readData: Bool = false
  /// With `readData`, the part of all blocks that is read, drawn at random: above 0, to 1 for all.
  public var fraction: Double = 1
  /// Read whole containers until so much time has passed, those first that were read longest ago.
  /// In place of `readData`; looks at no manifest but those that damage touches.
  public var budgetSeconds: Double?
  /// The same, until so many bytes are read.
  public var budgetBytes: UInt64?
  /// Forget where an interrupted reading has ended, instead of going on there.
  public var startsOver: Bool = false
  public var threads: Int?

  public init(readData: Bool = false) { self.readData = readData }
}

/// How a damaged repository is repaired.
public struct RepairRequest: Sendable {
  /// Say what would be done, and change nothing.
  public var isDryRun: Bool = false
  /// Read every block to find the damaged ones. Without it only those containers are read that this
  /// machine's last check found damaged.
  public var readData: Bool = false
  public var threads: Int?

  public init() {}
}
