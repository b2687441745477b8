import Glibc
import MuninnDisk

/// Holds a base directory for one server: two would spoil each other's record of what runs. The
/// system lets go of it when the process ends, however it ends.
final class BaseLock: Sendable {
  private let descriptor: Int32

  init(base: String) throws(Refusal) {
    let path = base + "/server.lock"
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Directory.refusal(errno, "cannot be opened", path) }
    let isTaken: Bool
    do throws(DiskError) {
      isTaken = try FileCalls.lock(descriptor, path: path)
    } catch {
      throw Directory.refusal(error.errno, "cannot be locked", path)
    }
    guard isTaken else {
      throw Refusal(.conflict, "Another server is running on the base directory '\(base)'.")
    }
  }

  deinit { close(descriptor) }
}
