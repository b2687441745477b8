package import MuninnFormat
package import MuninnStore

/// In what an entry differs from another one of its path.
package struct EntryAspects: OptionSet, Sendable, Hashable {
  package let rawValue: UInt16
  package init(rawValue: UInt16) { self.rawValue = rawValue }

  package static let kind = Self(rawValue: 1)
  package static let content = Self(rawValue: 2)
  package static let mode = Self(rawValue: 4)
  package static let owner = Self(rawValue: 8)
  package static let modified = Self(rawValue: 16)
  package static let attributes = Self(rawValue: 32)
  package static let linkTarget = Self(rawValue: 64)
  package static let device = Self(rawValue: 128)
  package static let flags = Self(rawValue: 256)
}

/// A path at which two trees differ.
package struct EntryDifference: Sendable {
  package let path: [UInt8]
  /// Nil where the path is in the second tree alone, or the first.
  package let old: ManifestEntry?
  package let new: ManifestEntry?
  package let aspects: EntryAspects
}

extension EntryAspects {
  /// Everything but the content of two files, which takes reading.
  init(metadataOf old: ManifestEntry, and new: ManifestEntry) {
    var aspects: EntryAspects = []
    if old.kind != new.kind { aspects.insert(.kind) }
    if old.mode != new.mode, old.kind != .symlink { aspects.insert(.mode) }
    if old.userID != new.userID || old.groupID != new.groupID { aspects.insert(.owner) }
    if old.modifiedNanoseconds != new.modifiedNanoseconds { aspects.insert(.modified) }
    if old.linkTarget != new.linkTarget { aspects.insert(.linkTarget) }
    if old.deviceMajor != new.deviceMajor || old.deviceMinor != new.deviceMinor {
      aspects.insert(.device)
    }
    if old.kind == .file, new.kind == .file, old.size != new.size { aspects.insert(.content) }
    self = aspects
  }
}

/// The differences between two snapshots of one repository, in path order.
///
/// Pages that both manifests share are stepped over, so that the cost follows what changed.
package struct SnapshotDifference {
  private let store: Store
  private let reader: ChunkReader

  package init(store: Store) {
    self.store = store
    reader = ChunkReader(store: store)
  }

  /// Calls `body` with each difference until it returns false. Pages that are lost are returned.
  package func run(
    _ old: TreeRoot, _ new: TreeRoot, _ body: (EntryDifference) -> Bool
  ) throws(StoreError) -> [PathFailure] {
    var left = try EntryCursor(old, store: store)
    var right = try EntryCursor(new, store: store)
    while true {
      if let page = left.upcomingPage, let other = right.upcomingPage,
        page.identity == other.identity
      {
        left.skipPage()
        right.skipPage()
        continue
      }
      let (a, b) = (left.current(), right.current())
      let order: Int
      switch (a, b) {
      case (nil, nil): return left.failures + right.failures
      case (_?, nil): order = -1
      case (nil, _?): order = 1
      case (let a?, let b?): order = comparePaths(a.path, b.path)
      }
      var difference: EntryDifference?
      if order < 0, let a {
        difference = EntryDifference(path: a.path, old: a, new: nil, aspects: [])
      } else if order > 0, let b {
        difference = EntryDifference(path: b.path, old: nil, new: b, aspects: [])
      } else if let a, let b {
        let aspects = try aspects(of: a, and: b)
        if !aspects.isEmpty {
          difference = EntryDifference(path: a.path, old: a, new: b, aspects: aspects)
        }
      }
      if order <= 0 { left.advance() }
      if order >= 0 { right.advance() }
      if let difference, !body(difference) { return left.failures + right.failures }
    }
  }

  private func aspects(
    of old: ManifestEntry, and new: ManifestEntry
  ) throws(StoreError) -> EntryAspects {
    var aspects = EntryAspects(metadataOf: old, and: new)
    if old.attributes != new.attributes { aspects.insert(.attributes) }
    if old.inodeFlags != new.inodeFlags { aspects.insert(.flags) }
    if old.kind == .file, new.kind == .file, !aspects.contains(.content),
      try !isSameContent(old.content, new.content)
    {
      aspects.insert(.content)
    }
    return aspects
  }

  /// By the chunks' identities: places may differ for the same content.
  func isSameContent(
    _ old: EntryContent, _ new: EntryContent
  ) throws(StoreError) -> Bool {
    if old == new { return true }
    switch (old, new) {
    case (.extents(let a), .extents(let b)): return EntryExtents.isSame(a[...], b[...])
    case (.tree(let a, _), .tree(let b, _)):
      if a.page.identity == b.page.identity { return true }
      var left = try EntryExtents(a, reader)
      var right = try EntryExtents(b, reader)
      while true {
        let (x, y) = (try left.next(), try right.next())
        guard let x, let y else { return x == nil && y == nil }
        if !EntryExtents.isSame([x], [y]) { return false }
      }
    default: return false
    }
  }
}

/// The extents of a long file, one after the other.
private struct EntryExtents {
  private let reader: ChunkReader
  private var tree: TreeReader
  private var page: [Extent] = []
  private var at = 0

  init(_ root: TreeRoot, _ reader: ChunkReader) throws(StoreError) {
    self.reader = reader
    tree = try TreeReader(root, reader: reader)
  }

  mutating func next() throws(StoreError) -> Extent? {
    while at >= page.count {
      guard let leaf = try tree.nextLeaf() else { return nil }
      page = try reader.extents(of: leaf)
      at = 0
    }
    defer { at += 1 }
    return page[at]
  }

  static func isSame(_ a: ArraySlice<Extent>, _ b: ArraySlice<Extent>) -> Bool {
    a.count == b.count
      && zip(a, b).allSatisfy { pair in
        switch pair {
        case (.hole(let x), .hole(let y)): x == y
        case (.chunk(let x), .chunk(let y)): x.identity == y.identity && x.length == y.length
        default: false
        }
      }
  }
}
