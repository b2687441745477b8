internal import MuninnDisk
internal import MuninnFormat
internal import MuninnStore

/// Puts the entries of finished batches back into path order and writes the manifest.
final class AssembleStage: Sendable {
  private struct State {
    var done: [UInt64: FinishedBatch] = [:]
    var next: UInt64 = 0
    /// Entries of each batch that is on its way, and of all of them.
    var counts: [UInt64: Int] = [:]
    var entryCount = 0
    /// The number of batches, once the walk has ended.
    var end: UInt64?
    var isCancelled = false
  }

  /// Entries that may be on their way from the walk to the manifest.
  private static let maximumEntries = 1 << 16

  private let state = Monitor(State())

  func deliver(_ batch: FinishedBatch, sequence: UInt64) {
    state.update { $0.done[sequence] = batch }
  }

  /// Blocks the walk while it is too far ahead; false where the backup was given up.
  func waitForRoom(_ batch: Batch) -> Bool {
    state.wait(until: {
      $0.isCancelled || $0.entryCount < AssembleStage.maximumEntries || batch.sequence == $0.next
    }) { state in
      state.counts[batch.sequence] = batch.items.count
      state.entryCount += batch.items.count
      return !state.isCancelled
    }
  }

  func end(after count: UInt64) { state.update { $0.end = count } }

  func cancel() { state.update { $0.isCancelled = true } }

  /// The entries of the next batch in order; nil at the end.
  private func next() -> FinishedBatch? {
    let batch = state.wait(until: {
      $0.isCancelled || $0.done[$0.next] != nil || $0.end == $0.next
    }) { state -> FinishedBatch? in
      guard !state.isCancelled, let batch = state.done.removeValue(forKey: state.next) else {
        return nil
      }
      state.entryCount -= state.counts.removeValue(forKey: state.next) ?? 0
      state.next += 1
      return batch
    }
    state.notifyAll()
    return batch
  }

  struct Result {
    let root: TreeRoot
    let containers: Set<Identifier>
    /// Content bytes of all files, holes included.
    let byteCount: UInt64
  }

  /// Runs on a thread of its own until the walk has ended and every batch has come. `readAgain`
  /// reads a file whose first name could not be read.
  func run(
    manifest: ManifestChunks, live: LiveContainers, counters: ProgressCounters,
    readAgain: (WalkedEntry, HardLink) throws(PipelineError) -> ManifestEntry?
  ) throws(PipelineError) -> Result? {
    var writer = ManifestWriter(manifest: manifest, live: live)
    var linked = LinkedFiles()
    while let batch = next() {
      for place in batch.firsts {
        linked.note(batch.entries[place], as: batch.entries[place].path)
      }
      var links = batch.links[...]
      for (place, entry) in batch.entries.enumerated() {
        if let link = links.first, link.place == place {
          links.removeFirst()
          var found = linked.entry(of: link.walked, link.name)
          if let found {
            counters.add(bytes: found.size)
          } else {
            found = try readAgain(link.walked, .later(link.name.first))
            if let found, found.hardLink != .none, !link.name.isLast {
              linked.note(found, as: link.name.first)
            }
          }
          if let found { try fromStore { () throws(StoreError) in try writer.append(found) } }
          continue
        }
        try fromStore { () throws(StoreError) in try writer.append(entry) }
      }
      counters.add(entries: UInt64(batch.entries.count))
    }
    guard !state.withLock({ $0.isCancelled }) else { return nil }
    return try fromStore { () throws(StoreError) in try writer.finish() }
  }
}

/// Fills the pages of a manifest with entries in path order, and notes which containers they need.
private struct ManifestWriter {
  private let manifest: ManifestChunks
  private let live: LiveContainers
  private var page = EntryPageWriter()
  private var tree = TreeWriter()
  private var containers: Set<Identifier> = []
  private var byteCount: UInt64 = 0
  private var last: Identifier?

  init(manifest: ManifestChunks, live: LiveContainers) {
    self.manifest = manifest
    self.live = live
  }

  mutating func append(_ entry: ManifestEntry) throws(StoreError) {
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

  mutating func finish() throws(StoreError) -> AssembleStage.Result {
    try closePage()
    let manifest = manifest
    let root = try tree.finish { (page) throws(StoreError) in try manifest.put(page) }
    try manifest.finish()
    containers.formUnion(manifest.containers)
    return AssembleStage.Result(root: root, containers: containers, byteCount: byteCount)
  }

  private mutating func note(_ id: Identifier) {
    if id == last { return }
    containers.insert(id)
    last = id
  }

  private mutating func closePage() throws(StoreError) {
    guard page.entryCount > 0 else { return }
    let key = page.firstKey
    let entryCount = UInt64(page.entryCount)
    let byteCount = page.byteCount
    let manifest = manifest
    let reference = PageReference(
      firstKey: key, page: try manifest.put(page.finish()), entryCount: entryCount,
      byteCount: byteCount)
    try tree.append(reference) { (page) throws(StoreError) in try manifest.put(page) }
  }
}
