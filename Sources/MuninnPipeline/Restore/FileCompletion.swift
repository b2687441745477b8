import MuninnDisk
import MuninnFormat

/// The end of a file, whoever wrote it: its metadata, or its removal.
enum FileCompletion {
  /// Gives the open file its metadata. Returns its new identity where that is wanted and final.
  static func complete(
    _ planned: PlannedEntry, _ descriptor: CInt, isOwnerDone: Bool, isModeDone: Bool,
    _ run: RestoreRun
  ) throws(DiskError) -> RestoredIdentity? {
    let entry = planned.entry
    try Metadata.apply(
      entry, to: descriptor, isOwnerDone: isOwnerDone, isModeDone: isModeDone,
      // An immutable inode takes no further names.
      delaysFlags: planned.group != nil, run)
    var identity: RestoredIdentity?
    if run.records || run.onRestored != nil {
      let status = try FileCalls.status(of: descriptor, path: displayPath(entry.path))
      if run.records, planned.group == nil, let ordinal = planned.ordinal {
        identity = RestoredIdentity(
          ordinal: ordinal, inode: status.inode,
          changedNanoseconds: status.changedNanoseconds)
      }
      run.onRestored?(entry.path, status)
    }
    finish(planned, run)
    return identity
  }

  /// Counts an entry that is complete, and lets further names of it be made.
  static func finish(_ planned: PlannedEntry, _ run: RestoreRun) {
    if let group = planned.group {
      run.links.complete(group)
      run.links.remember(planned.entry.path, planned.ordinal, flags: planned.entry.inodeFlags)
    }
    run.count(planned.entry)
    if planned.entry.isUnstable {
      run.fail(planned.entry.path, "was changing while it was backed up")
    }
  }

  /// Takes away what was made of an entry, and says why.
  static func giveUp(
    _ planned: PlannedEntry, isMade: Bool, _ message: String, _ run: RestoreRun
  ) {
    let path = planned.entry.path
    if isMade {
      do throws(DiskError) {
        let directory = try run.tree.handle(planned.directory)
        try FileCalls.unlink(
          at: directory.descriptor, lastName(of: path), path: displayPath(path))
      } catch {
        run.fail(path, "could not be removed after it failed: \(error.description)")
      }
    }
    if let group = planned.group { run.links.fail(group) }
    run.fail(path, message)
  }
}
