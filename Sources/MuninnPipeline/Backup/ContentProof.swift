internal import MuninnFormat
internal import MuninnStore

/// What a list of extents holds, as one number: the same for the same chunks and holes in the same
/// order, wherever they are stored and however their list is cut into pages.
struct ExtentDigest {
  private var value: UInt64 = 0
  private var hole: UInt64 = 0

  mutating func add(_ extent: Extent) {
    switch extent {
    case .hole(let count): hole += count
    case .chunk(let chunk):
      endHole()
      let identity = chunk.identity
      mix(
        identity.fingerprint.low, identity.fingerprint.high, identity.tag.low, identity.tag.high,
        UInt64(chunk.length))
    }
  }

  /// The number, once every extent was added.
  mutating func finish() -> UInt64 {
    endHole()
    return value
  }

  private mutating func endHole() {
    guard hole > 0 else { return }
    mix(hole, 0, 0, 0, UInt64.max)
    hole = 0
  }

  private mutating func mix(
    _ a: UInt64, _ b: UInt64, _ c: UInt64, _ d: UInt64, _ e: UInt64
  ) {
    value = withUnsafeBytes(of: (value, a, b, c, d, e)) { checksum($0) }
  }
}

/// Holds what was read of a file against what the parent's manifest says of it. Belongs to one
/// thread.
struct ContentProof {
  private let reader: ChunkReader

  init(store: Store) { reader = ChunkReader(store: store) }

  /// In what a file differs from what is expected of it; nil where it does not. `digest` is that of
  /// a file whose extents are in a tree.
  func difference(
    of found: EntryContent, digest: UInt64?, from expected: EntryContent
  ) -> String? {
    if case .inline(let bytes) = found {
      return expected == .inline(bytes) ? nil : ContentProof.message
    }
    do throws(StoreError) {
      var here = digest
      if here == nil { here = try self.digest(of: found) }
      let there = try self.digest(of: expected)
      return there == here ? nil : ContentProof.message
    } catch {
      return "was read again, and what the parent has of it cannot be read: \(error.description)"
    }
  }

  private static let message = """
    holds something else than the parent has of it, although its inode, size and times say that \
    it did not change; this snapshot has what it holds now
    """

  private func digest(of content: EntryContent) throws(StoreError) -> UInt64 {
    var digest = ExtentDigest()
    switch content {
    case .none: break
    // No run of extents has it.
    case .inline: return 1
    case .extents(let extents): for extent in extents { digest.add(extent) }
    case .tree(let root, _):
      var leaves = try TreeReader(root, reader: reader)
      while let leaf = try leaves.nextLeaf() {
        for extent in try extents(of: leaf) { digest.add(extent) }
      }
    }
    return digest.finish()
  }

  private func extents(of leaf: ChunkReference) throws(StoreError) -> [Extent] {
    let bytes = try reader.read(leaf)
    do {
      return try bytes.withUnsafeBytesTyped { (raw) throws(FormatError) in
        try ExtentPage.decode(raw)
      }
    } catch {
      throw StoreError(error, object: ObjectName.container(leaf.location.container))
    }
  }
}
