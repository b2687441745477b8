internal import MuninnDisk
internal import MuninnFormat
internal import MuninnStore

/// Puts the entries of finished batches back into path order and writes the manifest.
final class AssembleStage: Sendable {
  private struct State {
    var done: [UInt64: [ManifestEntry]] = [:]
    var next: UInt64 = 0
    /// The number of batches, once the walk has ended.
    var end: UInt64?
    var isCancelled = false
  }

  /// Batches that may be finished before the one that is waited for.
  private static let maximumAhead: UInt64 = 512

  private let state = Monitor(State())

  func deliver(_ entries: [ManifestEntry], sequence: UInt64) {
    state.update { $0.done[sequence] = entries }
  }

  /// Blocks the walk while it is too far ahead; false where the backup was given up.
  func waitForRoom(_ sequence: UInt64) -> Bool {
    state.wait(until: { $0.isCancelled || sequence < $0.next + AssembleStage.maximumAhead }) {
      !$0.isCancelled
    }
  }

  func end(after count: UInt64) { state.update { $0.end = count } }

  func cancel() { state.update { $0.isCancelled = true } }

  /// The entries of the next batch in order; nil at the end.
  private func next() -> [ManifestEntry]? {
    let entries = state.wait(until: {
      $0.isCancelled || $0.done[$0.next] != nil || $0.end == $0.next
    }) { state -> [ManifestEntry]? in
      guard !state.isCancelled, let entries = state.done.removeValue(forKey: state.next) else {
        return nil
      }
      state.next += 1
      return entries
    }
    state.notifyAll()
    return entries
  }

  struct Result {
    let root: TreeRoot
    let containers: Set<Identifier>
    /// Content bytes of all files, holes included.
    let byteCount: UInt64
  }

  /// Runs on a thread of its own until the walk has ended and every batch has come.
  func run(
    manifest: ManifestChunks, live: LiveContainers, counters: ProgressCounters
  ) throws(StoreError) -> Result? {
    var page = EntryPageWriter()
    var tree = TreeWriter()
    var containers: Set<Identifier> = []
    var byteCount: UInt64 = 0
    var last: Identifier?
    func note(_ id: Identifier) {
      if id != last {
        containers.insert(id)
        last = id
      }
    }
    func closePage() throws(StoreError) {
      guard page.entryCount > 0 else { return }
      let key = page.firstKey
      let entryCount = UInt64(page.entryCount)
      let byteCount = page.byteCount
      let reference = PageReference(
        firstKey: key, page: try manifest.put(page.finish()), entryCount: entryCount,
        byteCount: byteCount)
      try tree.append(reference) { (page) throws(StoreError) in try manifest.put(page) }
    }
    while let entries = next() {
      for entry in entries {
        if entry.kind == .file { byteCount += entry.size }
        switch entry.content {
        case .none, .inline: break
        case .extents(let extents):
          for case .chunk(let chunk) in extents { note(chunk.location.container) }
        case .tree(let root, let lists):
          note(root.page.location.container)
          for list in lists {
            note(list.location.container)
            // A list of this session's own was counted when it was stored.
            if live.isLive(list.location.container) {
              containers.formUnion(try live.containers(in: list))
            }
          }
        }
        if page.append(entry) { try closePage() }
      }
      counters.add(entries: UInt64(entries.count))
    }
    guard !state.withLock({ $0.isCancelled }) else { return nil }
    try closePage()
    let root = try tree.finish { (page) throws(StoreError) in try manifest.put(page) }
    try manifest.finish()
    containers.formUnion(manifest.containers)
    return Result(root: root, containers: containers, byteCount: byteCount)
  }
}
