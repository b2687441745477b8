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
      if planned.entry.kind == .file {
        let made = try make(file: planned)
        isMade = true
        if case .inline(let bytes) = planned.entry.content {
          try write(bytes, to: made.file.descriptor, planned.entry.path)
        } else if planned.entry.size > 0 {
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
    let name = lastName(of: entry.path)
    if planned.isMade {
      let file = try FileCalls.open(
        at: parent.descriptor, name, flags: O_WRONLY | O_NOFOLLOW, path: displayPath(entry.path))
      return MadeFile(file: file, isOwnerDone: false, isModeDone: false)
    }
    let isOwnerDone = run.ownership.isDefault(run.ownership.owner(of: entry))
    let isModeDone = isOwnerDone && run.ownership.survivesCreation(entry.mode)
    let file = try FileCalls.open(
      at: parent.descriptor, name, flags: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
      mode: isModeDone ? entry.mode : 0o600, path: displayPath(entry.path))
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
    let name = lastName(of: entry.path)
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
    isMade = true
    try Metadata.apply(entry, at: parent.descriptor, name, run)
    if let onRestored = run.onRestored {
      onRestored(
        entry.path,
        try FileCalls.status(at: parent.descriptor, name, path: displayPath(entry.path)))
    }
    FileCompletion.finish(planned, run)
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
    run.countBytes(UInt64(bytes.count))
  }

  private mutating func handle(_ id: TargetTree.ID) throws(DiskError) -> Handle {
    if let directory, directory.id == id { return directory.handle }
    let handle = try run.tree.handle(id)
    directory = (id, handle)
    return handle
  }
}
