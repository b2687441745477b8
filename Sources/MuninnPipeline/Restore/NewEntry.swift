import Glibc
import MuninnDisk
import MuninnFormat
import Synchronization

/// Making an inode for an entry: under its name where that is free, else under a temporary one.
enum NewEntry {
  /// Makes a regular file, or opens the one that is updated.
  static func open(
    at directory: CInt, making planned: PlannedEntry, _ run: RestoreRun, flags: CInt, mode: UInt16
  ) throws(DiskError) -> OpenFile {
    let path = planned.entry.path
    guard planned.placement.isNew else {
      return try FileCalls.open(
        at: directory, lastName(of: path), flags: flags | O_NOFOLLOW | O_NONBLOCK,
        path: displayPath(path))
    }
    let name = planned.makingName
    let creating = flags | O_CREAT | O_EXCL | O_NOFOLLOW
    do throws(DiskError) {
      return try FileCalls.open(
        at: directory, name, flags: creating, mode: mode, path: displayPath(path))
    } catch {
      guard error.errno == EEXIST, planned.placement.isRenamed else { throw error }
      try removeLeftover(at: directory, name, path, run)
      return try FileCalls.open(
        at: directory, name, flags: creating, mode: mode, path: displayPath(path))
    }
  }

  /// Makes something else with `body`, which is given the name, once more after removing what an
  /// interrupted attempt has left.
  static func make(
    at directory: CInt, _ planned: PlannedEntry, _ run: RestoreRun,
    _ body: ([CChar]) throws(DiskError) -> Void
  ) throws(DiskError) {
    let name = planned.makingName
    do throws(DiskError) {
      try body(name)
    } catch {
      guard error.errno == EEXIST, planned.placement.isRenamed else { throw error }
      try removeLeftover(at: directory, name, planned.entry.path, run)
      try body(name)
    }
  }

  private static func removeLeftover(
    at directory: CInt, _ name: [CChar], _ path: [UInt8], _ run: RestoreRun
  ) throws(DiskError) {
    if run.rule.isResuming {
      let status = try FileCalls.status(at: directory, name, path: displayPath(path))
      run.bytesRewritten.wrappingAdd(
        min(status.size, status.blocks512 &* 512), ordering: .relaxed)
    }
    try FileCalls.unlink(at: directory, name, path: displayPath(path))
  }

  /// Gives an entry that was made under a temporary name its own: in place of what has it, or,
  /// where that has to stay, only if nothing has.
  static func takeName(_ planned: PlannedEntry, _ run: RestoreRun) throws(DiskError) {
    let path = planned.entry.path
    let directory = try run.tree.handle(planned.directory)
    let temporary = planned.makingName
    if run.rule.completesBeforeNaming {
      do throws(DiskError) {
        try FileCalls.renameNoReplace(
          fromDirectory: directory.descriptor, temporary, toDirectory: directory.descriptor,
          lastName(of: path), path: displayPath(path))
        return
      } catch {
        // File systems that cannot promise it: nothing had the name when it was planned.
        guard error.errno == EINVAL || error.errno == ENOSYS else { throw error }
      }
    }
    try FileCalls.rename(
      fromDirectory: directory.descriptor, temporary, toDirectory: directory.descriptor,
      lastName(of: path), path: displayPath(path))
  }
}
