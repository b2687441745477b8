import Glibc
import MuninnDisk
import MuninnFormat

/// Gives an entry back what it was apart from its content, in the order that the kernel asks for:
/// changing the owner clears set-id bits and capabilities, setting anything changes times, and an
/// immutable inode takes nothing more.
///
/// What the file system or the kernel does not grant is reported once for its kind.
enum Metadata {
  /// STATX_ATTR_IMMUTABLE and STATX_ATTR_APPEND.
  static let lockingAttributes: UInt64 = 0x10 | 0x20

  /// Of an open file whose content is in place.
  static func complete(
    _ planned: PlannedEntry, _ descriptor: CInt, isOwnerDone: Bool, isModeDone: Bool,
    delaysFlags: Bool, _ run: RestoreRun
  ) throws(DiskError) {
    if !planned.placement.isNew || planned.mayInherit {
      try removeOthers(planned.entry, of: descriptor, run)
    }
    try apply(
      planned.entry, to: descriptor, isOwnerDone: isOwnerDone, isModeDone: isModeDone,
      delaysFlags: delaysFlags, run)
  }

  /// Takes away the attributes that a file or directory has, or has inherited, and the snapshot has
  /// not. Those of the security modules are the system's.
  static func removeOthers(
    _ entry: ManifestEntry, of descriptor: CInt, _ run: RestoreRun
  ) throws(DiskError) {
    let path = entry.path
    let wanted = Set(entry.attributes.map(\.name))
    for attribute in try FileCalls.extendedAttributes(of: descriptor, path: displayPath(path))
    where !wanted.contains(attribute.name) && isOurs(attribute.name) {
      try tolerating("extended attributes", path, run) { () throws(DiskError) in
        try FileCalls.removeExtendedAttribute(
          of: descriptor, name: attribute.name, path: displayPath(path))
      }
    }
  }

  private static func isOurs(_ name: [UInt8]) -> Bool {
    !name.starts(with: Array("security.".utf8))
      || name == Array("security.capability".utf8)
  }

  /// Takes away the flags that keep a file or directory from being changed.
  static func unlock(_ descriptor: CInt, _ path: [UInt8]) throws(DiskError) {
    let flags = try FileCalls.attributeFlags(of: descriptor, path: displayPath(path))
    guard let flags, !flags.isDisjoint(with: [.immutable, .appendOnly]) else { return }
    try FileCalls.setAttributeFlags(
      of: descriptor, flags.subtracting([.immutable, .appendOnly]), path: displayPath(path))
  }

  /// The mode that an entry gets. An ordinary user gives no set-id bit to what does not belong to
  /// whom it was meant to run as.
  private static func mode(of entry: ManifestEntry, _ run: RestoreRun) -> UInt16 {
    guard entry.mode & 0o6000 != 0, entry.kind != .directory, !run.ownership.isRoot else {
      return entry.mode
    }
    let owner = run.ownership.owner(of: entry)
    var mode = entry.mode
    if !run.ownership.isOurs(user: owner.user) { mode &= ~0o4000 }
    if !run.ownership.isOurs(group: owner.group) { mode &= ~0o2000 }
    if mode != entry.mode {
      run.note(
        "set-id bits", entry.path,
        "belongs to another user here, so its set-id bits are left out; so are those of others")
    }
    return mode
  }

  /// Of an open file or directory.
  static func apply(
    _ entry: ManifestEntry, to descriptor: CInt, isOwnerDone: Bool, isModeDone: Bool,
    delaysFlags: Bool, _ run: RestoreRun
  ) throws(DiskError) {
    let path = entry.path
    if !isOwnerDone {
      let owner = run.ownership.owner(of: entry)
      try tolerating("owner", path, run) { () throws(DiskError) in
        try FileCalls.setOwner(
          of: descriptor, user: owner.user, group: owner.group, path: displayPath(path))
      }
    }
    if !isModeDone {
      try FileCalls.setMode(of: descriptor, mode: mode(of: entry, run), path: displayPath(path))
    }
    for attribute in entry.attributes {
      try tolerating(attribute, path, run) { () throws(DiskError) in
        try FileCalls.setExtendedAttribute(
          of: descriptor, name: attribute.name, value: attribute.value, path: displayPath(path))
      }
    }
    try FileCalls.setTimes(
      of: descriptor, accessed: nil, modified: entry.modifiedNanoseconds,
      path: displayPath(path))
    if entry.inodeFlags != 0, !delaysFlags {
      try setFlags(entry.inodeFlags, of: descriptor, path, run)
    }
  }

  /// Of what cannot be opened: symlinks and special files.
  static func apply(
    _ entry: ManifestEntry, at directory: CInt, _ name: [CChar], mayInherit: Bool,
    _ run: RestoreRun
  ) throws(DiskError) {
    let path = entry.path
    let owner = run.ownership.owner(of: entry)
    if mayInherit || !run.ownership.isDefault(owner) {
      try tolerating("owner", path, run) { () throws(DiskError) in
        try FileCalls.setOwner(
          at: directory, name, user: owner.user, group: owner.group, path: displayPath(path))
      }
    }
    if entry.kind != .symlink {
      try FileCalls.setMode(
        at: directory, name, mode: mode(of: entry, run), path: displayPath(path))
    }
    for attribute in entry.attributes {
      try tolerating(attribute, path, run) { () throws(DiskError) in
        try FileCalls.setExtendedAttribute(
          at: directory, name, name: attribute.name, value: attribute.value,
          path: displayPath(path))
      }
    }
    try FileCalls.setTimes(
      at: directory, name, accessed: nil, modified: entry.modifiedNanoseconds,
      path: displayPath(path))
  }

  /// Adds the inode flags (`FS_IOC_SETFLAGS`) to those that the file system gave the file.
  static func setFlags(
    _ flags: UInt32, of descriptor: CInt, _ path: [UInt8], _ run: RestoreRun
  ) throws(DiskError) {
    try tolerating("inode flags", path, run) { () throws(DiskError) in
      guard
        let present = try FileCalls.attributeFlags(of: descriptor, path: displayPath(path))
      else {
        throw DiskError(errno: EOPNOTSUPP, operation: "setflags", path: displayPath(path))
      }
      let wanted = present.union(FileAttributeFlags(rawValue: flags))
      do throws(DiskError) {
        try FileCalls.setAttributeFlags(of: descriptor, wanted, path: displayPath(path))
      } catch {
        // Two of them take privileges: the others need not go with them.
        let rest = wanted.subtracting([.immutable, .appendOnly])
        guard error.isAccessDenied, rest != present else { throw error }
        try FileCalls.setAttributeFlags(of: descriptor, rest, path: displayPath(path))
        throw error
      }
    }
  }

  private static func tolerating(
    _ attribute: NamedAttribute, _ path: [UInt8], _ run: RestoreRun,
    _ body: () throws(DiskError) -> Void
  ) throws(DiskError) {
    do throws(DiskError) {
      try body()
    } catch {
      // One report for each name space that is refused.
      let space = attribute.name.prefix { $0 != UInt8(ascii: ".") }
      try tolerate(error, "extended attributes of \(displayPath(space)).", path, run)
    }
  }

  private static func tolerating(
    _ kind: String, _ path: [UInt8], _ run: RestoreRun, _ body: () throws(DiskError) -> Void
  ) throws(DiskError) {
    do throws(DiskError) { try body() } catch { try tolerate(error, kind, path, run) }
  }

  private static func tolerate(
    _ error: DiskError, _ kind: String, _ path: [UInt8], _ run: RestoreRun
  ) throws(DiskError) {
    guard [EPERM, EACCES, EOPNOTSUPP, EINVAL, ENOSYS, ENOTTY].contains(error.errno) else {
      throw error
    }
    run.note(
      kind, path, "\(error.description); \(kind) is not restored here, for this path and others")
  }
}
