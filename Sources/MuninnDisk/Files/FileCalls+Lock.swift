import Glibc

// Locks of open files, which end with the last descriptor.
extension FileCalls {
  private static let lockAttempts = 50
  private static let lockPauseMicroseconds: UInt32 = 10_000

  /// Takes an open file's lock for this process alone (flock). False where another holds it: only
  /// after half a second, since a process that is just being started holds the locks of who starts
  /// it until its program runs.
  package static func lock(
    _ descriptor: CInt, path: @autoclosure () -> String
  ) throws(DiskError) -> Bool {
    for _ in 0..<lockAttempts {
      let result = SystemCall.libc { flock(descriptor, LOCK_EX | LOCK_NB) }
      if result != -CInt(EWOULDBLOCK) {
        try SystemCall.check(result, "flock", path)
        return true
      }
      usleep(lockPauseMicroseconds)
    }
    return false
  }
}
