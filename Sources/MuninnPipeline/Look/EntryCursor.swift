import MuninnFormat
import MuninnStore

/// Goes through the entries of a manifest, and can step over a page without reading it. Belongs to
/// one thread.
struct EntryCursor {
  private let reader: ChunkReader
  private var tree: TreeReader
  private var leaf: ChunkReference?
  private var entries: [ManifestEntry] = []
  private var next = 0
  private(set) var failures: [PathFailure] = []
  private var lastPath: [UInt8]?

  init(_ root: TreeRoot, store: Store) throws(StoreError) {
    reader = ChunkReader(store: store)
    tree = try TreeReader(root, reader: reader)
    advanceLeaf()
  }

  /// The page that comes next, where the one before it is used up.
  var upcomingPage: ChunkReference? { next < entries.count ? nil : leaf }

  mutating func skipPage() {
    entries = []
    next = 0
    advanceLeaf()
  }

  /// The entry that the cursor is at; nil at the end.
  mutating func current() -> ManifestEntry? {
    while next >= entries.count {
      guard let page = leaf else { return nil }
      do throws(StoreError) {
        let read = try decodeLeaf(page, reader)
        // Entries out of order would make a merge endless.
        entries = read.filter { entry in
          defer { lastPath = entry.path }
          return lastPath.map { pathPrecedes($0, entry.path) } ?? true
        }
      } catch {
        entries = []
        failures.append(
          PathFailure(
            path: lastPath ?? [],
            message: "a page of the manifest after this path is lost: \(error.description)"))
      }
      next = 0
      advanceLeaf()
    }
    return entries[next]
  }

  mutating func advance() { next += 1 }

  /// The entry at a path; nil where there is none. Paths are asked for in increasing order.
  mutating func entry(at path: [UInt8]) -> ManifestEntry? {
    while let entry = current() {
      let order = comparePaths(entry.path, path)
      if order >= 0 { return order == 0 ? entry : nil }
      advance()
    }
    return nil
  }

  private mutating func advanceLeaf() {
    do throws(StoreError) {
      leaf = try tree.nextLeaf()
    } catch {
      // The way ahead may be sound behind the damaged page.
      failures.append(
        PathFailure(
          path: lastPath ?? [],
          message: "pages of the manifest after this path are lost: \(error.description)"))
      leaf = try? tree.nextLeaf()
    }
  }
}
