internal import Crypto
internal import CryptoExtras

/// The key of one key slot, derived from a passphrase or a key file and the slot's random salt. It
/// wraps the master keys of that slot once, so the nonce is zero.
struct WrappingKey {
  static let overhead = 16
  private let key: SymmetricKey

  /// Throws `invalidValue` for a passphrase or key file that cannot be one.
  init(
    _ material: KeyMaterial, method: KeySlot.Method, envelope: Envelope
  ) throws(FormatError) {
    let secret: SymmetricKey
    switch (material, method) {
    case (.passphrase(let passphrase), .passphrase(let cost)):
      secret = try scrypt(passphrase, salt: envelope.salt, cost: cost, byteCount: 32)
    case (.keyFile(let file), .keyFile):
      guard file.count >= KeyMaterial.keyFileByteCount else {
        throw FormatError(
          .invalidValue,
          "a key file of \(file.count) bytes: it needs \(KeyMaterial.keyFileByteCount) random ones")
      }
      secret = file.withBytes { SymmetricKey(data: $0) }
    default:
      throw FormatError(.wrongKey, "a key slot that is opened in another way")
    }
    var info = ByteWriter(reserving: 48)
    info.raw([UInt8]("muninn key slot".utf8))
    info.identifier(envelope.repository)
    info.identifier(envelope.object)
    key = HKDF<SHA256>.deriveKey(
      inputKeyMaterial: secret, salt: envelope.salt, info: info.bytes, outputByteCount: 32)
  }

  /// The ciphertext and its tag.
  func seal(_ plain: [UInt8], authenticating head: [UInt8]) throws(FormatError) -> [UInt8] {
    do {
      let box = try AES.GCM.seal(
        plain, using: key, nonce: WrappingKey.nonce(), authenticating: head)
      return [UInt8](box.ciphertext) + [UInt8](box.tag)
    } catch {
      throw FormatError(.invalidValue, "AES-GCM refused \(plain.count) bytes of keys")
    }
  }

  /// Nil where the key does not open it.
  func open(
    _ stored: [UInt8], authenticating head: [UInt8]
  ) throws(FormatError) -> KeyRing? {
    guard stored.count >= WrappingKey.overhead else { return nil }
    let split = stored.count - WrappingKey.overhead
    guard
      let box = try? AES.GCM.SealedBox(
        nonce: WrappingKey.nonce(), ciphertext: stored[..<split], tag: stored[split...]),
      var plain = try? AES.GCM.open(box, using: key, authenticating: head)
    else { return nil }
    var bytes = [UInt8](plain)
    zero(inPlace: &plain)
    defer { zero(&bytes) }
    return try bytes.withUnsafeBytesTyped { (raw) throws(FormatError) in
      try KeyRing(decoding: raw)
    }
  }

  private static func nonce() throws -> AES.GCM.Nonce {
    try AES.GCM.Nonce(data: [UInt8](repeating: 0, count: 12))
  }
}

/// scrypt (RFC 7914). Throws `invalidValue` for an empty passphrase and for a cost over the limits.
func scrypt(
  _ passphrase: Secret, salt: [UInt8], cost: ScryptCost, byteCount: Int
) throws(FormatError) -> SymmetricKey {
  guard passphrase.count > 0 else { throw FormatError(.invalidValue, "an empty passphrase") }
  guard cost.isBounded else {
    throw FormatError(
      .invalidValue,
      "scrypt with N = 2^\(cost.roundsLog2), r = \(cost.blockSize), p = \(cost.parallelism)")
  }
  do {
    return try passphrase.withBytes { (bytes) throws -> SymmetricKey in
      try KDF.Scrypt.deriveKey(
        from: bytes, salt: salt, outputByteCount: byteCount, rounds: 1 << Int(cost.roundsLog2),
        blockSize: Int(cost.blockSize), parallelism: Int(cost.parallelism))
    }
  } catch {
    throw FormatError(
      .invalidValue,
      "scrypt could not get \((128 << Int(cost.roundsLog2)) * Int(cost.blockSize)) bytes of memory")
  }
}
