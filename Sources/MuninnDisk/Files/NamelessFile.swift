import CMuninnSystem
import Glibc

// Files that get their name when they are complete: a crash before leaves nothing behind.
extension FileCalls {
  /// A new file in `directory` that has no name yet, nil where the file system has no such thing.
  package static func openNameless(
    in directory: CInt, mode: UInt16, path: @autoclosure () -> String
  ) throws(DiskError) -> OpenFile? {
    // Nameless files get their name through /proc.
    guard access("/proc/self/fd", X_OK) == 0 else { return nil }
    do throws(DiskError) {
      return try open(
        at: directory, ".", flags: O_RDWR, extra: .temporary, mode: mode, path: path)
    } catch {
      if [EOPNOTSUPP, EISDIR, EINVAL].contains(error.errno) { return nil }
      throw error
    }
  }

  /// Gives a nameless file its name. EEXIST where that is taken.
  package static func nameFile(
    _ descriptor: CInt, in directory: CInt, _ name: UnsafePointer<CChar>,
    path: @autoclosure () -> String
  ) throws(DiskError) {
    let result = SystemCall.shim { muninn_link_descriptor(descriptor, directory, name) }
    try SystemCall.check(result, "link", path)
  }
}
