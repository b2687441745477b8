/// What is said of a snapshot after it was committed.
///
/// | field | bytes |
/// |---|---|
/// | snapshot | 16 |
/// | tags that are added: a list of texts | |
/// | tags that are removed: the same | |
/// | hold: 0 as it was, 1 set, 2 lifted | 1 |
/// | why it is held: a text | |
package struct Annotation: Sendable, Equatable {
  package enum Hold: UInt8, Sendable {
    case unchanged = 0
    case set = 1
    case lifted = 2
  }

  package let snapshot: Identifier
  package var addedTags: [[UInt8]] = []
  package var removedTags: [[UInt8]] = []
  package var hold = Hold.unchanged
  /// For people; empty unless the hold is set.
  package var reason: [UInt8] = []

  package init(snapshot: Identifier) { self.snapshot = snapshot }
}

/// What a repository's owner decided for all who use it.
///
/// | field | bytes |
/// |---|---|
/// | minimum age, seconds | varint |
package struct RepositorySettings: Sendable, Equatable {
  /// For so many seconds after a snapshot was forgotten, what it needed is not condemned.
  package var minimumAge: UInt64 = 0

  package init() {}
}

/// A container that no snapshot had when record `number` condemned it.
package struct CondemnedContainer: Sendable, Equatable {
  package let container: ContainerRecord
  package let number: UInt64

  package init(container: ContainerRecord, number: UInt64) {
    self.container = container
    self.number = number
  }
}

/// An index segment that left the live ones with record `number`.
package struct RetiredSegment: Sendable, Equatable {
  package let id: Identifier
  package let byteCount: UInt64
  package let number: UInt64

  package init(id: Identifier, byteCount: UInt64, number: UInt64) {
    self.id = id
    self.byteCount = byteCount
    self.number = number
  }
}

/// A snapshot that is held, and why.
package struct HeldSnapshot: Sendable, Equatable {
  package let snapshot: Identifier
  package let reason: [UInt8]

  package init(snapshot: Identifier, reason: [UInt8]) {
    self.snapshot = snapshot
    self.reason = reason
  }
}

/// When a snapshot was forgotten.
package struct ForgottenTime: Sendable, Equatable {
  package let snapshot: Identifier
  /// Of the record that said so.
  package let nanoseconds: Int64

  package init(snapshot: Identifier, nanoseconds: Int64) {
    self.snapshot = snapshot
    self.nanoseconds = nanoseconds
  }
}

extension Annotation {
  private static let textLimit = 1 << 16

  func encode(into writer: inout ByteWriter) {
    writer.identifier(snapshot)
    writer.list(addedTags)
    writer.list(removedTags)
    writer.byte(hold.rawValue)
    writer.lengthPrefixed(reason)
  }

  init(decoding reader: inout ByteReader) throws(FormatError) {
    snapshot = try reader.identifier()
    addedTags = try Annotation.tags(from: &reader)
    removedTags = try Annotation.tags(from: &reader)
    let hold = try reader.byte()
    guard let known = Hold(rawValue: hold) else {
      throw FormatError(.invalidValue, "a hold of kind \(hold)")
    }
    self.hold = known
    reason = try reader.lengthPrefixed(limit: Annotation.textLimit, "reason of a hold")
  }

  private static func tags(from reader: inout ByteReader) throws(FormatError) -> [[UInt8]] {
    try reader.list("tag count") { (reader) throws(FormatError) in
      try reader.lengthPrefixed(limit: textLimit, "tag")
    }
  }
}

extension RepositorySettings {
  func encode(into writer: inout ByteWriter) { writer.varint(minimumAge) }

  init(decoding reader: inout ByteReader) throws(FormatError) {
    minimumAge = try reader.varint()
  }
}

extension CondemnedContainer {
  func encode(into writer: inout ByteWriter) {
    container.encode(into: &writer)
    writer.integer(number)
  }

  init(decoding reader: inout ByteReader) throws(FormatError) {
    container = try ContainerRecord(decoding: &reader)
    number = try reader.integer(UInt64.self)
  }
}

extension RetiredSegment {
  func encode(into writer: inout ByteWriter) {
    writer.identifier(id)
    writer.varint(byteCount)
    writer.integer(number)
  }

  init(decoding reader: inout ByteReader) throws(FormatError) {
    id = try reader.identifier()
    byteCount = try reader.varint()
    number = try reader.integer(UInt64.self)
  }
}

extension HeldSnapshot {
  func encode(into writer: inout ByteWriter) {
    writer.identifier(snapshot)
    writer.lengthPrefixed(reason)
  }

  init(decoding reader: inout ByteReader) throws(FormatError) {
    snapshot = try reader.identifier()
    reason = try reader.lengthPrefixed(limit: 1 << 16, "reason of a hold")
  }
}

extension ForgottenTime {
  func encode(into writer: inout ByteWriter) {
    writer.identifier(snapshot)
    writer.integer(nanoseconds)
  }

  init(decoding reader: inout ByteReader) throws(FormatError) {
    snapshot = try reader.identifier()
    nanoseconds = try reader.integer(Int64.self)
  }
}
