/// One completed backup. Every snapshot restores alone.
public struct Snapshot: Sendable, Codable, Equatable, Identifiable {
  /// A partial one was committed while its backup was still at work, and has the entries up to some
  /// path. Nobody gets it who does not name it, and the next complete one of the same source takes
  /// its place.
  public enum Kind: String, Sendable, Codable { case full, incremental, partial }

  /// 32 hexadecimal digits. Any unambiguous prefix of at least 4 names the snapshot.
  public let id: String
  /// The first 8 digits.
  public var shortID: String { String(id.prefix(8)) }
  public let parent: String?
  public let kind: Kind
  /// Seconds since 1970, UTC, when the backup began and when it was committed.
  public let started: Double
  public let completed: Double
  public let host: String
  public let user: String
  public let programVersion: String
  /// The absolute source paths, in the display encoding of names.
  public let paths: [String]
  public let tags: [String]
  /// The file system that it belongs to, where a server made it.
  public let fileSystemID: String?
  public let fileSystemName: String?
  /// The file system document (JSON) that a server stored with it.
  public let document: String?
  public let statistics: BackupStatistics
  /// Whether it is protected from being forgotten.
  public let isHeld: Bool
  /// Why it is held, if anyone said so.
  public let holdReason: String?
  /// The snapshot that a repair made this one from, since some of its content was lost.
  public let repairs: String?
  /// The repaired snapshot that stands for this one now.
  public let supersededBy: String?

  public init(
    id: String, parent: String?, kind: Kind, started: Double, completed: Double, host: String,
    user: String, programVersion: String, paths: [String], tags: [String], fileSystemID: String?,
    fileSystemName: String?, document: String?, statistics: BackupStatistics,
    isHeld: Bool = false, holdReason: String? = nil,
    repairs: String? = nil, supersededBy: String? = nil
  ) {
    self.id = id
    self.parent = parent
    self.kind = kind
    self.started = started
    self.completed = completed
    self.host = host
    self.user = user
    self.programVersion = programVersion
    self.paths = paths
    self.tags = tags
    self.fileSystemID = fileSystemID
    self.fileSystemName = fileSystemName
    self.document = document
    self.statistics = statistics
    self.isHeld = isHeld
    self.holdReason = holdReason
    self.repairs = repairs
    self.supersededBy = supersededBy
  }
}

/// What a backup found and stored. Bytes are content bytes unless the name says otherwise.
public struct BackupStatistics: Sendable, Codable, Equatable {
  public var entries: UInt64 = 0
  public var files: UInt64 = 0
  public var directories: UInt64 = 0
  public var filesNew: UInt64 = 0
  public var filesChanged: UInt64 = 0
  public var filesUnchanged: UInt64 = 0
  /// Content bytes of the whole tree.
  public var bytes: UInt64 = 0
  /// Content bytes that were read.
  public var bytesRead: UInt64 = 0
  /// Content bytes of new chunks, before compression.
  public var bytesNew: UInt64 = 0
  /// Bytes written to the repository, of every kind of object.
  public var bytesStored: UInt64 = 0
  public var chunksNew: UInt64 = 0
  public var chunksDuplicate: UInt64 = 0
  /// Paths that could not be read.
  public var errors: UInt64 = 0

  public init() {}
}

/// One entry of a snapshot's tree, as `ls` shows it.
public struct Entry: Sendable, Codable, Equatable {
  public enum Kind: String, Sendable, Codable {
    case file, directory, symlink, fifo, socket, characterDevice, blockDevice
  }

  /// Path below the snapshot's root, in the display encoding of names.
  public let path: String
  public let kind: Kind
  /// Permission bits, set-id and sticky bits: the low 12 bits of `st_mode`.
  public let mode: UInt32
  public let userID: UInt32
  public let groupID: UInt32
  public let userName: String
  public let groupName: String
  /// Content bytes of a file.
  public let size: UInt64
  /// Nanoseconds since 1970, UTC.
  public let modifiedNanoseconds: Int64
  public let linkTarget: String?
  /// When the inode changed last.
  public let changedNanoseconds: Int64
  /// When the file was made, where its file system keeps that.
  public let birthNanoseconds: Int64?
  /// For one of several names of a file: the first one's path.
  public let hardLinkTo: String?
  /// Names of the extended attributes, POSIX ACLs and capabilities among them.
  public let attributeNames: [String]
  /// The flags of chattr(1) that a restore sets again, as `FS_IOC_GETFLAGS` numbers them.
  public let inodeFlags: UInt32
  /// The file was changing each time that the backup read it: its content is of no one moment.
  public let isUnstable: Bool
  /// A repair found that the repository had not all of the content.
  public let isDamaged: Bool

  public init(
    path: String, kind: Kind, mode: UInt32, userID: UInt32, groupID: UInt32, userName: String,
    groupName: String, size: UInt64, modifiedNanoseconds: Int64, linkTarget: String?,
    changedNanoseconds: Int64 = 0, birthNanoseconds: Int64? = nil, hardLinkTo: String? = nil,
    attributeNames: [String] = [], inodeFlags: UInt32 = 0, isUnstable: Bool = false,
    isDamaged: Bool = false
  ) {
    self.path = path
    self.kind = kind
    self.mode = mode
    self.userID = userID
    self.groupID = groupID
    self.userName = userName
    self.groupName = groupName
    self.size = size
    self.modifiedNanoseconds = modifiedNanoseconds
    self.linkTarget = linkTarget
    self.changedNanoseconds = changedNanoseconds
    self.birthNanoseconds = birthNanoseconds
    self.hardLinkTo = hardLinkTo
    self.attributeNames = attributeNames
    self.inodeFlags = inodeFlags
    self.isUnstable = isUnstable
    self.isDamaged = isDamaged
  }
}
