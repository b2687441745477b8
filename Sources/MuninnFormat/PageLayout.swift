/// Tables at the head of a page, so that its entries name containers and users by small numbers and
/// every page can be read alone.
///
/// A page is: layout version (1 byte, 1), level (1), containers (count, 16 bytes each), strings
/// (count, each with its length), entries (count, then each). Counts and lengths are varints. An
/// entry's key begins with the number of bytes that it shares with the key before it in the page,
/// then the rest with its length.
struct PageTables {
  static let layout: UInt8 = 1

  private(set) var containers: [Identifier] = []
  private(set) var strings: [[UInt8]] = []
  private var containerOrdinals: [Identifier: Int] = [:]
  private var stringOrdinals: [[UInt8]: Int] = [:]

  mutating func ordinal(of container: Identifier) -> Int {
    if let last = containers.last, last == container { return containers.count - 1 }
    if let known = containerOrdinals[container] { return known }
    containers.append(container)
    containerOrdinals[container] = containers.count - 1
    return containers.count - 1
  }

  mutating func ordinal(of string: [UInt8]) -> Int {
    // Mostly one user and one group, as the same arrays each time, and then the same by address.
    for place in 0..<min(strings.count, 2) where strings[place] == string { return place }
    if let known = stringOrdinals[string] { return known }
    strings.append(string)
    stringOrdinals[string] = strings.count - 1
    return strings.count - 1
  }

  func page(level: UInt8, entryCount: Int, body: ByteWriter) -> [UInt8] {
    var writer = ByteWriter(reserving: body.count + containers.count * 16 + 64)
    writer.byte(PageTables.layout)
    writer.byte(level)
    writer.count(containers.count)
    for container in containers { writer.identifier(container) }
    writer.count(strings.count)
    for string in strings { writer.lengthPrefixed(string) }
    writer.count(entryCount)
    writer.raw(body.bytes)
    return writer.bytes
  }
}

/// The head of a page as read back.
struct PageHead {
  let containers: [Identifier]
  let strings: [[UInt8]]
  let entryCount: Int

  init(_ reader: inout ByteReader, level: UInt8) throws(FormatError) {
    let layout = try reader.byte()
    guard layout == PageTables.layout else {
      throw FormatError(.unsupportedVersion, "page layout \(layout): use a newer build")
    }
    let stored = try reader.byte()
    guard stored == level else {
      throw FormatError(.wrongIdentity, "a page of level \(stored) where level \(level) belongs")
    }
    var containers: [Identifier] = []
    for _ in 0..<(try reader.count(limit: reader.remaining / 16, "container table")) {
      containers.append(try reader.identifier())
    }
    var strings: [[UInt8]] = []
    for _ in 0..<(try reader.count(limit: reader.remaining, "string table")) {
      strings.append(
        try reader.lengthPrefixed(limit: FormatLimit.nameByteCount, "name of a user or group"))
    }
    self.containers = containers
    self.strings = strings
    entryCount = try reader.count(
      limit: min(reader.remaining, FormatLimit.entriesPerPage), "entry count")
  }

  func container(_ reader: inout ByteReader) throws(FormatError) -> Identifier {
    containers[try reader.count(limit: containers.count - 1, "container ordinal")]
  }

  func string(_ reader: inout ByteReader) throws(FormatError) -> [UInt8] {
    strings[try reader.count(limit: strings.count - 1, "name ordinal")]
  }
}

extension ByteWriter {
  mutating func key(_ key: [UInt8], after previous: [UInt8]) {
    var shared = 0
    let limit = min(key.count, previous.count)
    while shared < limit, key[shared] == previous[shared] { shared += 1 }
    count(shared)
    count(key.count - shared)
    raw(key[shared...])
  }

  mutating func reference(_ reference: ChunkReference, tables: inout PageTables) {
    chunkIdentity(reference.identity)
    varint(UInt64(reference.length))
    count(tables.ordinal(of: reference.location.container))
    varint(UInt64(reference.location.slot))
  }
}

extension ByteReader {
  mutating func key(after previous: [UInt8]) throws(FormatError) -> [UInt8] {
    let shared = try count(limit: previous.count, "shared part of a path")
    let rest = try count(limit: FormatLimit.pathByteCount - shared, "path length")
    let view = try view(rest)
    return [UInt8](unsafeUninitializedCapacity: shared + rest) { buffer, filled in
      previous.withUnsafeBytes { old in
        if shared > 0 {
          UnsafeMutableRawBufferPointer(buffer).copyMemory(
            from: UnsafeRawBufferPointer(rebasing: old[..<shared]))
        }
      }
      if rest > 0 {
        UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[shared...])
          .copyMemory(from: view)
      }
      filled = shared + rest
    }
  }

  mutating func reference(_ head: PageHead) throws(FormatError) -> ChunkReference {
    let identity = try chunkIdentity()
    let length = try count(limit: FormatLimit.chunkByteCount, "chunk length")
    let container = try head.container(&self)
    let slot = try count(limit: FormatLimit.chunksPerContainer, "slot")
    return ChunkReference(
      identity: identity, length: UInt32(length),
      location: ChunkLocation(container: container, slot: UInt32(slot)))
  }
}

/// A reference from an upper page of a tree to a page one level below.
package struct PageReference: Sendable, Equatable {
  /// The first key below: a path, or nothing in a tree of extents.
  package let firstKey: [UInt8]
  package let page: ChunkReference
  /// Leaf entries below.
  package let entryCount: UInt64
  /// Content bytes below.
  package let byteCount: UInt64

  package init(firstKey: [UInt8], page: ChunkReference, entryCount: UInt64, byteCount: UInt64) {
    self.firstKey = firstKey
    self.page = page
    self.entryCount = entryCount
    self.byteCount = byteCount
  }
}

/// An upper page: references to the pages below, in key order.
package enum ReferencePage {
  package static func encoded(level: UInt8, _ references: [PageReference]) -> [UInt8] {
    var tables = PageTables()
    var body = ByteWriter(reserving: references.count * 96)
    var previous: [UInt8] = []
    for reference in references {
      body.key(reference.firstKey, after: previous)
      body.reference(reference.page, tables: &tables)
      body.varint(reference.entryCount)
      body.varint(reference.byteCount)
      previous = reference.firstKey
    }
    return tables.page(level: level, entryCount: references.count, body: body)
  }

  package static func decode(
    _ bytes: UnsafeRawBufferPointer, level: UInt8
  ) throws(FormatError) -> [PageReference] {
    var reader = ByteReader(bytes)
    let head = try PageHead(&reader, level: level)
    var references: [PageReference] = []
    references.reserveCapacity(head.entryCount)
    var previous: [UInt8] = []
    var pathByteCount = 0
    for _ in 0..<head.entryCount {
      let key = try reader.key(after: previous)
      pathByteCount += key.count
      try checkPathBytes(pathByteCount)
      guard references.isEmpty || comparePaths(previous, key) <= 0 else {
        throw FormatError(.invalidValue, "a page whose keys are out of order")
      }
      let page = try reader.reference(head)
      references.append(
        PageReference(
          firstKey: key, page: page, entryCount: try reader.varint(),
          byteCount: try reader.varint()))
      previous = key
    }
    try reader.expectEnd()
    guard !references.isEmpty else { throw FormatError(.invalidValue, "an empty upper page") }
    return references
  }
}

/// A leaf of a long file's tree: extents in file order.
package enum ExtentPage {
  package static func encoded(_ extents: [Extent]) -> [UInt8] {
    var tables = PageTables()
    var body = ByteWriter(reserving: extents.count * 44)
    for extent in extents { body.extent(extent, tables: &tables) }
    return tables.page(level: 0, entryCount: extents.count, body: body)
  }

  package static func decode(_ bytes: UnsafeRawBufferPointer) throws(FormatError) -> [Extent] {
    var reader = ByteReader(bytes)
    let head = try PageHead(&reader, level: 0)
    var extents: [Extent] = []
    extents.reserveCapacity(head.entryCount)
    for _ in 0..<head.entryCount { extents.append(try reader.extent(head)) }
    try reader.expectEnd()
    return extents
  }
}

extension ByteWriter {
  /// 0 and a length for a hole; 1 and the reference for a chunk.
  mutating func extent(_ extent: Extent, tables: inout PageTables) {
    switch extent {
    case .hole(let count):
      byte(0)
      varint(count)
    case .chunk(let chunk):
      byte(1)
      reference(chunk, tables: &tables)
    }
  }
}

extension ByteReader {
  mutating func extent(_ head: PageHead) throws(FormatError) -> Extent {
    switch try byte() {
    case 0: .hole(try varint())
    case 1: .chunk(try reference(head))
    case let other: throw FormatError(.invalidValue, "an extent of type \(other)")
    }
  }
}

/// A chunk of container ids: 16 bytes each, nothing else.
package enum ContainerList {
  package static let idsPerChunk = 1 << 16

  package static func encoded(_ ids: some Sequence<Identifier>) -> [UInt8] {
    var writer = ByteWriter()
    for id in ids { writer.identifier(id) }
    return writer.bytes
  }

  package static func decode(
    _ bytes: UnsafeRawBufferPointer
  ) throws(FormatError) -> [Identifier] {
    var reader = ByteReader(bytes)
    var ids: [Identifier] = []
    while reader.remaining > 0 { ids.append(try reader.identifier()) }
    return ids
  }
}
