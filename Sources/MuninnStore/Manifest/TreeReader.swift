package import MuninnFormat

/// Walks the leaves of a tree of pages in order. Belongs to one thread.
package struct TreeReader {
  private struct Level {
    let references: [PageReference]
    var next = 0
    let level: UInt8
  }

  private let reader: ChunkReader
  private var stack: [Level] = []
  private var pending: ChunkReference?
  /// The page that `nextLeaf` returned last, or failed to read; nil for a root.
  package private(set) var last: PageReference?

  package init(_ root: TreeRoot, reader: ChunkReader) throws(StoreError) {
    self.reader = reader
    if root.level == 0 {
      pending = root.page
    } else {
      stack.append(try descend(root.page, level: root.level))
    }
  }

  /// Calls `body` with every page that the tree has, upper ones included, top down, without reading
  /// leaves.
  package static func forEachPage(
    _ root: TreeRoot, reader: ChunkReader, _ body: (ChunkReference) -> Void
  ) throws(StoreError) {
    var stack = [(root.page, root.level)]
    while let (page, level) = stack.popLast() {
      body(page)
      guard level > 0 else { continue }
      let references = try decodeUpper(page, level: level, reader: reader)
      stack.append(contentsOf: references.reversed().map { ($0.page, level - 1) })
    }
  }

  private static func decodeUpper(
    _ page: ChunkReference, level: UInt8, reader: ChunkReader
  ) throws(StoreError) -> [PageReference] {
    let bytes = try reader.read(page)
    return try decoding(ObjectName.container(page.location.container)) { () throws(FormatError) in
      try bytes.withUnsafeBytesTyped { (raw) throws(FormatError) in
        try ReferencePage.decode(raw, level: level)
      }
    }
  }

  private func descend(_ page: ChunkReference, level: UInt8) throws(StoreError) -> Level {
    Level(
      references: try TreeReader.decodeUpper(page, level: level, reader: reader), level: level)
  }

  /// Whether `nextLeaf` has more to return.
  package var hasMore: Bool {
    pending != nil || stack.contains { $0.next < $0.references.count }
  }

  /// The reference of the next leaf; nil at the end.
  package mutating func nextLeaf() throws(StoreError) -> ChunkReference? {
    if let only = pending {
      pending = nil
      return only
    }
    while let top = stack.last {
      guard top.next < top.references.count else {
        stack.removeLast()
        continue
      }
      stack[stack.count - 1].next += 1
      let reference = top.references[top.next]
      last = reference
      if top.level == 1 { return reference.page }
      stack.append(try descend(reference.page, level: top.level - 1))
    }
    return nil
  }

  /// Steps over all leaves that lie wholly before `key`, from wherever the walk is.
  package mutating func seek(_ key: [UInt8]) throws(StoreError) {
    guard pending == nil else { return }
    // Where the next page of a level begins at or before the key, all that is left below it does
    // not hold the key: climb as far as that holds.
    var keep = stack.count
    for (depth, level) in stack.enumerated().dropLast()
    where level.next < level.references.count
      && comparePaths(level.references[level.next].firstKey, key) <= 0
    {
      keep = depth + 1
      break
    }
    stack.removeLast(stack.count - keep)
    while let top = stack.last {
      // The last reference whose first key is at or before the key.
      var at = top.next
      while at + 1 < top.references.count,
        comparePaths(top.references[at + 1].firstKey, key) <= 0
      {
        at += 1
      }
      stack[stack.count - 1].next = at
      guard top.level > 1, at < top.references.count else { return }
      stack[stack.count - 1].next = at + 1
      stack.append(try descend(top.references[at].page, level: top.level - 1))
    }
  }
}
