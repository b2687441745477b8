import CMuninnSystem
import Glibc

// Owner, mode, times and flags.
extension FileCalls {
  /// Of a symlink itself if the name is one. The kernel clears set-id bits of files here, so the
  /// mode comes after the owner.
  package static func setOwner(
    at directory: CInt, _ name: UnsafePointer<CChar>, user: UInt32, group: UInt32,
    path: @autoclosure () -> String
  ) throws(DiskError) {
    let result = SystemCall.libc {
      fchownat(directory, name, user, group, AT_SYMLINK_NOFOLLOW)
    }
    try SystemCall.check(result, "chown", path)
  }

  package static func setOwner(
    of descriptor: CInt, user: UInt32, group: UInt32, path: @autoclosure () -> String
  ) throws(DiskError) {
    let result = SystemCall.libc { fchown(descriptor, user, group) }
    try SystemCall.check(result, "chown", path)
  }

  /// Not for symlinks: they have no mode, and the call says EOPNOTSUPP instead of following one.
  package static func setMode(
    at directory: CInt, _ name: UnsafePointer<CChar>, mode: UInt16, path: @autoclosure () -> String
  ) throws(DiskError) {
    let result = SystemCall.libc {
      fchmodat(directory, name, mode_t(mode), AT_SYMLINK_NOFOLLOW)
    }
    try SystemCall.check(result, "chmod", path)
  }

  package static func setMode(
    of descriptor: CInt, mode: UInt16, path: @autoclosure () -> String
  ) throws(DiskError) {
    let result = SystemCall.libc { fchmod(descriptor, mode_t(mode)) }
    try SystemCall.check(result, "chmod", path)
  }

  /// Nanoseconds since 1970, of a symlink itself if the name is one; nil leaves a time as it is.
  package static func setTimes(
    at directory: CInt, _ name: UnsafePointer<CChar>, accessed: Int64?, modified: Int64?,
    path: @autoclosure () -> String
  ) throws(DiskError) {
    try setTimes(directory, name, accessed, modified, path)
  }

  package static func setTimes(
    of descriptor: CInt, accessed: Int64?, modified: Int64?, path: @autoclosure () -> String
  ) throws(DiskError) {
    try setTimes(descriptor, nil, accessed, modified, path)
  }

  private static func setTimes(
    _ directory: CInt, _ name: UnsafePointer<CChar>?, _ accessed: Int64?, _ modified: Int64?,
    _ path: () -> String
  ) throws(DiskError) {
    let result = SystemCall.shim {
      muninn_set_times(
        directory, name, accessed ?? 0, accessed == nil ? 1 : 0, modified ?? 0,
        modified == nil ? 1 : 0)
    }
    try SystemCall.check(result, "utimensat", path)
  }
}

/// The FS_*_FL flags of chattr(1) that a backup keeps.
package struct FileAttributeFlags: OptionSet, Sendable, Hashable {
  package let rawValue: UInt32
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  package static let immutable = Self(rawValue: 0x10)
  package static let appendOnly = Self(rawValue: 0x20)
  package static let noDump = Self(rawValue: 0x40)
  package static let noAccessTime = Self(rawValue: 0x80)
  package static let noCopyOnWrite = Self(rawValue: 0x80_0000)
}

extension FileCalls {
  /// All flags that the file system keeps for the file, nil where it keeps none.
  package static func attributeFlags(
    of descriptor: CInt, path: @autoclosure () -> String
  ) throws(DiskError) -> FileAttributeFlags? {
    var flags: UInt32 = 0
    let result = SystemCall.shim { muninn_get_flags(descriptor, &flags) }
    if [-ENOTTY, -EOPNOTSUPP, -ENOSYS, -EINVAL].contains(result) { return nil }
    try SystemCall.check(result, "getflags", path)
    return FileAttributeFlags(rawValue: flags)
  }

  /// Sets all flags; get them first, and change the ones meant. Immutable and append-only take
  /// privileges (EPERM).
  package static func setAttributeFlags(
    of descriptor: CInt, _ flags: FileAttributeFlags, path: @autoclosure () -> String
  ) throws(DiskError) {
    let result = SystemCall.shim { muninn_set_flags(descriptor, flags.rawValue) }
    try SystemCall.check(result, "setflags", path)
  }
}
