internal import MuninnFormat
internal import MuninnStore

/// Makes sure that what is taken over from a parent is still in the repository.
final class LiveContainers {
  private let live: Set<Identifier>
  private let index: ChunkIndex
  private let reader: ChunkReader
  /// Where the pages of a long file go whose chunks have moved; nil where nothing is stored.
  private let manifest: ManifestChunks?
  private let usage: UsageCounter
  private var last: Identifier?

  init(
    session: WriteSession, store: Store, manifest: ManifestChunks? = nil, usage: UsageCounter
  ) {
    self.manifest = manifest
    self.usage = usage
    live = Set(session.journal.containers.keys)
    index = session.index
    reader = ChunkReader(store: store)
  }

  func isLive(_ id: Identifier) -> Bool {
    if id == last { return true }
    guard live.contains(id) else { return false }
    last = id
    return true
  }

  /// Whether all that an entry's content refers to is where it says.
  func hold(_ content: EntryContent) throws(StoreError) -> Bool {
    switch content {
    case .none, .inline: return true
    case .extents(let extents):
      for case .chunk(let chunk) in extents where !isLive(chunk.location.container) {
        return false
      }
      return true
    case .tree(let root, let lists): return try isLive(root, lists)
    }
  }

  /// The entry with locations that hold today; nil where a chunk is gone, so that the file is read
  /// again.
  func revalidate(_ entry: ManifestEntry) throws(StoreError) -> ManifestEntry? {
    switch entry.content {
    case .none, .inline: return entry
    case .extents(let extents):
      var result = entry
      // What a repair had marked is all there again, or the file is read.
      result.isDamaged = false
      for (ordinal, extent) in extents.enumerated() {
        guard case .chunk(let chunk) = extent, !isLive(chunk.location.container) else { continue }
        guard let found = try index.find(chunk.identity) else { return nil }
        var moved = extents
        moved[ordinal] = .chunk(
          ChunkReference(identity: chunk.identity, length: chunk.length, location: found))
        result.content = .extents(moved)
        return try revalidate(result)
      }
      return result
    case .tree(let root, let lists):
      var result = entry
      result.isDamaged = false
      if try isLive(root, lists) { return result }
      guard let content = try moved(root) else { return nil }
      result.content = content
      return result
    }
  }

  private func isLive(
    _ root: TreeRoot, _ lists: [ChunkReference]
  ) throws(StoreError) -> Bool {
    guard isLive(root.page.location.container) else { return false }
    for list in lists {
      guard isLive(list.location.container), try containers(in: list).allSatisfy({ isLive($0) })
      else { return false }
    }
    return true
  }

  /// A long file's content with locations that hold today, its pages written anew; nil where a
  /// chunk or a page is gone. Reads none of the file's bytes.
  private func moved(_ root: TreeRoot) throws(StoreError) -> EntryContent? {
    guard let manifest else { return nil }
    let file = LargeFile(manifest: manifest, usage: usage)
    var count = 0
    do throws(StoreError) {
      var leaves = try TreeReader(root, reader: reader)
      while let leaf = try leaves.nextLeaf() {
        var extents = try reader.extents(of: leaf)
        for (ordinal, extent) in extents.enumerated() {
          guard case .chunk(let chunk) = extent, !isLive(chunk.location.container) else {
            continue
          }
          guard let found = try index.find(chunk.identity) else { return nil }
          extents[ordinal] = .chunk(
            ChunkReference(identity: chunk.identity, length: chunk.length, location: found))
        }
        try file.add(extents, ordinal: count)
        count += 1
      }
    } catch {
      guard error.code == .damaged || error.code == .notFound else { throw error }
      return nil
    }
    try file.finish(segmentCount: count)
    // No batch brings what these lists name.
    if let listed = file.result?.listed { manifest.noteUsed(listed) }
    return file.result?.content
  }

  /// The ids in a chunk of them.
  func containers(in list: ChunkReference) throws(StoreError) -> [Identifier] {
    let bytes = try reader.read(list)
    do throws(FormatError) {
      return try bytes.withUnsafeBytesTyped { (raw) throws(FormatError) in
        try ContainerList.decode(raw)
      }
    } catch {
      throw StoreError(error, object: ObjectName.container(list.location.container))
    }
  }
}
