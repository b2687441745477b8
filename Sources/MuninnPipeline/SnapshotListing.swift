package import MuninnFormat
package import MuninnStore

/// The entries of a snapshot at and below a path, in path order, reading only the pages that hold
/// them.
package struct SnapshotListing {
  private let store: Store
  private let root: TreeRoot
  private let path: [UInt8]
  private let isRecursive: Bool

  package init(store: Store, root: TreeRoot, path: [UInt8], isRecursive: Bool) {
    self.store = store
    self.root = root
    self.path = path
    self.isRecursive = isRecursive
  }

  /// Calls `body` with each entry until it returns false; returns whether the path is there.
  package func run(_ body: (ManifestEntry) -> Bool) throws(StoreError) -> Bool {
    let reader = ChunkReader(store: store)
    var leaves = try TreeReader(root, reader: reader)
    try leaves.seek(path)
    var isFound = false
    while let leaf = try leaves.nextLeaf() {
      for entry in try decodeLeaf(leaf, reader) where comparePaths(entry.path, path) >= 0 {
        guard isInside(entry.path) else { return isFound }
        isFound = true
        if !isRecursive, depth(below: entry.path) > 1 { continue }
        if !body(entry) { return true }
      }
    }
    return isFound
  }

  private func isInside(_ candidate: [UInt8]) -> Bool {
    path.isEmpty || candidate == path
      || (candidate.count > path.count && candidate[path.count] == 0x2F
        && candidate.starts(with: path))
  }

  /// Components of an inside path behind `path`.
  private func depth(below candidate: [UInt8]) -> Int {
    if candidate.count == path.count { return 0 }
    let rest = path.isEmpty ? candidate[...] : candidate[(path.count + 1)...]
    return 1 + rest.count(where: { $0 == 0x2F })
  }
}
