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

/// One operation of a journal record. A record's operations apply as one.
package enum JournalOperation: Sendable, Equatable {
  /// Containers that live from this record on.
  case containers([ContainerRecord])
  case snapshot(SnapshotRecord)
  case forgotten([Identifier])
  /// Index segments that join and leave the live ones.
  case segments(added: [SegmentRecord], removed: [Identifier])
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
      writer.count(records.count)
      for record in records {
        writer.identifier(record.id)
        writer.byte(record.isManifest ? 1 : 0)
        writer.varint(record.byteCount)
        writer.varint(UInt64(record.chunkCount))
        writer.varint(record.rawByteCount)
      }
      return (1, writer.bytes)
    case .snapshot(let snapshot):
      snapshot.encode(into: &writer)
      return (2, writer.bytes)
    case .forgotten(let ids):
      writer.identifiers(ids)
      return (3, writer.bytes)
    case .segments(let added, let removed):
      writer.count(added.count)
      for segment in added {
        writer.identifier(segment.id)
        writer.varint(segment.byteCount)
        writer.varint(segment.entryCount)
        writer.identifiers(segment.containers)
      }
      writer.identifiers(removed)
      return (4, writer.bytes)
    }
  }

  fileprivate init(type: UInt8, decoding reader: inout ByteReader) throws(FormatError) {
    switch type {
    case 1:
      var records: [ContainerRecord] = []
      for _ in 0..<(try reader.count(limit: reader.remaining, "container count")) {
        records.append(
          ContainerRecord(
            id: try reader.identifier(), isManifest: try reader.flag(),
            byteCount: try reader.varint(),
            chunkCount: UInt32(
              try reader.count(limit: FormatLimit.chunksPerContainer, "chunks of a container")),
            rawByteCount: try reader.varint()))
      }
      self = .containers(records)
    case 2: self = .snapshot(try SnapshotRecord(decoding: &reader))
    case 3: self = .forgotten(try reader.identifiers())
    case 4:
      var added: [SegmentRecord] = []
      for _ in 0..<(try reader.count(limit: reader.remaining, "segment count")) {
        added.append(
          SegmentRecord(
            id: try reader.identifier(), byteCount: try reader.varint(),
            entryCount: try reader.varint(), containers: try reader.identifiers()))
      }
      self = .segments(added: added, removed: try reader.identifiers())
    default:
      throw FormatError(
        .unsupportedVersion, "a journal operation of type \(type): use a newer build")
    }
  }
}

extension ByteWriter {
  mutating func identifiers(_ ids: [Identifier]) {
    count(ids.count)
    for id in ids { identifier(id) }
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
}
