import Glibc
import MuninnDisk

/// Holds a base directory for one server: two would spoil each other's record of what runs. The
/// system lets go of it when the process ends, however it ends.
final class BaseLock: Sendable {
  private let file: OpenFile

  init(base: String) throws(Refusal) {
    let path = base + "/server.lock"
    do throws(DiskError) {
      file = try FileCalls.open(
        at: AT_FDCWD, path, flags: O_RDWR | O_CREAT, mode: 0o600, path: path)
    } catch {
      throw Directory.refusal(error.errno, "cannot be opened", path)
    }
    let isTaken: Bool
    do throws(DiskError) {
      isTaken = try FileCalls.lock(file.descriptor, path: path)
    } catch {
      throw Directory.refusal(error.errno, "cannot be locked", path)
    }
    guard isTaken else {
      throw Refusal(.conflict, "Another server is running on the base directory '\(base)'.")
    }
  }
}
