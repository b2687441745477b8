package import MuninnFormat

/// Builds a tree of pages from its leaves: stores each page as a chunk, deduplicated like any
/// other, and the upper pages above it. Belongs to one thread.
///
/// Where upper pages end follows the leaves' rule, so that an unchanged run of leaves keeps its
/// upper pages too. It never looks into a leaf.
package struct TreeWriter: Sendable {
  private struct Level: Sendable {
    var references: [PageReference] = []
    var byteCount = 0
  }

  private var levels: [Level] = []

  package init() {}

  package var isEmpty: Bool { levels.isEmpty }

  /// Adds a stored leaf behind the last one.
  package mutating func append(
    _ reference: PageReference, store: (_ page: [UInt8]) throws(StoreError) -> ChunkReference
  ) throws(StoreError) {
    try append(reference, level: 0, store: store)
  }

  private mutating func append(
    _ reference: PageReference, level: Int,
    store: (_ page: [UInt8]) throws(StoreError) -> ChunkReference
  ) throws(StoreError) {
    if levels.count == level { levels.append(Level()) }
    levels[level].references.append(reference)
    levels[level].byteCount += reference.firstKey.count + 56
    // A tree of extents has no keys: its pages' fingerprints decide.
    let key =
      reference.firstKey.isEmpty
      ? withUnsafeBytes(of: reference.page.identity.fingerprint.low.littleEndian) { [UInt8]($0) }
      : reference.firstKey
    if levels[level].references.count > 1,
      isPageEnd(key: key, pageByteCount: levels[level].byteCount)
    {
      try close(level, store: store)
    }
  }

  private mutating func close(
    _ level: Int, store: (_ page: [UInt8]) throws(StoreError) -> ChunkReference
  ) throws(StoreError) {
    let references = levels[level].references
    levels[level] = Level()
    guard let first = references.first else { return }
    let page = try store(ReferencePage.encoded(level: UInt8(level + 1), references))
    let upper = PageReference(
      firstKey: first.firstKey, page: page,
      entryCount: references.reduce(0) { $0 &+ $1.entryCount },
      byteCount: references.reduce(0) { $0 &+ $1.byteCount })
    try append(upper, level: level + 1, store: store)
  }

  /// Closes all pages; the tree has at least one leaf.
  package mutating func finish(
    store: (_ page: [UInt8]) throws(StoreError) -> ChunkReference
  ) throws(StoreError) -> TreeRoot {
    var level = 0
    while level < levels.count {
      let isTop = level == levels.count - 1
      if isTop, levels[level].references.count == 1 {
        return TreeRoot(level: UInt8(level), page: levels[level].references[0].page)
      }
      try close(level, store: store)
      level += 1
    }
    throw StoreError(.inputOutput, "a tree without a leaf")
  }
}
