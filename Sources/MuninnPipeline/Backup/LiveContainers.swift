internal import MuninnFormat
internal import MuninnStore

/// Makes sure that what is taken over from a parent is still in the repository.
final class LiveContainers {
  private let live: Set<Identifier>
  private let index: ChunkIndex
  private let reader: ChunkReader
  private var last: Identifier?

  init(session: WriteSession, store: Store) {
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
      guard isLive(root.page.location.container) else { return nil }
      for list in lists {
        guard isLive(list.location.container) else { return nil }
        guard try containers(in: list).allSatisfy({ isLive($0) }) else { return nil }
      }
      var result = entry
      result.isDamaged = false
      return result
    }
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
