import Glibc
import Muninn
import Synchronization

/// Bytes for standard output. A reader that went away ends the operation without an error; a disk
/// that is full does not.
final class BinaryOutput: Sendable {
  private let failure = Mutex<Int32>(0)

  init() { signal(SIGPIPE, SIG_IGN) }

  /// Returns false where nobody takes more.
  func write(_ bytes: [UInt8]) -> Bool {
    var start = 0
    while start < bytes.count {
      let count = bytes[start...].withUnsafeBytes {
        Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count)
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        let error = errno
        failure.withLock { $0 = error }
        return false
      }
      start += count
    }
    return true
  }

  /// Whether the reader went away.
  var isClosed: Bool { failure.withLock { $0 } == EPIPE }

  /// Throws what writing met.
  func check() throws {
    let error = failure.withLock { $0 }
    guard error != 0, error != EPIPE else { return }
    throw MuninnError(
      error == ENOSPC ? .noSpace : .inputOutput,
      "writing to standard output failed: \(String(cString: strerror(error)))")
  }
}
