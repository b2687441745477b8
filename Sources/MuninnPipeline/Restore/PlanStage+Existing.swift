import Glibc
import MuninnDisk
import MuninnFormat
import MuninnStore
import Synchronization

// Entries whose names may be taken.
extension PlanStage {
  /// Looks at what has the entry's name, and plans what becomes of it. False where the restore was
  /// stopped meanwhile.
  mutating func place(_ whole: PlannedEntry, below top: Int) -> Bool {
    var planned = whole
    let entry = whole.entry
    do throws(DiskError) {
      guard let status = try run.tree.status(of: entry.path, in: whole.directory) else {
        if rule.completesBeforeNaming { planned.placement = .replace }
        return addContent(planned)
      }
      switch rule.decide(
        entry, status, linkTarget: { readLink(entry.path, status, in: whole.directory) })
      {
      case .leave:
        run.entriesKept.add(1, ordering: .relaxed)
        return true
      case .finished:
        return finish(planned, status)
      case .keep:
        if entry.kind == .file { run.countBytes(entry.size) }
        return keep(planned)
      case .compare:
        return try compare(planned, status)
      case .replace:
        planned.placement = .replace
        return addContent(planned)
      case .removeDirectory:
        guard try removeDirectory(entry.path, in: whole.directory) else { return true }
        return addContent(planned)
      }
    } catch {
      run.fail(entry.path, error)
      return true
    }
  }

  private func readLink(
    _ path: [UInt8], _ status: FileStatus, in parent: TargetTree.ID
  ) -> [UInt8]? {
    guard let above = try? run.tree.handle(parent) else { return nil }
    return try? FileCalls.readLink(
      at: above.descriptor, lastName(of: path), sizeHint: status.size, path: displayPath(path))
  }

  /// An earlier attempt completed the entry.
  private mutating func finish(_ planned: PlannedEntry, _ status: FileStatus) -> Bool {
    let entry = planned.entry
    // Flags come after the times, so that an interruption may have left them out.
    let lacksFlags = entry.inodeFlags != 0 && entry.kind == .file
    if let group = planned.group { run.links.begin(group, with: entry.path) }
    if entry.kind == .file { run.countBytes(entry.size) }
    if lacksFlags { return keep(planned) }
    if entry.kind == .file {
      if run.records, planned.group == nil, let ordinal = planned.ordinal {
        builder.finished.append(
          RestoredIdentity(
            ordinal: ordinal, inode: status.inode,
            changedNanoseconds: status.changedNanoseconds))
      }
    }
    run.onRestored?(entry.path, status)
    run.entriesKept.add(1, ordering: .relaxed)
    FileCompletion.finish(planned, run)
    return true
  }

  /// The content is right: only the metadata is looked at, by a worker.
  private mutating func keep(_ whole: PlannedEntry) -> Bool {
    var planned = whole.withoutContent()
    planned.placement = .keep
    planned.matchedByteCount = planned.entry.size
    run.entriesKept.add(1, ordering: .relaxed)
    if let group = planned.group { run.links.begin(group, with: planned.entry.path) }
    builder.plain.append(UInt32(builder.entries.count))
    builder.entries.append(planned)
    return true
  }

  /// A directory stands where a file belongs. Goes if it is empty, or if what the snapshot does not
  /// have is to be deleted.
  private func removeDirectory(
    _ path: [UInt8], in parent: TargetTree.ID
  ) throws(DiskError) -> Bool {
    let above = try run.tree.handle(parent)
    if run.deletesOthers {
      let removal = TreeRemoval(run: run)
      removal.remove(path, in: above.descriptor)
      run.entriesDeleted.add(removal.count, ordering: .relaxed)
      return try run.tree.status(of: path, in: parent) == nil
    }
    do throws(DiskError) {
      try FileCalls.unlink(
        at: above.descriptor, lastName(of: path), isDirectory: true, path: displayPath(path))
      return true
    } catch {
      guard error.errno == ENOTEMPTY || error.errno == EEXIST else { throw error }
      run.fail(path, "a directory that is not empty has this name: --delete would remove it")
      return false
    }
  }

  // MARK: Comparing content

  /// Compares a file that is there with the snapshot's, chunk by chunk.
  private mutating func compare(
    _ whole: PlannedEntry, _ status: FileStatus
  ) throws(DiskError) -> Bool {
    let entry = whole.entry
    guard let comparison = try openComparison(whole, status) else {
      var planned = whole
      planned.placement = .replace
      return addContent(planned)
    }
    var planned = whole
    // What is lost and on the disk all the same is not lost here.
    if entry.isDamaged || run.keepsPartialFiles { planned.losses = RestoreLosses() }
    let isSmall = entry.size < ExistingRule.leastUpdateByteCount
    switch entry.content {
    case .none:
      planned.placement = rule.canUpdate(status) ? .update : .replace
      return addContent(planned)
    case .inline(let bytes):
      if status.size == entry.size, comparison.has(bytes, at: 0) {
        run.countBytes(entry.size)
        return keep(whole)
      }
      planned.placement = rule.isResuming && rule.canUpdate(status) ? .update : .replace
      return addContent(planned)
    case .extents(let extents):
      let matches = comparison.matches(extents, at: 0)
      let isSame = status.size == entry.size && !matches.contains(false)
      if isSame {
        run.countBytes(entry.size)
        return keep(whole)
      }
      guard rule.isResuming || !isSmall, rule.canUpdate(status) else {
        planned.placement = .replace
        return addContent(planned)
      }
      return update(planned, extents, matches)
    case .tree(let root, _):
      // Longer than a window: what differs is written as it is found.
      guard rule.canUpdate(status) else {
        planned.placement = .replace
        return addContent(planned)
      }
      planned.placement = .update
      if let group = planned.group { run.links.begin(group, with: entry.path) }
      return add(root, to: planned.withoutContent(), comparing: comparison)
    }
  }

  /// The file, open for reading and, where it may be updated, for writing; nil where it cannot be
  /// opened so: then it is replaced.
  private func openComparison(
    _ planned: PlannedEntry, _ status: FileStatus
  ) throws(DiskError) -> ContentComparison? {
    let path = planned.entry.path
    let above = try run.tree.handle(planned.directory)
    do throws(DiskError) {
      if status.attributes & Metadata.lockingAttributes != 0 {
        let locked = try FileCalls.openForReading(
          at: above.descriptor, lastName(of: path), path: displayPath(path))
        try Metadata.unlock(locked.descriptor, path)
      }
      let flags = O_NOFOLLOW | O_NONBLOCK | (rule.canUpdate(status) ? O_RDWR : O_RDONLY)
      let file = try FileCalls.open(
        at: above.descriptor, lastName(of: path), flags: flags, path: displayPath(path))
      guard try FileCalls.status(of: file.descriptor, path: displayPath(path)).kind == .file else {
        return nil
      }
      let run = run
      return ContentComparison(
        Handle(file), path: path, identifying: run.store.identifying, threads: run.threads,
        punches: rule.canUpdate(status), shouldStop: { run.shouldStop },
        onDifference: { count in
          // What is not zero was written by an earlier attempt, and is written again.
          if run.rule.isResuming { run.bytesRewritten.wrappingAdd(count, ordering: .relaxed) }
        })
    } catch {
      // Text that is being executed, or a mode that keeps us out.
      guard [ETXTBSY, EACCES, EPERM, ELOOP].contains(error.errno) else { throw error }
      return nil
    }
  }

  /// Plans the chunks of an entry that do not match.
  private mutating func update(
    _ whole: PlannedEntry, _ extents: [Extent], _ matches: [Bool]
  ) -> Bool {
    var planned = whole.withoutContent()
    planned.placement = .update
    if let group = planned.group { run.links.begin(group, with: planned.entry.path) }
    let index = UInt32(builder.entries.count)
    let start = builder.extents.count
    var offset: UInt64 = 0
    for (number, extent) in extents.enumerated() {
      if !matches[number] {
        do throws(StoreError) {
          try add(extent, at: offset, to: index)
        } catch {
          if let losses = planned.losses {
            losses.add(offset, count: extent.byteCount, reason: error.description)
            offset += extent.byteCount
            continue
          }
          builder.extents.removeSubrange(start...)
          FileCompletion.giveUp(planned, isMade: false, error.description, run)
          return true
        }
      } else {
        run.countBytes(extent.byteCount)
      }
      offset += extent.byteCount
    }
    if builder.extents.count == start { builder.plain.append(index) }
    builder.entries.append(planned)
    return true
  }
}
