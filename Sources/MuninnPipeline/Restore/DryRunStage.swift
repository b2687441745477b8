import Glibc
import MuninnDisk
package import MuninnFormat
package import MuninnStore

/// What a restore would do to one path.
package enum PlannedChange: UInt8, Sendable {
  case create, replace, update, keep, leave, delete
}

/// Says what a restore would do, and changes nothing.
package struct DryRun {
  private struct Level {
    let path: [UInt8]
    /// Nil where the target has no such directory.
    let handle: Handle?
    var names: Set<[UInt8]>?
  }

  private let store: Store
  private let options: RestoreOptions
  private let rule: ExistingRule

  package init(store: Store, options: RestoreOptions) {
    self.store = store
    self.options = options
    rule = ExistingRule(options)
  }

  /// Calls `report` with each path, in path order but for deletions, which come after what is below
  /// their directory. Returns false from `report` to stop. Throws `invalidInput` where the restore
  /// would refuse the target.
  package func run(
    _ report: ([UInt8], ManifestEntry?, PlannedChange) -> Bool
  ) throws(PipelineError) -> [PathFailure] {
    let selection = try PathSelection(
      options.paths, includes: options.includes, excludes: options.excludes)
    var walk = try ManifestWalk(
      options.root, selection: selection, needsOrdinals: false, store: store)
    var failures: [PathFailure] = []
    var stack = [Level(path: [], handle: try openTarget())]
    func leave(_ level: Level) -> Bool {
      guard let names = level.names, failures.isEmpty, let handle = level.handle,
        let listing = try? DirectoryListing.read(handle.descriptor, path: "")
      else { return true }
      for index in 0..<listing.count {
        let name = listing.name(index)
        let path = level.path.isEmpty ? name : level.path + [0x2F] + name
        guard !names.contains(name),
          selection.takes(path, isDirectory: listing.typeHint(index) == .directory)
        else { continue }
        if !report(path, nil, .delete) { return false }
      }
      return true
    }
    while let items = walk.nextPage({ failures.append($0) }) {
      for item in items {
        let entry = item.entry
        while let last = stack.last, stack.count > 1,
          !PathSelection.isBelowOrSame(entry.path, last.path)
        {
          stack.removeLast()
          guard leave(last) else { return failures }
        }
        let top = stack.count - 1
        if entry.path.isEmpty {
          if deletes(item) { stack[0].names = [] }
          continue
        }
        stack[top].names?.insert(
          Array(entry.path[((entry.path.lastIndex(of: 0x2F) ?? -1) + 1)...]))
        let (change, below) = look(at: entry, in: stack[top].handle)
        if !report(entry.path, entry, change) { return failures }
        if entry.kind == .directory {
          stack.append(
            Level(path: entry.path, handle: below, names: deletes(item) && below != nil ? [] : nil))
        }
      }
    }
    while let last = stack.popLast() {
      guard leave(last) else { return failures }
    }
    return failures + walk.missing.map { PathFailure(path: $0, message: "is not in the snapshot") }
  }

  private func deletes(_ item: ManifestWalk.Item) -> Bool {
    options.deletesOthers && options.overwrite != nil && !item.isAbove
  }

  private func openTarget() throws(PipelineError) -> Handle? {
    let shown = displayPath(options.target)
    guard
      let file = try? FileCalls.openDirectory(
        at: AT_FDCWD, cString(options.target), path: shown)
    else { return nil }
    let handle = Handle(file)
    let isEmpty = try fromDisk { () throws(DiskError) in
      try DirectoryListing.read(handle.descriptor, path: shown).count == 0
    }
    guard isEmpty || rule.expectsAny else {
      throw PipelineError(
        .invalidInput, "'\(shown)' is not empty: the restore would be refused without --overwrite",
        path: shown)
    }
    return handle
  }

  private func look(
    at entry: ManifestEntry, in directory: Handle?
  ) -> (PlannedChange, Handle?) {
    let shown = displayPath(entry.path)
    let name = lastName(of: entry.path)
    guard let directory,
      let status = try? FileCalls.status(at: directory.descriptor, name, path: shown)
    else { return (.create, nil) }
    if entry.kind == .directory {
      guard status.kind == .directory else {
        return (rule.policy == .never ? .leave : .replace, nil)
      }
      let below = try? Handle(
        FileCalls.openDirectory(at: directory.descriptor, name, path: shown))
      return (rule.policy == .never ? .leave : .keep, below)
    }
    let decision = rule.decide(
      entry, status,
      linkTarget: {
        try? FileCalls.readLink(
          at: directory.descriptor, name, sizeHint: status.size, path: shown)
      })
    switch decision {
    case .leave: return (.leave, nil)
    case .finished, .keep: return (.keep, nil)
    case .compare: return (.update, nil)
    case .replace, .removeDirectory: return (.replace, nil)
    }
  }
}
