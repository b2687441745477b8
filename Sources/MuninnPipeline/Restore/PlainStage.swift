import Glibc
import MuninnDisk
import MuninnFormat

/// Makes what needs no container: small and empty files, symlinks, special files. Belongs to one
/// thread.
struct PlainStage {
  /// Entries that a worker takes at once.
  static let batchCount = CreationTurn.fileCount

  let run: RestoreRun
  /// The directory that was used last: the next entry is most likely in it too.
  private var directory: (id: TargetTree.ID, handle: Handle)?
  /// What the last `make(files:of:)` made.
  private(set) var made: [MadeFile?] = []
  private var files: [Int] = []

  init(run: RestoreRun) { self.run = run }

  /// Makes a batch of the window's entries. Returns what identities the files have now.
  mutating func make(
    _ batch: ArraySlice<UInt32>, of window: RestoreWindow
  ) -> [RestoredIdentity] {
    var identities: [RestoredIdentity] = []
    files.removeAll(keepingCapacity: true)
    for index in batch.lazy.map(Int.init) {
      let planned = window.entries[index]
      if case .keep = planned.placement {
        if let identity = keep(planned) { identities.append(identity) }
      } else if planned.entry.kind == .file {
        files.append(index)
      } else {
        makeOther(planned)
      }
    }
    make(files: files, of: window)
    for (index, file) in zip(files, made) {
      guard let file, let identity = fill(window.entries[index], file) else { continue }
      identities.append(identity)
    }
    made.removeAll(keepingCapacity: true)
    return identities
  }

  /// Makes regular files, or opens those that were made when they were planned or are updated: in
  /// `made` afterwards, nil for each that could not be and was given up.
  mutating func make(files: [Int], of window: RestoreWindow) {
    made.removeAll(keepingCapacity: true)
    for index in files {
      made.append(isToBeMade(window.entries[index]) ? nil : make(file: window.entries[index]))
    }
    run.creation.take {
      for (place, index) in files.enumerated() where isToBeMade(window.entries[index]) {
        made[place] = make(file: window.entries[index])
      }
    }
  }

  /// What is made in directories that are new as well waits for no disk.
  private func isToBeMade(_ planned: PlannedEntry) -> Bool {
    planned.placement.isNew && !planned.isMade && !planned.mayInherit
  }

  private mutating func make(file planned: PlannedEntry) -> MadeFile? {
    do throws(DiskError) {
      return try open(planned)
    } catch {
      FileCompletion.giveUp(planned, isMade: planned.isMade, error, run)
      return nil
    }
  }

  private mutating func open(_ planned: PlannedEntry) throws(DiskError) -> MadeFile {
    let entry = planned.entry
    let parent = try handle(planned.directory)
    if planned.isMade {
      let file = try FileCalls.open(
        at: parent.descriptor, planned.makingName, flags: O_WRONLY | O_NOFOLLOW,
        path: displayPath(entry.path))
      return MadeFile(file, isOwnerDone: false, isModeDone: false)
    }
    let isPlain = planned.placement.isNew && !planned.mayInherit
    let isOwnerDone = isPlain && run.ownership.isDefault(run.ownership.owner(of: entry))
    let isModeDone = isOwnerDone && run.ownership.survivesCreation(entry.mode)
    let file = try NewEntry.open(
      at: parent.descriptor, making: planned, run, flags: O_WRONLY,
      mode: isModeDone ? entry.mode : 0o600)
    return MadeFile(file, isOwnerDone: isOwnerDone, isModeDone: isModeDone)
  }

  /// Writes a file that needs no container.
  private func fill(_ planned: PlannedEntry, _ made: MadeFile) -> RestoredIdentity? {
    fill(planned, made) { () throws(DiskError) in
      guard case .inline(let bytes) = planned.entry.content else { return 0 }
      try write(bytes, to: made.descriptor, planned.entry.path)
      return UInt64(bytes.count)
    }
  }

  /// Has `content` write what a file holds, and completes it. Returns what identity it has now.
  /// `content` returns where what it wrote ends: the rest is a hole.
  func fill(
    _ planned: PlannedEntry, _ made: MadeFile, _ content: () throws(DiskError) -> UInt64
  ) -> RestoredIdentity? {
    do throws(DiskError) {
      if !planned.placement.isNew { try cut(planned, made.descriptor) }
      let end = try content()
      if end < planned.entry.size, planned.placement.isNew {
        try FileCalls.truncate(
          made.descriptor, planned.entry.size, path: displayPath(planned.entry.path))
      }
      return try complete(planned, made)
    } catch {
      FileCompletion.giveUp(planned, isMade: true, error, run)
      return nil
    }
  }

  /// Gives a written file its metadata and closes it.
  private func complete(
    _ planned: PlannedEntry, _ made: MadeFile
  ) throws(DiskError) -> RestoredIdentity? {
    let identity = try FileCompletion.complete(
      planned, made.descriptor, isOwnerDone: made.isOwnerDone, isModeDone: made.isModeDone, run)
    try made.close(path: displayPath(planned.entry.path))
    return identity
  }

  private mutating func makeOther(_ planned: PlannedEntry) {
    var isMade = planned.isMade
    do throws(DiskError) {
      try makeOther(planned, isMade: &isMade)
    } catch {
      let isDevice = [.characterDevice, .blockDevice].contains(planned.entry.kind)
      if isDevice, !isMade, error.isAccessDenied {
        if let group = planned.group { run.links.fail(group) }
        run.note(
          "device nodes", planned.entry.path,
          "\(error.description); making device nodes takes root: restore as root to have them")
      } else {
        FileCompletion.giveUp(planned, isMade: isMade, error, run)
      }
    }
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
  private mutating func keep(_ planned: PlannedEntry) -> RestoredIdentity? {
    do throws(DiskError) {
      return try complete(there: planned)
    } catch {
      FileCompletion.giveUp(planned, isMade: planned.isMade, error, run)
      return nil
    }
  }

  private mutating func complete(
    there planned: PlannedEntry
  ) throws(DiskError) -> RestoredIdentity? {
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
  private func cut(_ planned: PlannedEntry, _ descriptor: CInt) throws(DiskError) {
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
