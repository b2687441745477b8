/// What kind of object a file of the repository is.
package enum ObjectKind: UInt8, Sendable, CaseIterable {
  case repository = 1
  case dataContainer = 2
  case manifestContainer = 3
  case segment = 4
  case record = 5
  case keySlot = 6
  case session = 7
  case checkpoint = 8
  case head = 9
  case keyEpoch = 10
}

/// How an object's payload is protected.
package enum CipherSuite: UInt8, Sendable {
  case none = 0
  /// AES-256-GCM under a subkey per object (HKDF-SHA-256 of the master key and the object's salt).
  case aes256gcm = 1
}

/// The first 128 bytes of every object, in the clear.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 8 | magic `MUNINN` 0D 0A |
/// | 8 | 2 | format version |
/// | 10 | 1 | kind |
/// | 11 | 1 | cipher suite |
/// | 12 | 4 | zero |
/// | 16 | 16 | repository id |
/// | 32 | 16 | object id |
/// | 48 | 32 | salt; zeros where the suite is none |
/// | 80 | 4 | epoch of the master key that it is sealed under; 0 where the suite is none |
/// | 84 | 16 | id of that key; zeros where the suite is none |
/// | 100 | 20 | zero |
/// | 120 | 8 | XXH3-64 of the 120 bytes before, in every version |
package struct Envelope: Sendable, Equatable {
  package static let byteCount = 128
  package static let magic: [UInt8] = [0x4D, 0x55, 0x4E, 0x49, 0x4E, 0x4E, 0x0D, 0x0A]
  package static let saltByteCount = 32

  package let kind: ObjectKind
  package let suite: CipherSuite
  package let repository: Identifier
  package let object: Identifier
  package let salt: [UInt8]
  /// The master key that it is sealed under; in a key slot, the newest of those that it holds.
  package let key: KeyName

  package init(
    kind: ObjectKind, suite: CipherSuite, repository: Identifier, object: Identifier,
    salt: [UInt8] = [UInt8](repeating: 0, count: Envelope.saltByteCount), key: KeyName = .none
  ) {
    self.kind = kind
    self.suite = suite
    self.repository = repository
    self.object = object
    self.salt = salt
    self.key = key
  }

  package func encoded() -> [UInt8] {
    var writer = ByteWriter(reserving: Envelope.byteCount)
    writer.raw(Envelope.magic)
    writer.integer(formatVersion)
    writer.byte(kind.rawValue)
    writer.byte(suite.rawValue)
    writer.integer(UInt32(0))
    writer.identifier(repository)
    writer.identifier(object)
    writer.raw(salt)
    writer.integer(key.epoch)
    writer.identifier(key.id)
    writer.raw([UInt8](repeating: 0, count: 20))
    writer.integer(writer.bytes.withUnsafeBytes { checksum($0) })
    return writer.bytes
  }

  package init(decoding bytes: UnsafeRawBufferPointer) throws(FormatError) {
    guard bytes.count >= Envelope.byteCount else {
      throw FormatError(.truncated, "\(bytes.count) bytes where an object begins with 128")
    }
    let head = UnsafeRawBufferPointer(rebasing: bytes[..<Envelope.byteCount])
    var reader = ByteReader(head)
    guard try reader.array(8) == Envelope.magic else {
      throw FormatError(.wrongKind, "it does not begin as an object of Muninn does")
    }
    // First of all, in every version: a flipped bit must not pass for a newer build's number.
    let covered = UnsafeRawBufferPointer(rebasing: head[..<120])
    let stored = UInt64(littleEndian: head.loadUnaligned(fromByteOffset: 120, as: UInt64.self))
    guard checksum(covered) == stored else {
      throw FormatError(.checksumMismatch, "the object's header is damaged (checksum)")
    }
    let version = try reader.integer(UInt16.self)
    guard version == formatVersion else {
      throw FormatError(
        .unsupportedVersion,
        "format version \(version) is not one that this build reads (\(formatVersion)): "
          + (version < formatVersion
            ? "restore it with the build that wrote it, and back up anew" : "use a newer build"))
    }
    let rawKind = try reader.byte()
    let rawSuite = try reader.byte()
    guard let kind = ObjectKind(rawValue: rawKind), let suite = CipherSuite(rawValue: rawSuite),
      try reader.integer(UInt32.self) == 0
    else {
      throw FormatError(
        .unsupportedVersion, "object kind \(rawKind), cipher suite \(rawSuite): use a newer build")
    }
    self.kind = kind
    self.suite = suite
    repository = try reader.identifier()
    object = try reader.identifier()
    salt = try reader.array(Envelope.saltByteCount)
    key = KeyName(epoch: try reader.integer(UInt32.self), id: try reader.identifier())
    guard try reader.array(20).allSatisfy({ $0 == 0 }) else {
      throw FormatError(.unsupportedVersion, "an envelope with more fields: use a newer build")
    }
    guard suite == .none ? key == .none : key.epoch >= 1 else {
      throw FormatError(.invalidValue, "cipher suite \(suite) with master key \(key.epoch)")
    }
  }
}
