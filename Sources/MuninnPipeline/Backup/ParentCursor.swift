internal import MuninnFormat
internal import MuninnStore

/// The entries of a parent snapshot, in path order, walked beside the source. Belongs to one
/// thread.
struct ParentCursor {
  private var leaves: TreeReader
  private let reader: ChunkReader
  private var page: [ManifestEntry] = []
  private var next = 0
  private var ordinal: UInt64 = 0
  /// Whether every entry was stepped over.
  private(set) var isAtEnd = false
  /// Pages that could not be read: what they list is read from the source again.
  private(set) var problems: [StoreError] = []

  init(_ snapshot: SnapshotRecord, store: Store) throws(StoreError) {
    reader = ChunkReader(store: store)
    leaves = try TreeReader(snapshot.root, reader: reader)
  }

  /// The entry at `path`, with its ordinal in the manifest, stepping over those before it; nil
  /// where there is none.
  mutating func entry(at path: [UInt8]) -> (entry: ManifestEntry, ordinal: UInt64)? {
    while true {
      while next < page.count {
        let order = comparePaths(page[next].path, path)
        if order > 0 { return nil }
        next += 1
        ordinal += 1
        if order == 0 { return (page[next - 1], ordinal - 1) }
      }
      guard loadPage() else { return nil }
    }
  }

  private mutating func loadPage() -> Bool {
    page = []
    next = 0
    while true {
      do throws(StoreError) {
        guard let leaf = try leaves.nextLeaf() else {
          isAtEnd = true
          return false
        }
        page = try decodeLeaf(leaf, reader)
        return true
      } catch {
        // Its ordinals are lost with it; an identity catalogue must not be trusted behind it.
        ordinal = UInt64.max / 2
        problems.append(error)
      }
    }
  }
}

/// A leaf page of a manifest, read and decoded.
func decodeLeaf(
  _ leaf: ChunkReference, _ reader: ChunkReader
) throws(StoreError) -> [ManifestEntry] {
  let bytes = try reader.read(leaf)
  do throws(FormatError) {
    return try bytes.withUnsafeBytesTyped { (raw) throws(FormatError) in
      try EntryPage.decode(raw)
    }
  } catch {
    throw StoreError(error, object: ObjectName.container(leaf.location.container))
  }
}
