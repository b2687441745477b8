import MuninnDisk
import MuninnFormat

/// Gives directories their metadata once nothing more comes into them, from the leaves up.
struct DirectoryStage {
  private let run: RestoreRun
  /// Directories that even their owner may not enter or change: without privileges they come last
  /// of all, because links may still be made from what is in them.
  private var restricted: [ClosedDirectory] = []

  init(run: RestoreRun) { self.run = run }

  mutating func complete(_ closed: [ClosedDirectory]) {
    for directory in closed {
      if run.shouldStop { return }
      if let entry = directory.entry, !run.ownership.isRoot, entry.mode & 0o700 != 0o700 {
        restricted.append(directory)
      } else {
        complete(directory)
      }
    }
  }

  mutating func finish() {
    for directory in restricted where !run.shouldStop { complete(directory, isLate: true) }
    restricted = []
  }

  private func complete(_ directory: ClosedDirectory, isLate: Bool = false) {
    defer { run.tree.forget(directory.id) }
    guard let entry = directory.entry else { return }
    do throws(DiskError) {
      // By then the directories above it are complete and forgotten.
      let handle =
        isLate && directory.id != 0
        ? try run.tree.openDirectory(entry.path) : try run.tree.handle(directory.id)
      if directory.isAdopted { try Metadata.removeOthers(entry, of: handle.descriptor, run) }
      try Metadata.apply(
        entry, to: handle.descriptor, isOwnerDone: false, isModeDone: false, delaysFlags: false,
        run)
      if let onRestored = run.onRestored {
        onRestored(
          entry.path,
          try FileCalls.status(of: handle.descriptor, path: displayPath(entry.path)))
      }
      run.count(entry)
    } catch {
      run.fail(entry.path, error)
    }
  }
}
