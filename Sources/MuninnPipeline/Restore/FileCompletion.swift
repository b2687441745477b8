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
    // An immutable inode takes no further names, and no other one either.
    let isRenamed = planned.placement.isRenamed
    try Metadata.complete(
      planned, descriptor, isOwnerDone: isOwnerDone, isModeDone: isModeDone,
      delaysFlags: planned.group != nil || isRenamed, run)
    if isRenamed {
      try NewEntry.takeName(planned, run)
      if planned.group == nil, entry.inodeFlags != 0 {
        try Metadata.setFlags(entry.inodeFlags, of: descriptor, entry.path, run)
      }
    }
    var identity: RestoredIdentity?
    if run.records || run.onRestored != nil {
      let status = try FileCalls.status(of: descriptor, path: displayPath(entry.path))
      // One with holes for what is lost is not what the snapshot says.
      if run.records, planned.group == nil, let ordinal = planned.ordinal,
        planned.losses?.isEmpty ?? true
      {
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
    let isPartial = !(planned.losses?.isEmpty ?? true)
    if let group = planned.group {
      run.links.complete(group, isPartial: isPartial)
      run.links.remember(
        planned.entry.path, isPartial ? nil : planned.ordinal, flags: planned.entry.inodeFlags)
    }
    run.count(planned.entry)
    if let losses = planned.losses, isPartial { run.fail(planned.entry.path, losses.description) }
    if planned.entry.isUnstable {
      run.fail(planned.entry.path, "was changing while it was backed up")
    }
  }

  /// Takes away what was made of an entry, and says why; ends the restore where the error is the
  /// whole target's.
  static func giveUp(
    _ planned: PlannedEntry, isMade: Bool, _ error: DiskError, _ run: RestoreRun
  ) {
    run.stopIfTargets(error)
    giveUp(planned, isMade: isMade, error.description, run)
  }

  /// Takes away what was made of an entry, and says why.
  static func giveUp(
    _ planned: PlannedEntry, isMade: Bool, _ message: String, _ run: RestoreRun
  ) {
    let path = planned.entry.path
    // What was there before stays, as far as it was.
    if isMade, planned.placement.isNew {
      do throws(DiskError) {
        let directory = try run.tree.handle(planned.directory)
        try FileCalls.unlink(
          at: directory.descriptor, planned.makingName, path: displayPath(path))
      } catch {
        run.fail(path, "could not be removed after it failed: \(error.description)")
      }
    }
    if let group = planned.group { run.links.fail(group) }
    if case .update = planned.placement {
      run.fail(path, "\(message); what was written to it until then stays in it")
    } else {
      run.fail(path, message)
    }
  }
}
