import CMuninnSystem
import Glibc

// Making and removing entries. Modes are less the umask: set them afterwards.
extension FileCalls {
  package static func makeDirectory(
    at directory: CInt, _ name: UnsafePointer<CChar>, mode: UInt16, path: @autoclosure () -> String
  ) throws(DiskError) {
    let result = SystemCall.libc { mkdirat(directory, name, mode_t(mode)) }
    try SystemCall.check(result, "mkdir", path)
  }

  package static func makeSymlink(
    target: UnsafePointer<CChar>, at directory: CInt, _ name: UnsafePointer<CChar>,
    path: @autoclosure () -> String
  ) throws(DiskError) {
    let result = SystemCall.libc { symlinkat(target, directory, name) }
    try SystemCall.check(result, "symlink", path)
  }

  /// A further name of an existing file; of a symlink itself if it is one.
  package static func makeHardLink(
    fromDirectory: CInt, _ fromName: UnsafePointer<CChar>, toDirectory: CInt,
    _ toName: UnsafePointer<CChar>, path: @autoclosure () -> String
  ) throws(DiskError) {
    let result = SystemCall.libc { linkat(fromDirectory, fromName, toDirectory, toName, 0) }
    try SystemCall.check(result, "link", path)
  }

  /// A fifo, a socket's name or a device (which takes privileges); EINVAL for the other kinds.
  package static func makeNode(
    at directory: CInt, _ name: UnsafePointer<CChar>, kind: FileStatus.Kind, mode: UInt16,
    rdevMajor: UInt32 = 0, rdevMinor: UInt32 = 0, path: @autoclosure () -> String
  ) throws(DiskError) {
    let result = SystemCall.shim {
      muninn_make_node(
        directory, name, CInt(kind.rawValue), UInt32(mode), rdevMajor, rdevMinor)
    }
    try SystemCall.check(result, "mknod", path)
  }

  /// A symlink's target. `sizeHint` is its size as statx told, to get by with one call.
  package static func readLink(
    at directory: CInt, _ name: UnsafePointer<CChar>, sizeHint: UInt64 = 0,
    path: @autoclosure () -> String
  ) throws(DiskError) -> [UInt8] {
    // One more than expected, so that a full buffer means that something may be missing.
    var capacity = Int(clamping: min(sizeHint, 4096)) + 1
    if sizeHint == 0 { capacity = 256 }
    while true {
      var result = 0
      let target = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, initialized in
        guard let base = UnsafeMutableRawBufferPointer(buffer).baseAddress else { return }
        result = SystemCall.libc {
          readlinkat(directory, name, base.assumingMemoryBound(to: CChar.self), capacity)
        }
        initialized = max(result, 0)
      }
      try SystemCall.check(result, "readlink", path)
      if result < capacity { return target }
      capacity *= 4
    }
  }

  package static func unlink(
    at directory: CInt, _ name: UnsafePointer<CChar>, isDirectory: Bool = false,
    path: @autoclosure () -> String
  ) throws(DiskError) {
    let result = SystemCall.libc { unlinkat(directory, name, isDirectory ? AT_REMOVEDIR : 0) }
    try SystemCall.check(result, isDirectory ? "rmdir" : "unlink", path)
  }

  /// Renames, replacing what has the new name.
  package static func rename(
    fromDirectory: CInt, _ fromName: UnsafePointer<CChar>, toDirectory: CInt,
    _ toName: UnsafePointer<CChar>, path: @autoclosure () -> String
  ) throws(DiskError) {
    let result = SystemCall.libc { renameat(fromDirectory, fromName, toDirectory, toName) }
    try SystemCall.check(result, "rename", path)
  }

  /// Renames unless the new name exists (EEXIST); EINVAL where the file system cannot promise that.
  package static func renameNoReplace(
    fromDirectory: CInt, _ fromName: UnsafePointer<CChar>, toDirectory: CInt,
    _ toName: UnsafePointer<CChar>, path: @autoclosure () -> String
  ) throws(DiskError) {
    let result = SystemCall.shim {
      muninn_rename_no_replace(fromDirectory, fromName, toDirectory, toName)
    }
    try SystemCall.check(result, "rename", path)
  }
}
