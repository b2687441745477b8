import Glibc
import MuninnDisk
import MuninnFormat

/// Removes entries of the target, directories with all that is in them. Follows no link, and leaves
/// alone what is mounted inside. Belongs to one thread.
final class TreeRemoval {
  /// An open directory that is being emptied.
  private struct Level {
    let path: [UInt8]
    let handle: Handle
    let listing: DirectoryListing
    var next = 0
    /// Something in it could not be removed.
    var isKept = false
  }

  private let fail: ([UInt8], DiskError) -> Void
  private let shouldStop: () -> Bool
  private(set) var count: UInt64 = 0

  init(fail: @escaping ([UInt8], DiskError) -> Void, shouldStop: @escaping () -> Bool) {
    self.fail = fail
    self.shouldStop = shouldStop
  }

  convenience init(run: RestoreRun) {
    self.init(fail: { run.fail($0, $1) }, shouldStop: { run.shouldStop })
  }

  /// Removes the entry at `path`, whose directory is open. Goes down with a stack of its own, so
  /// that no depth is too deep; descriptors are as many as the tree is deep.
  func remove(_ path: [UInt8], in directory: CInt) {
    var stack: [Level] = []
    do throws(DiskError) {
      guard let level = try removeOrEnter(path, in: directory) else { return }
      stack.append(level)
    } catch {
      fail(path, error)
      return
    }
    while let level = stack.last, !shouldStop() {
      let top = stack.count - 1
      guard level.next < level.listing.count else {
        stack.removeLast()
        let above = stack.last?.handle.descriptor ?? directory
        if level.isKept || !finish(level, in: above), top > 0 { stack[top - 1].isKept = true }
        continue
      }
      stack[top].next += 1
      let below = level.path + [0x2F] + level.listing.name(level.next)
      do throws(DiskError) {
        if let entered = try removeOrEnter(below, in: level.handle.descriptor) {
          stack.append(entered)
        }
      } catch {
        fail(below, error)
        stack[top].isKept = true
      }
    }
  }

  private func finish(_ level: Level, in above: CInt) -> Bool {
    do throws(DiskError) {
      try FileCalls.unlink(
        at: above, lastName(of: level.path), isDirectory: true, path: displayPath(level.path))
      count += 1
      return true
    } catch {
      fail(level.path, error)
      return false
    }
  }

  /// Removes what is no directory; opens what is one. Nil where it is gone.
  private func removeOrEnter(_ path: [UInt8], in directory: CInt) throws(DiskError) -> Level? {
    let name = lastName(of: path)
    let status: FileStatus
    do throws(DiskError) {
      status = try FileCalls.status(at: directory, name, path: displayPath(path))
    } catch {
      if error.isNotFound { return nil }
      throw error
    }
    let above = try FileCalls.status(of: directory, path: displayPath(path))
    if status.attributes & Metadata.lockingAttributes != 0,
      status.kind == .file || status.kind == .directory
    {
      let locked = try FileCalls.openForReading(at: directory, name, path: displayPath(path))
      try Metadata.unlock(locked.descriptor, path)
    }
    guard status.kind == .directory else {
      try FileCalls.unlink(at: directory, name, path: displayPath(path))
      count += 1
      return nil
    }
    guard status.mountID == above.mountID, status.deviceMajor == above.deviceMajor,
      status.deviceMinor == above.deviceMinor
    else {
      throw DiskError(errno: EBUSY, operation: "remove a mount point", path: displayPath(path))
    }
    if geteuid() != 0, status.mode & 0o700 != 0o700 {
      try FileCalls.setMode(
        at: directory, name, mode: status.mode | 0o700, path: displayPath(path))
    }
    let handle = Handle(
      try FileCalls.openDirectory(at: directory, name, path: displayPath(path)))
    return Level(
      path: path, handle: handle,
      listing: try DirectoryListing.read(handle.descriptor, path: displayPath(path)))
  }
}
