internal import MuninnDisk
internal import MuninnPipeline

/// What to back up, and how.
public struct BackupRequest: Sendable {
  /// Source paths. One directory becomes the snapshot's root; several keep their absolute paths.
  public var paths: [String]
  /// Source paths of a list, besides the others: they need not be there, and their number does not
  /// make the snapshot's record longer.
  public var listedPaths: [String] = []
  /// What stands for the list among the snapshot's paths: the absolute path of its file. The parent
  /// is the newest snapshot with the same one.
  public var listName = "/dev/stdin"
  /// Read every byte again instead of trusting inode, size, mtime and ctime of unchanged files.
  public var isFull: Bool = false
  /// Read what the repository has of each chunk that is there already, and take it only if the
  /// bytes are the same. A chunk whose bytes are others, or cannot be read, is stored anew.
  public var verifiesDuplicates: Bool = false
  public var tags: [String] = []
  /// A server's file system: decides the parent snapshot instead of host and paths.
  public var fileSystemID: String?
  public var fileSystemName: String?
  /// Stored in the snapshot as it is.
  public var document: String?
  /// Where this source's index lies; nil takes the state directory.
  public var indexDirectory: String?
  /// Threads that read, chunk and compress; nil takes the number of cores.
  public var threads: Int?

  // MARK: What of the sources is taken

  /// Patterns in gitignore syntax of what is left out, matched below the snapshot's root.
  public var excludes: [String] = []
  /// Patterns in gitignore syntax: where there are any, only what they match is taken, all below a
  /// directory that they match, and the directories that lead there.
  public var includes: [String] = []
  /// Stay on the file system of each source; where another one is mounted an empty directory is
  /// kept. File systems that show the kernel's state, such as /proc, are never entered.
  public var staysOnFileSystem = false
  /// Of a directory with a CACHEDIR.TAG file take that file alone.
  public var leavesCachesOut = false
  /// Of a directory with a file of one of these names take that file alone. `NAME:TEXT` means a
  /// file of that name that begins with that text.
  public var markers: [String] = []
  /// Leave out what has the flag of `chattr +d`.
  public var leavesNoDumpOut = false
  /// The smallest and largest size of files that are taken, in bytes.
  public var minimumFileSize: UInt64?
  public var maximumFileSize: UInt64?
  /// Kinds of entries that are taken; nil means all. Directories always are.
  public var kinds: Set<Entry.Kind>?

  // MARK: How it is read

  /// A stream that is backed up as one file, instead of paths.
  public var stream: StreamRequest?
  /// Take a file for unchanged also where its inode number is another one, as on network file
  /// systems that make them up.
  public var ignoresInode = false
  /// Files that are read at the same time; nil means one for a spinning disk, as many as threads
  /// for flash, eight at least for a network.
  public var readers: Int?
  /// Bytes a second that are read from the source at most.
  public var readRate: UInt64?
  /// How much of its time each thread may compute, 1 to 100.
  public var cpuPercent: Int?
  /// Leave in the page cache what was read into it; else what was not there before is given back.
  public var keepsPageCache = false

  // MARK: How it is stored

  /// How hard what is new is compressed: 0 not at all, 1 with LZ4's fast method, 3 to 12 with
  /// LZ4-HC, which is 10 to 25 times slower to write and as fast to restore.
  public var compressionLevel = 1
  /// How often, in seconds, what was backed up so far is committed as a partial snapshot, from
  /// which the next backup goes on if this one does not end. It is made also where the backup is
  /// cancelled or fails, if that is possible, and a complete snapshot takes its place. Nil for
  /// never, 0 for as often as it can be.
  public var partialInterval: Double? = 300
  /// How much of the content at most is written again out of containers of which it needs little,
  /// in per cent, so that restores stay as fast as of a first backup; 0 for nothing.
  public var rewriteLimitPercent = 1.0

  // MARK: Before and after

  /// Bytes that the repository's disk must have free for a backup to begin.
  public var minimumFreeBytes: UInt64 = 8 << 20
  /// A command for `/bin/sh` that runs first, such as one that makes and mounts a snapshot of a
  /// volume. If it fails nothing is backed up.
  public var before: String?
  /// A command for `/bin/sh` that runs last, also where the backup failed. `MUNINN_RESULT` is
  /// `success`, `partial` or `failure`, `MUNINN_SNAPSHOT` the id of the snapshot that was made.
  public var after: String?

  public init(paths: [String]) {
    self.paths = paths
  }
}

/// A stream that is backed up as one file.
public struct StreamRequest: Sendable {
  public enum Origin: Sendable {
    /// An open descriptor, read to its end; the caller closes it.
    case descriptor(Int32)
    /// A program and its arguments, in the display encoding. Where it does not end with status 0
    /// no snapshot is made.
    case command([String])
  }

  /// What the file is called: a path below the snapshot's root.
  public var name: String
  public var origin: Origin

  public init(name: String, origin: Origin) {
    self.name = name
    self.origin = origin
  }
}

extension BackupRequest {
  func walkRules() throws(MuninnError) -> WalkRules {
    var rules = WalkRules()
    rules.excludes = PathPatterns(excludes)
    rules.includes = PathPatterns(includes)
    rules.staysOnFileSystem = staysOnFileSystem
    rules.leavesCachesOut = leavesCachesOut
    rules.leavesNoDumpOut = leavesNoDumpOut
    rules.markers = try markers.map { (text) throws(MuninnError) in
      let bytes = Array(text.utf8)
      let end = bytes.firstIndex(of: UInt8(ascii: ":")) ?? bytes.count
      let name = Array(bytes[..<end])
      guard !name.isEmpty, !name.contains(UInt8(ascii: "/")), !name.contains(0) else {
        throw MuninnError(
          .invalidInput, "'\(text)' is no name of a marker: give NAME or NAME:TEXT")
      }
      return DirectoryMarker(name: name, beginning: Array(bytes[end...].dropFirst()))
    }
    let smallest = minimumFileSize ?? 0
    let largest = maximumFileSize ?? UInt64.max
    guard smallest <= largest else {
      throw MuninnError(
        .invalidInput,
        "no file has at least \(smallest) and at most \(largest) bytes: change one of the limits")
    }
    rules.fileSizes = smallest...largest
    rules.kinds = kinds.map { kinds in Set(kinds.map { FileStatus.Kind($0) }) }
    return rules
  }
}

extension FileStatus.Kind {
  init(_ kind: Entry.Kind) {
    switch kind {
    case .file: self = .file
    case .directory: self = .directory
    case .symlink: self = .symlink
    case .fifo: self = .fifo
    case .socket: self = .socket
    case .characterDevice: self = .characterDevice
    case .blockDevice: self = .blockDevice
    }
  }
}
