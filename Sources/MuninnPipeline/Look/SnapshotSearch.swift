package import MuninnFormat
package import MuninnStore

/// Finds entries by patterns in gitignore syntax, in one snapshot after the other. Belongs to one
/// thread.
///
/// A page that the snapshot searched before had too is not read again: its matches are known.
package struct SnapshotSearch {
  private let store: Store
  private let patterns: PathPatterns
  private var known: [ChunkIdentity: [ManifestEntry]] = [:]

  package init(store: Store, patterns: [String]) {
    self.store = store
    self.patterns = PathPatterns(patterns)
  }

  /// Calls `body` with each match, in path order, until it returns false. Pages that are lost are
  /// returned.
  package mutating func run(
    _ root: TreeRoot, _ body: (ManifestEntry) -> Bool
  ) throws(StoreError) -> [PathFailure] {
    let reader = ChunkReader(store: store)
    var tree = try TreeReader(root, reader: reader)
    var seen: [ChunkIdentity: [ManifestEntry]] = [:]
    var failures: [PathFailure] = []
    defer { known = seen }
    while true {
      do throws(StoreError) {
        guard let leaf = try tree.nextLeaf() else { return failures }
        let found: [ManifestEntry]
        if let before = known[leaf.identity] {
          found = before
        } else {
          found = try matches(in: leaf, reader)
        }
        seen[leaf.identity] = found
        for entry in found where !body(entry) { return failures }
      } catch {
        failures.append(
          PathFailure(path: [], message: "a page of the manifest is lost: \(error.description)"))
      }
    }
  }

  private func matches(
    in leaf: ChunkReference, _ reader: ChunkReader
  ) throws(StoreError) -> [ManifestEntry] {
    try decodeLeaf(leaf, reader).compactMap { entry in
      guard !entry.path.isEmpty,
        patterns.matches(entry.path, isDirectory: entry.kind == .directory)
      else { return nil }
      var bare = entry
      bare.content = .none
      return bare
    }
  }
}
