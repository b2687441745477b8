import Glibc
import MuninnDisk
import MuninnTestSupport
import Testing

/// Locks of open files against each other: each opening is a holder of its own.
@Suite struct FileLockTests {
  private let scratch: TemporaryDirectory
  private var path: String { scratch.file("lock") }

  init() throws { scratch = try TemporaryDirectory() }

  private func opened() throws -> OpenFile {
    try FileCalls.open(at: AT_FDCWD, path, flags: O_RDWR | O_CREAT, mode: 0o600, path: path)
  }

  @Test func oneHoldsItAtATime() throws {
    let first = try opened()
    #expect(try FileCalls.lock(first.descriptor, path: path))
    let second = try opened()
    #expect(try !FileCalls.lock(second.descriptor, path: path))
    try first.close()
    #expect(try FileCalls.lock(second.descriptor, path: path))
  }

  /// As a process does that is being started: it has the descriptors of who starts it for a moment.
  @Test func aMomentIsWaitedFor() throws {
    let first = try opened()
    #expect(try FileCalls.lock(first.descriptor, path: path))
    let copy = dup(first.descriptor)
    try first.close()
    let child = WorkerThread.start(name: "child") {
      usleep(100_000)
      close(copy)
    }
    let second = try opened()
    #expect(try FileCalls.lock(second.descriptor, path: path))
    child.join()
  }

  @Test func whatIsNoOpenFileIsAnError() {
    let error = #expect(throws: DiskError.self) { try FileCalls.lock(-1, path: "nothing") }
    #expect(error?.errno == EBADF)
  }
}
