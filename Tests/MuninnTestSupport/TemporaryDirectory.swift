import Glibc
package import MuninnDisk

/// A directory of its own for a test, removed with all that is in it when the last reference goes.
package final class TemporaryDirectory: Sendable {
  package let path: String

  /// Below `parent`, else `TMPDIR`, else "/tmp".
  package init(in parent: String? = nil) throws(DiskError) {
    let parent = parent ?? environmentVariable("TMPDIR") ?? "/tmp"
    var template = Array((parent + "/muninn-test-XXXXXX").utf8CString)
    guard let made = mkdtemp(&template) else {
      throw DiskError(errno: errno, operation: "mkdtemp", path: parent)
    }
    path = String(cString: made)
  }

  deinit {
    do throws(DiskError) {
      try removeTree(path)
    } catch {
      print("left behind: \(error)")
    }
  }

  package func file(_ name: String) -> String { path + "/" + name }
}

/// Removes a tree, whatever modes and flags its entries have. Absent is not an error.
package func removeTree(_ path: String) throws(DiskError) {
  try removeEntry(at: AT_FDCWD, Array(path.utf8), path)
}

private func removeEntry(at directory: CInt, _ name: [UInt8], _ path: String) throws(DiskError) {
  let status: FileStatus
  do throws(DiskError) {
    status = try withCName(name) { name throws(DiskError) in
      try FileCalls.status(at: directory, name, path: path)
    }
  } catch {
    if error.isNotFound { return }
    throw error
  }
  if status.kind == .directory || status.kind == .file {
    try clearFlags(at: directory, name, status, path)
  }
  if status.kind == .directory {
    try removeChildren(at: directory, name, path)
  }
  try withCName(name) { name throws(DiskError) in
    try FileCalls.unlink(
      at: directory, name, isDirectory: status.kind == .directory, path: path)
  }
}

private func removeChildren(at directory: CInt, _ name: [UInt8], _ path: String) throws(DiskError) {
  let opened = try withCName(name) { name throws(DiskError) in
    try FileCalls.setMode(at: directory, name, mode: 0o700, path: path)
    return try FileCalls.openDirectory(at: directory, name, path: path)
  }
  let listing = try DirectoryListing.read(opened.descriptor, path: path)
  for index in 0..<listing.count {
    let child = listing.name(index)
    let childPath = path + "/" + String(decoding: child, as: UTF8.self)
    try removeEntry(at: opened.descriptor, child, childPath)
  }
}

/// An immutable or append-only entry cannot be removed.
private func clearFlags(
  at directory: CInt, _ name: [UInt8], _ status: FileStatus, _ path: String
) throws(DiskError) {
  let immutable: UInt64 = 0x10
  let append: UInt64 = 0x20
  guard status.attributes & (immutable | append) != 0 else { return }
  let file = try withCName(name) { name throws(DiskError) in
    try FileCalls.openForReading(at: directory, name, path: path)
  }
  guard let flags = try FileCalls.attributeFlags(of: file.descriptor, path: path) else { return }
  try FileCalls.setAttributeFlags(
    of: file.descriptor, flags.subtracting([.immutable, .appendOnly]), path: path)
}
