internal import Crypto

/// A key that subkeys of objects derive from: 32 random bytes. A repository has one for each epoch.
package struct MasterKey: Sendable {
  package static let byteCount = 32
  private let key: SymmetricKey

  private init(key: SymmetricKey) { self.key = key }

  /// The caller zeroes `bytes`.
  package init(bytes: [UInt8]) throws(FormatError) {
    guard bytes.count == MasterKey.byteCount else {
      throw FormatError(.wrongKey, "a master key of \(bytes.count) bytes")
    }
    key = SymmetricKey(data: bytes)
  }

  init(bytes: UnsafeRawBufferPointer) throws(FormatError) {
    guard bytes.count == MasterKey.byteCount else {
      throw FormatError(.wrongKey, "a master key of \(bytes.count) bytes")
    }
    key = SymmetricKey(data: bytes)
  }

  /// A new one, from the system's generator.
  package static func random() -> MasterKey { MasterKey(key: SymmetricKey(size: .bits256)) }

  func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R { key.withUnsafeBytes(body) }

  /// HKDF-SHA-256 (RFC 5869) with the object's salt; the info names repository, kind and object.
  func subkey(for envelope: Envelope) -> SymmetricKey {
    var info = ByteWriter(reserving: 48)
    info.raw([UInt8]("muninn object".utf8))
    info.identifier(envelope.repository)
    info.identifier(envelope.object)
    info.byte(envelope.kind.rawValue)
    return HKDF<SHA256>.deriveKey(
      inputKeyMaterial: key, salt: envelope.salt, info: info.bytes, outputByteCount: 32)
  }

  /// 16 bytes by HKDF-SHA-256, without salt.
  package var id: Identifier {
    let derived = HKDF<SHA256>.deriveKey(
      inputKeyMaterial: key, info: [UInt8]("muninn master key id".utf8), outputByteCount: 16)
    return derived.withUnsafeBytes { bytes in
      Identifier(
        high: UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self)),
        low: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }
  }
}

/// The master keys of a repository, of all epochs up to the newest.
///
/// The newest one seals everything that is written; the others open what was written before.
package struct KeyRing: Sendable {
  /// Rotations that a repository can go through, so that a key slot stays small.
  package static let maximumEpoch: UInt32 = 1024

  private let masters: [(key: MasterKey, id: Identifier)]

  package init(first: MasterKey) { masters = [(first, first.id)] }

  private init(masters: [(key: MasterKey, id: Identifier)]) { self.masters = masters }

  /// What the repository was made with.
  package var first: KeyName { KeyName(epoch: 1, id: masters.first?.id ?? .zero) }

  /// What seals from now on.
  package var newest: KeyName {
    KeyName(epoch: UInt32(masters.count), id: masters.last?.id ?? .zero)
  }

  /// The same keys and a newer one. Throws `invalidValue` after the last epoch.
  package func adding(_ master: MasterKey) throws(FormatError) -> KeyRing {
    guard masters.count < KeyRing.maximumEpoch else {
      throw FormatError(
        .invalidValue, "the key was rotated \(masters.count - 1) times, and no more is possible")
    }
    return KeyRing(masters: masters + [(master, master.id)])
  }

  /// Throws `wrongKey` for one that is not on the ring.
  package func master(_ name: KeyName) throws(FormatError) -> MasterKey {
    guard name.epoch >= 1, name.epoch <= UInt32(masters.count) else {
      throw FormatError(
        .wrongKey,
        "it is sealed under master key \(name.epoch), and the key that was given opens those up to "
          + "\(masters.count): the repository's key was rotated, open it again with the new one")
    }
    let found = masters[Int(name.epoch) - 1]
    guard found.id == name.id else {
      throw FormatError(
        .checksumMismatch,
        "it is sealed under a master key that is none of this repository's (\(name.id))")
    }
    return found.key
  }

  /// All keys, the oldest first. The caller zeroes the bytes.
  func encoded() -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: masters.count * MasterKey.byteCount)
    bytes.withUnsafeMutableBytes { target in
      for (index, master) in masters.enumerated() {
        let start = index * MasterKey.byteCount
        master.key.withBytes { source in
          UnsafeMutableRawBufferPointer(
            rebasing: target[start..<(start + MasterKey.byteCount)]
          ).copyMemory(from: source)
        }
      }
    }
    return bytes
  }

  init(decoding bytes: UnsafeRawBufferPointer) throws(FormatError) {
    var masters: [(key: MasterKey, id: Identifier)] = []
    for start in stride(from: 0, to: bytes.count, by: MasterKey.byteCount) {
      let end = min(start + MasterKey.byteCount, bytes.count)
      let key = try MasterKey(bytes: UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
      masters.append((key, key.id))
    }
    self.masters = masters
  }
}

extension KeyRing: CustomStringConvertible, CustomReflectable {
  package var description: String { "master keys 1 to \(masters.count)" }
  package var customMirror: Mirror { Mirror(self, children: [:]) }
}
