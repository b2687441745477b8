import Glibc
import MuninnDisk

/// A directory of this run alone. Who makes it calls `remove` at the end.
struct Scratch {
  let path: String

  /// Below `directory`, which is made where it is missing.
  init(below directory: String) throws {
    let absolute = try Scratch.absolute(directory)
    _ = try LocalStorage(path: absolute, create: true)
    var name = "muninn-bench-\(getpid())"
    var attempt = 0
    while mkdir(absolute + "/" + name, 0o700) != 0 {
      attempt += 1
      guard errno == EEXIST, attempt < 100 else {
        throw BenchError("no directory can be made in \(absolute)")
      }
      name = "muninn-bench-\(getpid())-\(attempt)"
    }
    path = absolute + "/" + name
  }

  /// Removes it with everything in it.
  func remove() { Scratch.remove(path) }

  func file(_ name: String) -> String { path + "/" + name }

  /// Removes a file, or a directory and all below it; what cannot be removed stays.
  static func remove(_ path: String) {
    if unlink(path) == 0 || errno == ENOENT { return }
    if let directory = try? FileCalls.openDirectory(at: AT_FDCWD, path, path: path) {
      removeContent(of: directory)
    }
    rmdir(path)
  }

  private static func removeContent(of directory: borrowing OpenFile) {
    let descriptor = directory.descriptor
    guard let listing = try? DirectoryListing.read(descriptor, path: "") else { return }
    for index in 0..<listing.count {
      listing.withName(index) { name, _ in
        if unlinkat(descriptor, name, 0) == 0 { return }
        if let below = try? FileCalls.openDirectory(at: descriptor, name, path: "") {
          removeContent(of: below)
        }
        _ = unlinkat(descriptor, name, AT_REMOVEDIR)
      }
    }
  }

  /// The path from the root, without a trailing slash.
  static func absolute(_ path: String) throws -> String {
    var full = path
    if !path.hasPrefix("/") {
      guard let current = getcwd(nil, 0) else { throw BenchError("there is no current directory") }
      defer { free(current) }
      full = String(cString: current) + "/" + path
    }
    while full.count > 1, full.hasSuffix("/") { full.removeLast() }
    return full
  }
}
