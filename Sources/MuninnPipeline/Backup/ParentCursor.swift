internal import MuninnFormat
internal import MuninnStore

/// A leaf page of a parent's manifest.
final class ParentPage: Sendable {
  let entries: [ManifestEntry]
  /// What a manifest that has all these entries, and begins a page with them, can refer to in the
  /// place of a page of its own. Nil where the page may have ended only since the manifest did.
  let reference: PageReference?

  init(_ entries: [ManifestEntry], reference: PageReference?) {
    self.entries = entries
    self.reference = reference
  }
}

/// The entries of a parent snapshot, in path order, walked beside the source. Belongs to one
/// thread.
struct ParentCursor {
  private var leaves: TreeReader
  private let reader: ChunkReader
  /// The page of the entry that was found last.
  private(set) var page = ParentPage([], reference: nil)
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

  /// Where in `page` the entry at `path` is, and its ordinal in the manifest, stepping over those
  /// before it; nil where there is none.
  mutating func find(_ path: [UInt8]) -> (place: Int, ordinal: UInt64)? {
    while true {
      while next < page.entries.count {
        let order = comparePaths(page.entries[next].path, path)
        if order > 0 { return nil }
        next += 1
        ordinal += 1
        if order == 0 { return (next - 1, ordinal - 1) }
      }
      guard loadPage() else { return nil }
    }
  }

  private mutating func loadPage() -> Bool {
    page = ParentPage([], reference: nil)
    next = 0
    while true {
      do throws(StoreError) {
        guard let leaf = try leaves.nextLeaf() else {
          isAtEnd = true
          return false
        }
        let entries = try decodeLeaf(leaf, reader)
        let isWhole = leaves.hasMore && leaves.last?.entryCount == UInt64(entries.count)
        page = ParentPage(entries, reference: isWhole ? leaves.last : nil)
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
