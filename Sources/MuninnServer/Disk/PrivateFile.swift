import Glibc

/// A file that only its owner may read.
enum PrivateFile {
  /// Makes `path` if it is absent, and takes everybody else's rights away in any case.
  static func make(_ path: String) throws(Refusal) {
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Directory.refusal(errno, "cannot be opened", path) }
    defer { close(descriptor) }
    guard fchmod(descriptor, 0o600) == 0 else {
      throw Directory.refusal(errno, "cannot be made private", path)
    }
  }
}
