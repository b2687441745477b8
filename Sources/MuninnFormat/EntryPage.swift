/// Collects the entries of one leaf page of a manifest.
///
/// Where a page ends depends on the paths in it, never on what was stored before it, so that two
/// snapshots that share a run of entries share its pages: after an entry whose path's XXH3-64 is a
/// multiple of 32, once the page has 4 KiB, and at 64 KiB in any case.
package struct EntryPageWriter: Sendable {
  private var tables = PageTables()
  private var body = ByteWriter(reserving: 1 << 16)
  private var previous: [UInt8] = []
  package private(set) var entryCount = 0
  package private(set) var byteCount: UInt64 = 0
  package private(set) var firstKey: [UInt8] = []
  private var pathByteCount = 0

  package init() {}

  /// Adds an entry behind the last one; returns whether the page ends here.
  package mutating func append(_ entry: ManifestEntry) -> Bool {
    if entryCount == 0 { firstKey = entry.path }
    body.entry(entry, after: previous, tables: &tables)
    previous = entry.path
    entryCount += 1
    byteCount &+= entry.size
    pathByteCount += entry.path.count
    if case .later(let first) = entry.hardLink { pathByteCount += first.count }
    return pathByteCount >= FormatLimit.pathBytesPerPage / 4
      || isPageEnd(key: entry.path, pageByteCount: body.count)
  }

  /// The page's bytes; the writer is empty afterwards.
  package mutating func finish() -> [UInt8] {
    let page = tables.page(level: 0, entryCount: entryCount, body: body)
    tables = PageTables()
    body.removeAll()
    previous = []
    entryCount = 0
    byteCount = 0
    firstKey = []
    pathByteCount = 0
    return page
  }
}

/// Throws where a page's paths are together over their limit.
func checkPathBytes(_ count: Int) throws(FormatError) {
  guard count <= FormatLimit.pathBytesPerPage else {
    throw FormatError(.invalidValue, "a page with \(count) bytes of paths")
  }
}

/// The rule that ends leaf and upper pages alike.
package func isPageEnd(key: [UInt8], pageByteCount: Int) -> Bool {
  if pageByteCount >= 64 << 10 { return true }
  return pageByteCount >= 4 << 10 && key.withUnsafeBytes { checksum($0) } & 31 == 0
}

package enum EntryPage {
  package static func decode(
    _ bytes: UnsafeRawBufferPointer
  ) throws(FormatError) -> [ManifestEntry] {
    var reader = ByteReader(bytes)
    let head = try PageHead(&reader, level: 0)
    var entries: [ManifestEntry] = []
    entries.reserveCapacity(head.entryCount)
    var pathByteCount = 0
    // An entry is not looked at again where it lies in the array: that would copy all of it.
    var previous: [UInt8] = []
    for index in 0..<head.entryCount {
      let entry = try reader.entry(after: previous, head: head)
      guard index == 0 || pathPrecedes(previous, entry.path) else {
        throw FormatError(.invalidValue, "a page whose paths are out of order")
      }
      previous = entry.path
      pathByteCount += previous.count
      if case .later(let first) = entry.hardLink { pathByteCount += first.count }
      try checkPathBytes(pathByteCount)
      entries.append(entry)
    }
    try reader.expectEnd()
    return entries
  }
}

/// Bits of the entry's flags byte.
private enum EntryFlag {
  static let attributes: UInt8 = 1
  static let firstLink: UInt8 = 2
  static let laterLink: UInt8 = 4
  static let unstable: UInt8 = 8
  static let inodeFlags: UInt8 = 16
  static let birth: UInt8 = 32
  static let damaged: UInt8 = 64
  static let known: UInt8 = 127
}

/// The byte before an entry's content.
private enum ContentTag {
  static let none: UInt8 = 0
  static let inline: UInt8 = 1
  static let extents: UInt8 = 2
  static let tree: UInt8 = 3
}

extension ByteWriter {
  fileprivate mutating func entry(
    _ entry: ManifestEntry, after previous: [UInt8], tables: inout PageTables
  ) {
    key(entry.path, after: previous)
    byte(entry.kind.rawValue)
    var flags: UInt8 = 0
    if !entry.attributes.isEmpty { flags |= EntryFlag.attributes }
    switch entry.hardLink {
    case .none: break
    case .first: flags |= EntryFlag.firstLink
    case .later: flags |= EntryFlag.laterLink
    }
    if entry.isUnstable { flags |= EntryFlag.unstable }
    if entry.inodeFlags != 0 { flags |= EntryFlag.inodeFlags }
    if entry.birthNanoseconds != 0 { flags |= EntryFlag.birth }
    if entry.isDamaged { flags |= EntryFlag.damaged }
    byte(flags)
    varint(UInt64(entry.mode))
    varint(UInt64(entry.userID))
    varint(UInt64(entry.groupID))
    count(tables.ordinal(of: entry.userName))
    count(tables.ordinal(of: entry.groupName))
    integer(entry.modifiedNanoseconds)
    integer(entry.changedNanoseconds)
    if entry.birthNanoseconds != 0 { integer(entry.birthNanoseconds) }
    varint(entry.inode)
    if entry.inodeFlags != 0 { varint(UInt64(entry.inodeFlags)) }
    if !entry.attributes.isEmpty {
      count(entry.attributes.count)
      for attribute in entry.attributes {
        lengthPrefixed(attribute.name)
        lengthPrefixed(attribute.value)
      }
    }
    if case .later(let first) = entry.hardLink { key(first, after: entry.path) }
    switch entry.kind {
    case .file:
      varint(entry.size)
      content(entry.content, tables: &tables)
    case .symlink:
      lengthPrefixed(entry.linkTarget)
    case .characterDevice, .blockDevice:
      varint(UInt64(entry.deviceMajor))
      varint(UInt64(entry.deviceMinor))
    case .directory, .fifo, .socket: break
    }
  }

  private mutating func content(_ content: EntryContent, tables: inout PageTables) {
    switch content {
    case .none: byte(ContentTag.none)
    case .inline(let bytes):
      byte(ContentTag.inline)
      lengthPrefixed(bytes)
    case .extents(let extents):
      byte(ContentTag.extents)
      count(extents.count)
      for one in extents { extent(one, tables: &tables) }
    case .tree(let root, let lists):
      byte(ContentTag.tree)
      byte(root.level)
      reference(root.page, tables: &tables)
      count(lists.count)
      for list in lists { reference(list, tables: &tables) }
    }
  }
}

extension ByteReader {
  fileprivate mutating func entry(after previous: [UInt8], head: PageHead) throws(FormatError)
    -> ManifestEntry
  {
    let path = try key(after: previous)
    guard isSafePath(path) else {
      throw FormatError(.invalidValue, "a path that would leave the target of a restore")
    }
    let rawKind = try byte()
    guard let kind = EntryKind(rawValue: rawKind) else {
      throw FormatError(.invalidValue, "an entry of kind \(rawKind)")
    }
    let flags = try byte()
    guard flags & ~EntryFlag.known == 0 else {
      throw FormatError(.unsupportedVersion, "entry flags \(flags): use a newer build")
    }
    let links = EntryFlag.firstLink | EntryFlag.laterLink
    guard flags & links != links else {
      throw FormatError(.invalidValue, "an entry that is the first of its links and a later one")
    }
    var entry = ManifestEntry(path: path, kind: kind)
    entry.mode = UInt16(try count(limit: 0o7777, "mode"))
    entry.userID = UInt32(try count(limit: Int(UInt32.max), "user id"))
    entry.groupID = UInt32(try count(limit: Int(UInt32.max), "group id"))
    entry.userName = try head.string(&self)
    entry.groupName = try head.string(&self)
    entry.modifiedNanoseconds = try integer(Int64.self)
    entry.changedNanoseconds = try integer(Int64.self)
    if flags & EntryFlag.birth != 0 { entry.birthNanoseconds = try integer(Int64.self) }
    entry.inode = try varint()
    if flags & EntryFlag.inodeFlags != 0 {
      entry.inodeFlags = UInt32(try count(limit: Int(UInt32.max), "inode flags"))
    }
    entry.isUnstable = flags & EntryFlag.unstable != 0
    entry.isDamaged = flags & EntryFlag.damaged != 0
    if flags & EntryFlag.attributes != 0 {
      for _ in 0..<(try count(limit: FormatLimit.attributesPerEntry, "attribute count")) {
        let name = try lengthPrefixed(limit: FormatLimit.nameByteCount, "attribute name")
        let value = try lengthPrefixed(limit: FormatLimit.attributeByteCount, "attribute value")
        entry.attributes.append(NamedAttribute(name: name, value: value))
      }
    }
    if flags & EntryFlag.firstLink != 0 { entry.hardLink = .first }
    if flags & EntryFlag.laterLink != 0 { entry.hardLink = .later(try key(after: path)) }
    switch kind {
    case .file:
      entry.size = try varint()
      entry.content = try content(head)
      try checkSize(of: entry)
    case .symlink:
      entry.linkTarget = try lengthPrefixed(limit: FormatLimit.pathByteCount, "link target")
    case .characterDevice, .blockDevice:
      entry.deviceMajor = UInt32(try count(limit: Int(UInt32.max), "device number"))
      entry.deviceMinor = UInt32(try count(limit: Int(UInt32.max), "device number"))
    case .directory, .fifo, .socket: break
    }
    return entry
  }

  private mutating func content(_ head: PageHead) throws(FormatError) -> EntryContent {
    switch try byte() {
    case ContentTag.none: return .none
    case ContentTag.inline:
      return .inline(try lengthPrefixed(limit: FormatLimit.inlineByteCount, "inline content"))
    case ContentTag.extents:
      var extents: [Extent] = []
      for _ in 0..<(try count(limit: FormatLimit.extentsPerEntry, "extent count")) {
        extents.append(try extent(head))
      }
      return .extents(extents)
    case ContentTag.tree:
      let level = try byte()
      guard Int(level) <= FormatLimit.treeLevels else {
        throw FormatError(.invalidValue, "a tree of \(level) levels")
      }
      let root = TreeRoot(level: level, page: try reference(head))
      var lists: [ChunkReference] = []
      for _ in 0..<(try count(limit: FormatLimit.containerListsPerEntry, "container lists")) {
        lists.append(try reference(head))
      }
      return .tree(root, containerLists: lists)
    case let other: throw FormatError(.invalidValue, "content of type \(other)")
    }
  }

  private func checkSize(of entry: ManifestEntry) throws(FormatError) {
    var sum: UInt64 = 0
    switch entry.content {
    case .none: break
    case .inline(let bytes): sum = UInt64(bytes.count)
    case .extents(let extents):
      for extent in extents {
        let (next, overflow) = sum.addingReportingOverflow(extent.byteCount)
        guard !overflow else { throw FormatError(.invalidValue, "a file over 2^64 bytes") }
        sum = next
      }
    // The tree's pages say what they add up to.
    case .tree: sum = entry.size
    }
    guard sum == entry.size, entry.size <= UInt64(Int64.max) else {
      throw FormatError(.invalidValue, "a file of \(entry.size) bytes whose extents say \(sum)")
    }
  }
}

/// Whether a path stays below the directory that it is restored into: no empty, `.` or `..`
/// component, no NUL.
package func isSafePath(_ path: [UInt8]) -> Bool {
  if path.isEmpty { return true }
  return path.withUnsafeBufferPointer { path in
    // Of the present component: how long it is, and whether it is all dots so far.
    var count = 0
    var isDots = true
    for byte in path {
      guard byte != 0x2F else {
        if isDots, count <= 2 { return false }
        count = 0
        isDots = true
        continue
      }
      if byte == 0 { return false }
      if byte != 0x2E { isDots = false }
      count += 1
    }
    return !isDots || count > 2
  }
}
