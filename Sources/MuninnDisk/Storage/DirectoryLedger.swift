/// Which directories of a local repository hold names that are not known to be durable, and the one
/// place that syncs them.
///
/// Invariants:
/// - A directory is in `changed` from before a name in it is relied on until an fsync of it began
///   after that; whoever needs it durable waits while a sync is under way.
/// - The first time that this process uses a directory all those above it count as changed: another
///   process may have made them and not synced yet.
/// - After one failed fsync every later one throws the same: the kernel reports lost directory
///   blocks once, and a second attempt that succeeds would mean nothing.
final class DirectoryLedger: Sendable {
  private struct State: Sendable {
    var used: Set<String> = []
    var changed: Set<String> = []
    var isSyncing = false
    var failure: DiskError?
  }

  private let root: RootDirectory
  private let state = Monitor(State())

  init(root: RootDirectory) { self.root = root }

  /// Makes sure that the directory exists before a name is made in it. Makes it again, although it
  /// was used before, where `wasMissing` says that it is gone.
  func prepare(_ directory: String, wasMissing: Bool = false) throws(DiskError) {
    if !wasMissing && state.withLock({ $0.used.contains(directory) }) { return }
    for ancestor in Self.ancestors(of: directory).dropFirst() {
      try root.makeDirectory(ancestor)
    }
    if !directory.isEmpty { try root.makeDirectory(directory) }
    noteUse(directory, again: wasMissing)
  }

  /// Remembers that a name was made in the directory.
  func noteChange(_ directory: String) {
    state.withLock { _ = $0.changed.insert(directory) }
  }

  /// Syncs all that changed.
  func syncAll() throws(DiskError) {
    try sync { $0 }
  }

  /// Syncs the directory, and those above it as far as they changed.
  func sync(_ directory: String) throws(DiskError) {
    noteUse(directory, again: false)
    noteChange(directory)
    let chain = Set(Self.ancestors(of: directory) + [directory])
    try sync { $0.intersection(chain) }
  }

  private func noteUse(_ directory: String, again: Bool) {
    state.withLock { state in
      guard state.used.insert(directory).inserted || again else { return }
      state.changed.formUnion(Self.ancestors(of: directory))
    }
  }

  private func sync(_ selection: (Set<String>) -> Set<String>) throws(DiskError) {
    let taken = state.wait(
      until: { !$0.isSyncing },
      then: { state -> Result<Set<String>, DiskError> in
        if let failure = state.failure { return .failure(failure) }
        let selected = selection(state.changed)
        state.changed.subtract(selected)
        state.isSyncing = true
        return .success(selected)
      })
    let directories = try taken.get()
    var failure: DiskError?
    do throws(DiskError) {
      for directory in directories.sorted() { try root.syncDirectory(directory) }
    } catch {
      failure = error
    }
    state.update { state in
      state.isSyncing = false
      state.failure = failure
    }
    if let failure { throw failure }
  }

  /// "a/b/c" lies below "", "a" and "a/b"; the root lies below nothing.
  private static func ancestors(of directory: String) -> [String] {
    guard !directory.isEmpty else { return [] }
    var ancestors: [String] = []
    var next = directory
    while !next.isEmpty {
      next = ObjectName.split(next).directory
      ancestors.append(next)
    }
    return ancestors.reversed()
  }
}
