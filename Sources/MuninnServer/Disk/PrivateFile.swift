import Glibc
import MuninnDisk

/// A file that only its owner may read.
enum PrivateFile {
  private static let byteLimit = 1 << 20

  /// Makes `path` if it is absent, and takes everybody else's rights away in any case.
  static func make(_ path: String) throws(Refusal) {
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Directory.refusal(errno, "cannot be opened", path) }
    defer { close(descriptor) }
    guard fchmod(descriptor, 0o600) == 0 else {
      throw Directory.refusal(errno, "cannot be made private", path)
    }
  }

  /// The bytes of a file of at most 1 MiB; nil where there is none.
  static func content(_ path: String) throws(Refusal) -> [UInt8]? {
    do throws(DiskError) {
      let file = try FileCalls.open(at: AT_FDCWD, path, flags: O_RDONLY, path: path)
      var result: Result<Int, DiskError> = .success(0)
      let bytes = [UInt8](unsafeUninitializedCapacity: byteLimit) { buffer, count in
        do throws(DiskError) {
          count = try FileCalls.read(
            file.descriptor, into: UnsafeMutableRawBufferPointer(buffer), path: path)
        } catch {
          result = .failure(error)
        }
      }
      _ = try result.get()
      return bytes
    } catch {
      if error.isNotFound { return nil }
      throw Directory.refusal(error.errno, "cannot be read", path)
    }
  }

  /// Replaces a file as a whole, or makes it. When this returns, it is on stable storage.
  static func replace(_ path: String, _ bytes: [UInt8]) throws(Refusal) {
    let parent = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "./"
    let temporary = path + ".new"
    do throws(DiskError) {
      let directory = try FileCalls.open(
        at: AT_FDCWD, parent, flags: O_RDONLY | O_DIRECTORY, path: parent)
      let file = try FileCalls.open(
        at: AT_FDCWD, temporary, flags: O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o600,
        path: temporary)
      try FileCalls.setMode(of: file.descriptor, mode: 0o600, path: temporary)
      var failure: DiskError?
      bytes.withUnsafeBytes { bytes in
        do throws(DiskError) {
          try FileCalls.write(file.descriptor, bytes, path: temporary)
        } catch {
          failure = error
        }
      }
      if let failure { throw failure }
      try FileCalls.sync(file.descriptor, path: temporary)
      try FileCalls.rename(
        fromDirectory: AT_FDCWD, temporary, toDirectory: AT_FDCWD, path, path: path)
      try FileCalls.sync(directory.descriptor, path: parent)
    } catch {
      throw Directory.refusal(error.errno, "cannot be written", path)
    }
  }
}
