/// A container as the journal names it when it becomes live.
package struct ContainerRecord: Sendable, Equatable {
  package let id: Identifier
  package let isManifest: Bool
  package let byteCount: UInt64
  package let chunkCount: UInt32
  /// Bytes of its chunks, before compression.
  package let rawByteCount: UInt64

  package init(
    id: Identifier, isManifest: Bool, byteCount: UInt64, chunkCount: UInt32, rawByteCount: UInt64
  ) {
    self.id = id
    self.isManifest = isManifest
    self.byteCount = byteCount
    self.chunkCount = chunkCount
    self.rawByteCount = rawByteCount
  }
}

/// An index segment as the journal names it.
package struct SegmentRecord: Sendable, Equatable {
  package let id: Identifier
  package let byteCount: UInt64
  package let entryCount: UInt64
  /// The containers whose chunks it lists, so that a lost segment can be made again.
  package let containers: [Identifier]

  package init(id: Identifier, byteCount: UInt64, entryCount: UInt64, containers: [Identifier]) {
    self.id = id
    self.byteCount = byteCount
    self.entryCount = entryCount
    self.containers = containers
  }
}

/// A checkpoint as the journal names it: the whole state in one object, so that opening need not
/// read all records.
package struct CheckpointRecord: Sendable, Equatable {
  package let id: Identifier
  /// Of the whole object.
  package let byteCount: UInt64
  /// SHA-256 of the whole object.
  package let hash: [UInt8]
  /// The newest record whose operations it holds, always an earlier one than that which names it.
  package let record: UInt64
  /// SHA-256 of that record.
  package let recordHash: [UInt8]

  package init(
    id: Identifier, byteCount: UInt64, hash: [UInt8], record: UInt64, recordHash: [UInt8]
  ) {
    self.id = id
    self.byteCount = byteCount
    self.hash = hash
    self.record = record
    self.recordHash = recordHash
  }
}

/// Journal records that cannot be read and that a later record gives up.
package struct BridgedRecords: Sendable, Equatable {
  /// The first and the last number.
  package let first: UInt64
  package let last: UInt64
  /// For people: what was wrong.
  package let reason: [UInt8]

  package init(first: UInt64, last: UInt64, reason: [UInt8]) {
    self.first = first
    self.last = last
    self.reason = reason
  }
}

/// One operation of a journal record. A record's operations apply as one.
package enum JournalOperation: Sendable, Equatable {
  /// Containers that live from this record on.
  case containers([ContainerRecord])
  case snapshot(SnapshotRecord)
  case forgotten([Identifier])
  /// Index segments that join and leave the live ones.
  case segments(added: [SegmentRecord], removed: [Identifier])
  case checkpoint(CheckpointRecord)
  /// The chunks of the removed containers that can be had are in the added ones: whoever needed a
  /// removed container needs the added ones from here on.
  case repacked(added: [ContainerRecord], removed: [Identifier])
  /// Records that are given up: what they said is lost, and the journal is whole without them.
  case bridged([BridgedRecords])
  /// Live containers that no snapshot has.
  case condemned([Identifier])
  /// Condemned containers that live again.
  case rescued([Identifier])
  /// Condemned containers and retired segments whose bytes will be deleted. The sessions that wrote
  /// them are fenced.
  case swept(containers: [Identifier], segments: [Identifier])
  /// Sessions that commit nothing any more.
  case fenced([Identifier])
  /// Containers of sessions that the same record fences, live from here on.
  case adopted([ContainerRecord])
  case annotated([Annotation])
  case settings(RepositorySettings)
}

/// A journal record: an envelope (the object id is the record's number), then one frame with this
/// payload.
///
/// | field | bytes |
/// |---|---|
/// | number | 8 |
/// | SHA-256 of the whole preceding record; zeros in the first | 32 |
/// | session | 16 |
/// | nonce, random | 16 |
/// | time, nanoseconds since 1970 | 8 |
/// | operation count | varint |
/// | each operation: type | 1 |
/// | its length | varint |
/// | its fields | |
package struct JournalRecord: Sendable, Equatable {
  package var number: UInt64
  package var previousHash: [UInt8]
  package var session: Identifier
  package var nonce: Identifier
  package var timeNanoseconds: Int64
  package var operations: [JournalOperation]

  package init(
    number: UInt64, previousHash: [UInt8], session: Identifier, nonce: Identifier,
    timeNanoseconds: Int64, operations: [JournalOperation]
  ) {
    self.number = number
    self.previousHash = previousHash
    self.session = session
    self.nonce = nonce
    self.timeNanoseconds = timeNanoseconds
    self.operations = operations
  }

  package static func objectID(number: UInt64) -> Identifier { Identifier(high: 0, low: number) }

  package func encodedPayload() -> [UInt8] {
    var writer = ByteWriter(reserving: 1024)
    writer.integer(number)
    writer.raw(previousHash)
    writer.identifier(session)
    writer.identifier(nonce)
    writer.integer(timeNanoseconds)
    writer.count(operations.count)
    for operation in operations {
      let (type, body) = operation.encoded()
      writer.byte(type)
      writer.lengthPrefixed(body)
    }
    return writer.bytes
  }

  package init(decodingPayload bytes: UnsafeRawBufferPointer) throws(FormatError) {
    var reader = ByteReader(bytes)
    number = try reader.integer(UInt64.self)
    previousHash = try reader.array(32)
    session = try reader.identifier()
    nonce = try reader.identifier()
    timeNanoseconds = try reader.integer(Int64.self)
    operations = []
    for _ in 0..<(try reader.count(limit: reader.remaining, "operation count")) {
      let type = try reader.byte()
      let length = try reader.count(limit: reader.remaining, "operation length")
      var body = ByteReader(try reader.view(length))
      operations.append(try JournalOperation(type: type, decoding: &body))
      try body.expectEnd()
    }
    try reader.expectEnd()
  }
}

extension JournalOperation {
  fileprivate func encoded() -> (type: UInt8, body: [UInt8]) {
    var writer = ByteWriter()
    switch self {
    case .containers(let records):
      writer.list(records) { $0.encode(into: &$1) }
      return (1, writer.bytes)
    case .snapshot(let snapshot):
      snapshot.encode(into: &writer)
      return (2, writer.bytes)
    case .forgotten(let ids):
      writer.identifiers(ids)
      return (3, writer.bytes)
    case .segments(let added, let removed):
      writer.list(added) { $0.encode(into: &$1) }
      writer.identifiers(removed)
      return (4, writer.bytes)
    case .checkpoint(let checkpoint):
      checkpoint.encode(into: &writer)
      return (6, writer.bytes)
    case .repacked(let added, let removed):
      writer.list(added) { $0.encode(into: &$1) }
      writer.identifiers(removed)
      return (7, writer.bytes)
    case .bridged(let ranges):
      writer.list(ranges) { $0.encode(into: &$1) }
      return (15, writer.bytes)
    case .condemned(let ids):
      writer.identifiers(ids)
      return (8, writer.bytes)
    case .rescued(let ids):
      writer.identifiers(ids)
      return (9, writer.bytes)
    case .swept(let containers, let segments):
      writer.identifiers(containers)
      writer.identifiers(segments)
      return (10, writer.bytes)
    case .fenced(let sessions):
      writer.identifiers(sessions)
      return (11, writer.bytes)
    case .adopted(let records):
      writer.list(records) { $0.encode(into: &$1) }
      return (12, writer.bytes)
    case .annotated(let annotations):
      writer.list(annotations) { $0.encode(into: &$1) }
      return (13, writer.bytes)
    case .settings(let settings):
      settings.encode(into: &writer)
      return (14, writer.bytes)
    }
  }

  fileprivate init(type: UInt8, decoding reader: inout ByteReader) throws(FormatError) {
    switch type {
    case 1:
      self = .containers(
        try reader.list("container count") { (reader) throws(FormatError) in
          try ContainerRecord(decoding: &reader)
        })
    case 2:
      var texts = TextPool(isSharing: false)
      self = .snapshot(try SnapshotRecord(decoding: &reader, sharing: &texts))
    case 3: self = .forgotten(try reader.identifiers())
    case 4:
      let added = try reader.list("segment count") { (reader) throws(FormatError) in
        try SegmentRecord(decoding: &reader)
      }
      self = .segments(added: added, removed: try reader.identifiers())
    case 6: self = .checkpoint(try CheckpointRecord(decoding: &reader))
    case 7:
      let added = try reader.list("container count") { (reader) throws(FormatError) in
        try ContainerRecord(decoding: &reader)
      }
      self = .repacked(added: added, removed: try reader.identifiers())
    case 15:
      self = .bridged(
        try reader.list("bridged records") { (reader) throws(FormatError) in
          try BridgedRecords(decoding: &reader)
        })
    case 8: self = .condemned(try reader.identifiers())
    case 9: self = .rescued(try reader.identifiers())
    case 10:
      self = .swept(containers: try reader.identifiers(), segments: try reader.identifiers())
    case 11: self = .fenced(try reader.identifiers())
    case 12:
      self = .adopted(
        try reader.list("container count") { (reader) throws(FormatError) in
          try ContainerRecord(decoding: &reader)
        })
    case 13:
      self = .annotated(
        try reader.list("annotation count") { (reader) throws(FormatError) in
          try Annotation(decoding: &reader)
        })
    case 14: self = .settings(try RepositorySettings(decoding: &reader))
    default:
      throw FormatError(
        .unsupportedVersion, "a journal operation of type \(type): use a newer build")
    }
  }
}

extension ContainerRecord {
  func encode(into writer: inout ByteWriter) {
    writer.identifier(id)
    writer.byte(isManifest ? 1 : 0)
    writer.varint(byteCount)
    writer.varint(UInt64(chunkCount))
    writer.varint(rawByteCount)
  }

  init(decoding reader: inout ByteReader) throws(FormatError) {
    id = try reader.identifier()
    isManifest = try reader.flag()
    byteCount = try reader.varint()
    chunkCount = UInt32(
      try reader.count(limit: FormatLimit.chunksPerContainer, "chunks of a container"))
    rawByteCount = try reader.varint()
  }
}

extension SegmentRecord {
  func encode(into writer: inout ByteWriter) {
    writer.identifier(id)
    writer.varint(byteCount)
    writer.varint(entryCount)
    writer.identifiers(containers)
  }

  init(decoding reader: inout ByteReader) throws(FormatError) {
    id = try reader.identifier()
    byteCount = try reader.varint()
    entryCount = try reader.varint()
    containers = try reader.identifiers()
  }
}

extension BridgedRecords {
  func encode(into writer: inout ByteWriter) {
    writer.integer(first)
    writer.integer(last)
    writer.lengthPrefixed(reason)
  }

  init(decoding reader: inout ByteReader) throws(FormatError) {
    first = try reader.integer(UInt64.self)
    last = try reader.integer(UInt64.self)
    reason = try reader.lengthPrefixed(limit: 1 << 16, "reason")
    guard first > 0, first <= last else {
      throw FormatError(.invalidValue, "bridged records \(first) to \(last)")
    }
  }
}

extension CheckpointRecord {
  func encode(into writer: inout ByteWriter) {
    writer.identifier(id)
    writer.varint(byteCount)
    writer.raw(hash)
    writer.integer(record)
    writer.raw(recordHash)
  }

  init(decoding reader: inout ByteReader) throws(FormatError) {
    id = try reader.identifier()
    byteCount = try reader.varint()
    hash = try reader.array(32)
    record = try reader.integer(UInt64.self)
    recordHash = try reader.array(32)
  }
}

extension ByteWriter {
  mutating func identifiers(_ ids: [Identifier]) {
    count(ids.count)
    for id in ids { identifier(id) }
  }

  /// A count and the items.
  mutating func list<Item>(_ items: [Item], _ encode: (Item, inout ByteWriter) -> Void) {
    count(items.count)
    for item in items { encode(item, &self) }
  }
}

extension ByteReader {
  mutating func identifiers() throws(FormatError) -> [Identifier] {
    var ids: [Identifier] = []
    let count = try count(limit: remaining / 16, "list of ids")
    ids.reserveCapacity(count)
    for _ in 0..<count { ids.append(try identifier()) }
    return ids
  }

  /// A count and the items, none of which is empty. Memory grows with what is there, not with what
  /// the count says.
  mutating func list<Item>(
    _ what: StaticString, _ decode: (inout ByteReader) throws(FormatError) -> Item
  ) throws(FormatError) -> [Item] {
    var items: [Item] = []
    let count = try count(limit: remaining, what)
    items.reserveCapacity(min(count, 1 << 10))
    for _ in 0..<count { items.append(try decode(&self)) }
    return items
  }
}
