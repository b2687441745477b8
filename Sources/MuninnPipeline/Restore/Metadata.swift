import Glibc
import MuninnDisk
import MuninnFormat

/// Gives an entry back what it was apart from its content, in the order that the kernel asks for:
/// changing the owner clears set-id bits and capabilities, setting anything changes times, and an
/// immutable inode takes nothing more.
///
/// What the file system or the kernel does not grant is reported once for its kind.
enum Metadata {
  /// Of an open file or directory.
  static func apply(
    _ entry: ManifestEntry, to descriptor: CInt, isOwnerDone: Bool, isModeDone: Bool,
    delaysFlags: Bool, _ run: RestoreRun
  ) throws(DiskError) {
    let path = entry.path
    if !isOwnerDone {
      let owner = run.ownership.owner(of: entry)
      if entry.kind == .directory || !run.ownership.isDefault(owner) {
        try tolerating("owner", path, run) { () throws(DiskError) in
          try FileCalls.setOwner(
            of: descriptor, user: owner.user, group: owner.group, path: displayPath(path))
        }
      }
    }
    if !isModeDone {
      try FileCalls.setMode(of: descriptor, mode: entry.mode, path: displayPath(path))
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
    _ entry: ManifestEntry, at directory: CInt, _ name: [CChar], _ run: RestoreRun
  ) throws(DiskError) {
    let path = entry.path
    let owner = run.ownership.owner(of: entry)
    if !run.ownership.isDefault(owner) {
      try tolerating("owner", path, run) { () throws(DiskError) in
        try FileCalls.setOwner(
          at: directory, name, user: owner.user, group: owner.group, path: displayPath(path))
      }
    }
    if entry.kind != .symlink {
      try FileCalls.setMode(at: directory, name, mode: entry.mode, path: displayPath(path))
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
