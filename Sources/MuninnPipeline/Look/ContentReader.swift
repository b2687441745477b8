package import MuninnFormat
package import MuninnStore

/// A stretch of a file's content.
package enum ContentPiece {
  case bytes([UInt8])
  case hole(UInt64)
}

/// Reads the content of entries in file order, verified chunk by chunk. Belongs to one thread.
package struct ContentReader {
  private let chunks: ChunkReader

  package init(store: Store) { chunks = ChunkReader(store: store) }

  /// Calls `body` with each piece until it returns false. Throws for a chunk that is lost; what
  /// came before it is good.
  package func read(
    _ content: EntryContent, _ body: (ContentPiece) -> Bool
  ) throws(StoreError) {
    try forEachExtent(of: content) { (extent) throws(StoreError) in
      switch extent {
      case .inline(let bytes): return body(.bytes(bytes))
      case .extent(.hole(let count)): return body(.hole(count))
      case .extent(.chunk(let chunk)): return body(.bytes(try chunks.read(chunk)))
      }
    }
  }

  /// The stretches of a file that are no holes, neighbours joined.
  func dataRanges(of content: EntryContent) throws(StoreError) -> [Range<UInt64>] {
    var ranges: [Range<UInt64>] = []
    var offset: UInt64 = 0
    try forEachExtent(of: content) { (extent) throws(StoreError) in
      let count: UInt64
      switch extent {
      case .inline(let bytes): count = UInt64(bytes.count)
      case .extent(let extent): count = extent.byteCount
      }
      let end = offset.addingReportingOverflow(count)
      guard !end.overflow else {
        throw StoreError(.damaged, "the file's extents are longer than any file")
      }
      if case .extent(.hole) = extent {
      } else if let last = ranges.last, last.upperBound == offset {
        ranges[ranges.count - 1] = last.lowerBound..<end.partialValue
      } else if count > 0 {
        ranges.append(offset..<end.partialValue)
      }
      offset = end.partialValue
      return true
    }
    return ranges
  }

  private enum Stretch {
    case inline([UInt8])
    case extent(Extent)
  }

  private func forEachExtent(
    of content: EntryContent, _ body: (Stretch) throws(StoreError) -> Bool
  ) throws(StoreError) {
    switch content {
    case .none: break
    case .inline(let bytes): _ = try body(.inline(bytes))
    case .extents(let extents):
      for extent in extents where try !body(.extent(extent)) { return }
    case .tree(let root, _):
      var tree = try TreeReader(root, reader: chunks)
      while let leaf = try tree.nextLeaf() {
        for extent in try chunks.extents(of: leaf) where try !body(.extent(extent)) { return }
      }
    }
  }
}
