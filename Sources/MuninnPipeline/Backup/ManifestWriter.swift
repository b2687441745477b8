internal import MuninnFormat
internal import MuninnStore

/// Fills the pages of a manifest with entries in path order, and notes which containers they need.
/// Belongs to one thread.
///
/// The manifest can be ended at any place that was remembered, and goes on all the same: an end
/// costs the pages that are open, stored a second time.
struct ManifestWriter {
  /// How far the manifest is: a small value to remember.
  struct Place: Sendable {
    fileprivate var page = EntryPageWriter()
    fileprivate var tree = TreeWriter()
    /// The containers that were needed first up to here.
    fileprivate var containerCount = 0
    /// Content bytes of all files, holes included.
    fileprivate(set) var byteCount: UInt64 = 0
    /// Bytes of the files that this backup read.
    fileprivate(set) var readByteCount: UInt64 = 0
    fileprivate(set) var counts = SnapshotCounts()
  }

  struct Result: Sendable {
    let root: TreeRoot
    let containers: Set<Identifier>
    /// Content bytes of all files, holes included.
    let byteCount: UInt64
  }

  private let manifest: ManifestChunks
  private let live: LiveContainers
  private let usage: UsageCounter
  private(set) var place = Place()
  /// Every container that an entry needs, in the order in which they were needed first.
  private var containers: [Identifier: Int] = [:]
  private var last: Identifier?

  init(manifest: ManifestChunks, live: LiveContainers, usage: UsageCounter) {
    self.manifest = manifest
    self.live = live
    self.usage = usage
  }

  /// Whether one of the entries needs a container that none before it did, and that this backup
  /// made.
  func meetsNewContainer(_ batch: FinishedBatch) -> Bool {
    func isNew(_ id: Identifier) -> Bool { containers[id] == nil && !live.isLive(id) }
    if batch.listed.contains(where: isNew) { return true }
    var last = last
    for entry in batch.entries {
      guard case .extents(let extents) = entry.content else { continue }
      for case .chunk(let chunk) in extents where chunk.location.container != last {
        if isNew(chunk.location.container) { return true }
        last = chunk.location.container
      }
    }
    return false
  }

  mutating func append(_ entry: ManifestEntry) throws(StoreError) {
    try count(entry)
    if place.page.append(entry) { try ManifestWriter.closePage(of: &place, manifest) }
  }

  /// Takes a parent's page over where one begins here, else its entries. The entries up to the end
  /// of a page decide it (see `EntryPageWriter`): it would be made the same again.
  mutating func append(_ page: ParentPage) throws(StoreError) {
    guard place.page.entryCount == 0, let reference = page.reference,
      live.isLive(reference.page.location.container)
    else {
      for entry in page.entries { try append(entry) }
      return
    }
    for place in page.entries.indices { try count(page.entries[place]) }
    manifest.noteUsed([reference.page.location.container])
    let manifest = manifest
    try place.tree.append(reference) { (page) throws(StoreError) in try manifest.put(page) }
  }

  /// Notes what an entry needs.
  private mutating func count(_ entry: ManifestEntry) throws(StoreError) {
    if entry.kind == .file { place.byteCount += entry.size }
    switch entry.content {
    case .none, .inline: break
    case .extents(let extents):
      for case .chunk(let chunk) in extents { note(chunk.location.container) }
      usage.add(extents, inPages: false)
    case .tree(let root, let lists):
      // Those that hold pages and lists of this session's own are counted when they are stored, and
      // what such a list names comes with its batch.
      if live.isLive(root.page.location.container) { note(root.page.location.container) }
      for list in lists where live.isLive(list.location.container) {
        note(list.location.container)
        let listed = try live.containers(in: list)
        for id in listed { note(id) }
        usage.carry(listed)
      }
    }
  }

  /// The entries of a batch were appended.
  mutating func end(_ batch: FinishedBatch) {
    for id in batch.listed { note(id) }
    place.readByteCount += batch.readByteCount
    place.counts = batch.counts
  }

  /// The manifest as far as `place`, whose last pages and their container are closed for it. Throws
  /// where there is no entry yet.
  func finish(at place: Place) throws(StoreError) -> Result {
    var end = place
    try ManifestWriter.closePage(of: &end, manifest)
    let manifest = manifest
    let root = try end.tree.finish { (page) throws(StoreError) in try manifest.put(page) }
    try manifest.finish()
    let needed = containers.filter { $0.value < end.containerCount }
    return Result(
      root: root, containers: manifest.containers.union(needed.keys), byteCount: end.byteCount)
  }

  /// Whether what the entries up to `place` need lies in containers that are on stable storage.
  func isSafe(_ place: Place, unsynced: Set<Identifier>) -> Bool {
    !unsynced.contains { id in containers[id].map { $0 < place.containerCount } ?? false }
  }

  private mutating func note(_ id: Identifier) {
    if id == last { return }
    last = id
    guard containers[id] == nil else { return }
    containers[id] = place.containerCount
    place.containerCount += 1
  }

  private static func closePage(
    of place: inout Place, _ manifest: ManifestChunks
  ) throws(StoreError) {
    guard place.page.entryCount > 0 else { return }
    let key = place.page.firstKey
    let entryCount = UInt64(place.page.entryCount)
    let byteCount = place.page.byteCount
    let reference = PageReference(
      firstKey: key, page: try manifest.put(place.page.finish()), entryCount: entryCount,
      byteCount: byteCount)
    try place.tree.append(reference) { (page) throws(StoreError) in try manifest.put(page) }
  }
}
