import Glibc
import MuninnDisk
import MuninnFormat
import MuninnStore
import Synchronization

/// A directory that the walk is in.
struct PlannedDirectory {
  let path: [UInt8]
  /// Nil where it could not be made.
  let id: TargetTree.ID?
  /// What gives it its metadata in the end; nil where it stays as it is.
  var entry: ManifestEntry?
  /// It was there before the restore, so names in it may be taken.
  var isAdopted = false
  /// Something else has its name and stays.
  var isLeft = false
  /// The names that the snapshot has in it, where others are to be deleted.
  var names: Set<[UInt8]>?
  /// The names that were made in it, without their case, where that makes no difference.
  var folded: Set<String>?
}

extension PlanStage {
  /// The root's metadata is the target's, unless the target is a tree that only gets some paths.
  mutating func beginRoot(_ item: ManifestWalk.Item) {
    let leavesMetadata =
      stack[0].isAdopted && !isOurs(nil) && (item.isAbove || rule.policy == .never)
    if !leavesMetadata { stack[0].entry = item.entry }
    if run.deletesOthers, stack[0].isAdopted, !item.isAbove { stack[0].names = [] }
    if run.foldsCase { stack[0].folded = [] }
  }

  /// Closes the directories that the walk has left, and returns the place in the stack of the one
  /// that holds `path`; those that the manifest does not mention are made all the same.
  mutating func enterParent(of path: [UInt8]) -> Int {
    while let last = stack.last, stack.count > 1,
      path.count == last.path.count || !PathSelection.isBelowOrSame(path, last.path)
    {
      stack.removeLast()
      close(last)
    }
    let end = path.lastIndex(of: 0x2F) ?? 0
    while let top = stack.last, top.path.count < end {
      let from = top.path.isEmpty ? 0 : top.path.count + 1
      let next = path[from...].firstIndex(of: 0x2F) ?? end
      var entry = ManifestEntry(path: Array(path[..<next]), kind: .directory)
      entry.mode = 0o700
      push(
        ManifestWalk.Item(entry: entry, ordinal: nil, isAbove: true), in: stack.count - 1,
        isMentioned: false)
    }
    return stack.count - 1
  }

  /// Remembers a name of the directory on top. False where another one has it there already, by
  /// case.
  mutating func noteName(of entry: ManifestEntry) -> Bool {
    let top = stack.count - 1
    guard stack[top].names != nil || stack[top].folded != nil else { return true }
    let name = entry.path.lastIndex(of: 0x2F).map { Array(entry.path[($0 + 1)...]) } ?? entry.path
    stack[top].names?.insert(name)
    guard stack[top].folded != nil else { return true }
    let folded = String(decoding: name, as: UTF8.self).lowercased()
    if stack[top].folded?.insert(folded).inserted == true { return true }
    run.fail(
      entry.path,
      "differs from another name only by case, which the target's file system does not tell apart")
    if entry.kind == .directory {
      var left = PlannedDirectory(path: entry.path, id: nil)
      left.isLeft = true
      stack.append(left)
    }
    return false
  }

  mutating func push(_ item: ManifestWalk.Item, in top: Int, isMentioned: Bool = true) {
    let entry = item.entry
    let above = stack[top]
    var opened = PlannedDirectory(path: entry.path, id: nil, entry: isMentioned ? entry : nil)
    if above.folded != nil { opened.folded = [] }
    if let parent = above.id {
      do throws(DiskError) {
        opened = try make(opened, item, in: parent, mayBeTaken: above.isAdopted)
      } catch {
        run.fail(entry.path, error)
      }
    } else if above.isLeft {
      opened.isLeft = true
    } else {
      run.fail(entry.path, "its directory could not be made")
    }
    stack.append(opened)
  }

  private func make(
    _ directory: PlannedDirectory, _ item: ManifestWalk.Item, in parent: TargetTree.ID,
    mayBeTaken: Bool
  ) throws(DiskError) -> PlannedDirectory {
    let path = directory.path
    var made = directory
    guard mayBeTaken, let status = try run.tree.status(of: path, in: parent) else {
      made = PlannedDirectory(
        path: path, id: try run.tree.makeDirectory(path, in: parent), entry: directory.entry,
        folded: directory.folded)
      return made
    }
    if status.kind != .directory {
      guard rule.policy != .never else {
        run.fail(path, "something that is no directory has this name, and stays")
        made.isLeft = true
        return made
      }
      let above = try run.tree.handle(parent)
      try FileCalls.unlink(at: above.descriptor, lastName(of: path), path: displayPath(path))
      return PlannedDirectory(
        path: path, id: try run.tree.makeDirectory(path, in: parent), entry: directory.entry,
        folded: directory.folded)
    }
    let leavesMetadata = !isOurs(status) && (item.isAbove || rule.policy == .never)
    if !leavesMetadata { try unlock(path, status, in: parent) }
    let id = try run.tree.adoptDirectory(path, in: parent)
    made = PlannedDirectory(
      path: path, id: id, entry: leavesMetadata ? nil : directory.entry, isAdopted: true,
      folded: directory.folded)
    if run.deletesOthers, !item.isAbove { made.names = [] }
    if leavesMetadata { run.entriesKept.add(1, ordering: .relaxed) }
    return made
  }

  /// Whether a directory that is there was made by an earlier attempt at this restore.
  private func isOurs(_ status: FileStatus?) -> Bool {
    guard rule.isResuming else { return false }
    // Without a policy the target was empty.
    guard rule.policy != nil else { return true }
    guard let born = status?.birthNanoseconds, let started = run.startedNanoseconds else {
      return false
    }
    return born >= started
  }

  /// Takes away what would keep names from being made in a directory; its metadata comes again.
  private func unlock(
    _ path: [UInt8], _ status: FileStatus, in parent: TargetTree.ID
  ) throws(DiskError) {
    let above = try run.tree.handle(parent)
    if !run.ownership.isRoot, status.mode & 0o700 != 0o700 {
      try FileCalls.setMode(
        at: above.descriptor, lastName(of: path), mode: status.mode | 0o700,
        path: displayPath(path))
    }
    if status.attributes & Metadata.lockingAttributes != 0 {
      let opened = try FileCalls.openDirectory(
        at: above.descriptor, lastName(of: path), path: displayPath(path))
      try Metadata.unlock(opened.descriptor, path)
    }
  }

  mutating func close(_ directory: PlannedDirectory) {
    guard let id = directory.id else { return }
    if let names = directory.names { deleteOthers(than: names, in: directory, id) }
    builder.closed.append(
      ClosedDirectory(id: id, entry: directory.entry, isAdopted: directory.isAdopted))
  }

  /// Deletes what a directory has and the snapshot has not. Where a page of the manifest is lost
  /// nobody knows what the snapshot has, and nothing is deleted any more.
  private func deleteOthers(
    than names: Set<[UInt8]>, in directory: PlannedDirectory, _ id: TargetTree.ID
  ) {
    guard isComplete else {
      run.note(
        "deletions", directory.path,
        "nothing is deleted here and after: a page of the manifest is lost")
      return
    }
    do throws(DiskError) {
      let handle = try run.tree.handle(id)
      let listing = try DirectoryListing.read(
        handle.descriptor, path: displayPath(directory.path))
      for index in 0..<listing.count {
        let name = listing.name(index)
        let path = directory.path.isEmpty ? name : directory.path + [0x2F] + name
        guard !names.contains(name),
          selection.takes(path, isDirectory: listing.typeHint(index) == .directory)
        else { continue }
        let removal = TreeRemoval(run: run)
        removal.remove(path, in: handle.descriptor)
        run.entriesDeleted.add(removal.count, ordering: .relaxed)
      }
    } catch {
      run.fail(directory.path, error)
    }
  }
}
