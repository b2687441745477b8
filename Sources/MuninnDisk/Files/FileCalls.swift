import CMuninnSystem
import Glibc

/// Calls on files and directories of source and target trees.
///
/// Each retries when a signal interrupts it, and none allocates unless it returns an array or
/// throws. `directory` is a descriptor or `AT_FDCWD`, names end with NUL, and `path` is evaluated
/// only for the text of an error. Nothing here follows a symlink in the last component.
package enum FileCalls {}

// Looking and opening.
extension FileCalls {
  /// statx, without following a symlink and without mounting anything.
  package static func status(
    at directory: CInt, _ name: UnsafePointer<CChar>, path: @autoclosure () -> String
  ) throws(DiskError) -> FileStatus {
    var status = muninn_status()
    let result = SystemCall.shim { muninn_status_at(directory, name, &status) }
    try SystemCall.check(result, "statx", path)
    guard let status = FileStatus(status) else {
      throw SystemCall.failure(EINVAL, "statx", path())
    }
    return status
  }

  /// statx of an open file, O_PATH ones as well.
  package static func status(
    of descriptor: CInt, path: @autoclosure () -> String
  ) throws(DiskError) -> FileStatus {
    try status(at: descriptor, "", path: path())
  }

  /// openat with O_CLOEXEC added. `mode` counts where the call creates a file, less the umask.
  package static func open(
    at directory: CInt, _ name: UnsafePointer<CChar>, flags: CInt, mode: UInt16 = 0,
    path: @autoclosure () -> String
  ) throws(DiskError) -> OpenFile {
    try open(at: directory, name, flags: flags, extra: [], mode: mode, path: path)
  }

  static func open(
    at directory: CInt, _ name: UnsafePointer<CChar>, flags: CInt, extra: ExtraOpenFlags,
    mode: UInt16 = 0, path: () -> String
  ) throws(DiskError) -> OpenFile {
    let result = SystemCall.shim {
      muninn_open_at(directory, name, flags, extra.rawValue, UInt32(mode))
    }
    return OpenFile(adopting: try SystemCall.check(result, "open", path))
  }

  /// Opens for reading without leaving a trace in the access time where the system allows that
  /// (owner or root). Does not follow a symlink (ELOOP), and does not block on a fifo or a terminal
  /// that took the file's place since it was looked at: check the status of what came back.
  package static func openForReading(
    at directory: CInt, _ name: UnsafePointer<CChar>, path: @autoclosure () -> String
  ) throws(DiskError) -> OpenFile {
    let flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY
    let quiet = SystemCall.shim {
      muninn_open_at(directory, name, flags, ExtraOpenFlags.noAccessTime.rawValue, 0)
    }
    if quiet != -EPERM {
      return OpenFile(adopting: try SystemCall.check(quiet, "open", path))
    }
    return try open(at: directory, name, flags: flags, extra: [], path: path)
  }

  /// Opens a directory for listing and as the base of other calls; ENOTDIR for anything else,
  /// symlinks to directories included.
  package static func openDirectory(
    at directory: CInt, _ name: UnsafePointer<CChar>, path: @autoclosure () -> String
  ) throws(DiskError) -> OpenFile {
    try open(
      at: directory, name, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, extra: [], path: path)
  }

  /// An O_PATH descriptor of whatever the name is, a symlink itself included.
  package static func openPath(
    at directory: CInt, _ name: UnsafePointer<CChar>, path: @autoclosure () -> String
  ) throws(DiskError) -> OpenFile {
    try open(at: directory, name, flags: O_NOFOLLOW, extra: .path, path: path)
  }

  /// The magic number of the file system, statfs(2).
  package static func fileSystemType(
    of descriptor: CInt, path: @autoclosure () -> String
  ) throws(DiskError) -> UInt64 {
    var type: UInt64 = 0
    let result = SystemCall.shim { muninn_file_system_type(descriptor, &type) }
    try SystemCall.check(result, "statfs", path)
    return type
  }

  /// The bytes that a user without privileges may still write to the path's file system.
  package static func freeBytes(_ path: String) throws(DiskError) -> UInt64 {
    var status = statvfs()
    let result = SystemCall.libc { statvfs(path, &status) }
    try SystemCall.check(result, "statvfs", { path })
    return freeBytes(status)
  }

  /// The same of an open file.
  package static func freeBytes(
    of descriptor: CInt, path: @autoclosure () -> String
  ) throws(DiskError) -> UInt64 {
    var status = statvfs()
    let result = SystemCall.libc { fstatvfs(descriptor, &status) }
    try SystemCall.check(result, "statvfs", path)
    return freeBytes(status)
  }

  private static func freeBytes(_ status: statvfs) -> UInt64 {
    UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize)).partialValue
  }
}
