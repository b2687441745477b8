import Glibc
import MuninnDisk
import MuninnFormat

/// Makes what needs no container: small and empty files, symlinks, special files. Belongs to one
/// thread.
struct PlainStage {
  /// Entries that a worker takes at once.
  static let batchCount = 64

  /// A new file, and how much of its metadata it has from birth.
  struct MadeFile: ~Copyable {
    let file: OpenFile
    let isOwnerDone: Bool
    let isModeDone: Bool
  }

  let run: RestoreRun
  /// The directory that was used last: the next entry is most likely in it too.
  private var directory: (id: TargetTree.ID, handle: Handle)?

  init(run: RestoreRun) { self.run = run }

  mutating func make(_ planned: PlannedEntry) -> RestoredIdentity? {
    var isMade = planned.isMade
    do throws(DiskError) {
      if case .keep = planned.placement { return try keep(planned) }
      if planned.entry.kind == .file {
        let made = try make(file: planned)
        isMade = true
        if !planned.placement.isNew { try cut(planned, made.file.descriptor) }
        if case .inline(let bytes) = planned.entry.content {
          try write(bytes, to: made.file.descriptor, planned.entry.path)
        } else if planned.entry.size > 0, planned.placement.isNew {
          try FileCalls.truncate(
            made.file.descriptor, planned.entry.size, path: displayPath(planned.entry.path))
        }
        return try complete(planned, made)
      }
      try makeOther(planned, isMade: &isMade)
    } catch {
      let isDevice = [.characterDevice, .blockDevice].contains(planned.entry.kind)
      if isDevice, !isMade, error.isAccessDenied {
        if let group = planned.group { run.links.fail(group) }
        run.note(
          "device nodes", planned.entry.path,
          "\(error.description); making device nodes takes root: restore as root to have them")
      } else {
        run.stopIfTargets(error)
        FileCompletion.giveUp(planned, isMade: isMade, error.description, run)
      }
    }
    return nil
  }

  /// Makes a regular file, or opens it where it was made when it was planned.
  mutating func make(file planned: PlannedEntry) throws(DiskError) -> MadeFile {
    let entry = planned.entry
    let parent = try handle(planned.directory)
    if planned.isMade {
      let file = try FileCalls.open(
        at: parent.descriptor, planned.makingName, flags: O_WRONLY | O_NOFOLLOW,
        path: displayPath(entry.path))
      return MadeFile(file: file, isOwnerDone: false, isModeDone: false)
    }
    let isPlain = planned.placement.isNew && !planned.mayInherit
    let isOwnerDone = isPlain && run.ownership.isDefault(run.ownership.owner(of: entry))
    let isModeDone = isOwnerDone && run.ownership.survivesCreation(entry.mode)
    let file = try NewEntry.open(
      at: parent.descriptor, making: planned, run, flags: O_WRONLY,
      mode: isModeDone ? entry.mode : 0o600)
    return MadeFile(file: file, isOwnerDone: isOwnerDone, isModeDone: isModeDone)
  }

  /// Gives a written file its metadata and closes it.
  func complete(
    _ planned: PlannedEntry, _ made: consuming MadeFile
  ) throws(DiskError) -> RestoredIdentity? {
    let identity = try FileCompletion.complete(
      planned, made.file.descriptor, isOwnerDone: made.isOwnerDone, isModeDone: made.isModeDone,
      run)
    try made.file.close(path: displayPath(planned.entry.path))
    return identity
  }

  private mutating func makeOther(
    _ planned: PlannedEntry, isMade: inout Bool
  ) throws(DiskError) {
    let entry = planned.entry
    let parent = try handle(planned.directory)
    try NewEntry.make(at: parent.descriptor, planned, run) { (name) throws(DiskError) in
      switch entry.kind {
      case .symlink:
        try FileCalls.makeSymlink(
          target: cString(entry.linkTarget), at: parent.descriptor, name,
          path: displayPath(entry.path))
      case .fifo: try makeNode(.fifo, entry, parent, name)
      case .socket: try makeNode(.socket, entry, parent, name)
      case .characterDevice: try makeNode(.characterDevice, entry, parent, name)
      case .blockDevice: try makeNode(.blockDevice, entry, parent, name)
      case .file, .directory: return
      }
    }
    isMade = true
    try Metadata.apply(
      entry, at: parent.descriptor, planned.makingName, mayInherit: planned.mayInherit, run)
    if planned.placement.isRenamed { try NewEntry.takeName(planned, run) }
    if let onRestored = run.onRestored {
      onRestored(
        entry.path,
        try FileCalls.status(
          at: parent.descriptor, lastName(of: entry.path), path: displayPath(entry.path)))
    }
    FileCompletion.finish(planned, run)
  }

  /// What is there already gets its metadata.
  private mutating func keep(_ planned: PlannedEntry) throws(DiskError) -> RestoredIdentity? {
    let entry = planned.entry
    let parent = try handle(planned.directory)
    let name = lastName(of: entry.path)
    if entry.kind == .file {
      let file = try FileCalls.openForReading(
        at: parent.descriptor, name, path: displayPath(entry.path))
      return try FileCompletion.complete(
        planned, file.descriptor, isOwnerDone: false, isModeDone: false, run)
    }
    try Metadata.apply(entry, at: parent.descriptor, name, mayInherit: true, run)
    FileCompletion.finish(planned, run)
    return nil
  }

  /// Brings a file that is updated to its size.
  func cut(_ planned: PlannedEntry, _ descriptor: CInt) throws(DiskError) {
    let path = displayPath(planned.entry.path)
    let status = try FileCalls.status(of: descriptor, path: path)
    guard status.kind == .file else {
      throw DiskError(errno: ESTALE, operation: "update", path: path)
    }
    if status.size != planned.entry.size {
      try FileCalls.truncate(descriptor, planned.entry.size, path: path)
    }
  }

  private func makeNode(
    _ kind: FileStatus.Kind, _ entry: ManifestEntry, _ parent: Handle, _ name: [CChar]
  ) throws(DiskError) {
    try FileCalls.makeNode(
      at: parent.descriptor, name, kind: kind, mode: 0o600, rdevMajor: entry.deviceMajor,
      rdevMinor: entry.deviceMinor, path: displayPath(entry.path))
  }

  private func write(
    _ bytes: [UInt8], to descriptor: CInt, _ path: [UInt8]
  ) throws(DiskError) {
    try bytes.withUnsafeBytesTyped { (raw) throws(DiskError) in
      try FileCalls.write(descriptor, at: 0, raw, path: displayPath(path))
    }
    run.countWritten(UInt64(bytes.count))
  }

  private mutating func handle(_ id: TargetTree.ID) throws(DiskError) -> Handle {
    if let directory, directory.id == id { return directory.handle }
    let handle = try run.tree.handle(id)
    directory = (id, handle)
    return handle
  }
}
