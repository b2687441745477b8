/// What a key slot is opened with.
package enum KeyMaterial: Sendable {
  /// What a person types: stretched by scrypt.
  case passphrase(Secret)
  /// The bytes of a key file: at least 32 random ones, taken as they are.
  case keyFile(Secret)

  package static let keyFileByteCount = 32

  var secret: Secret {
    switch self {
    case .passphrase(let secret), .keyFile(let secret): secret
    }
  }
}

/// What scrypt (RFC 7914) is to cost: 128 · N · r bytes of memory, N · r · p mixes.
package struct ScryptCost: Sendable, Equatable {
  /// 128 MiB, half a second or so: N = 2^17, r = 8, p = 1.
  package static let standard = ScryptCost(roundsLog2: 17, blockSize: 8, parallelism: 1)

  /// N is 2 to the power of this.
  package let roundsLog2: UInt8
  package let blockSize: UInt8
  package let parallelism: UInt8

  package init(roundsLog2: UInt8, blockSize: UInt8, parallelism: UInt8) {
    self.roundsLog2 = roundsLog2
    self.blockSize = blockSize
    self.parallelism = parallelism
  }

  /// Whoever can write into the repository can write a slot, and whoever opens the repository
  /// computes it: at most 1 GiB of memory and 16 times the standard time.
  var isBounded: Bool {
    guard (1...24).contains(roundsLog2), (1...16).contains(blockSize),
      (1...16).contains(parallelism)
    else { return false }
    let mixes = (1 << Int(roundsLog2)) * Int(blockSize)
    return 128 * mixes <= 1 << 30 && mixes * Int(parallelism) <= 1 << 24
  }
}

/// A key slot, the object `keys/ID`: the repository's master keys, wrapped under one passphrase or
/// key file.
///
/// An envelope, whose salt serves the derivation and whose key name is the newest of the keys
/// inside; a frame with the parameters, in the clear; and a frame with the master keys of all
/// epochs, under AES-256-GCM. Slots are alike: each one alone opens everything.
package struct KeySlot: Sendable, Equatable {
  package enum Method: Sendable, Equatable {
    case passphrase(ScryptCost)
    case keyFile
  }

  package static let labelByteCount = 255
  /// Of the whole object, at most.
  package static let byteCount = 64 << 10

  package let repository: Identifier
  package let id: Identifier
  /// The newest master key inside.
  package let key: KeyName
  package let method: Method
  /// For people; in the clear.
  package let label: [UInt8]
  package let createdNanoseconds: Int64
  let salt: [UInt8]
  /// The ciphertext and its tag.
  var wrapped: [UInt8]

  private var envelope: Envelope {
    Envelope(
      kind: .keySlot, suite: .aes256gcm, repository: repository, object: id, salt: salt, key: key)
  }

  /// Wraps a repository's master keys. `salt` is 32 random bytes that no other slot has.
  package init(
    wrapping keys: KeyRing, with material: KeyMaterial, cost: ScryptCost, repository: Identifier,
    id: Identifier, salt: [UInt8], label: [UInt8], createdNanoseconds: Int64
  ) throws(FormatError) {
    guard label.count <= KeySlot.labelByteCount else {
      throw FormatError(
        .invalidValue,
        "a label of \(label.count) bytes: it may have \(KeySlot.labelByteCount)")
    }
    self.repository = repository
    self.id = id
    self.salt = salt
    self.label = label
    self.createdNanoseconds = createdNanoseconds
    key = keys.newest
    switch material {
    case .passphrase: method = .passphrase(cost)
    case .keyFile: method = .keyFile
    }
    wrapped = []
    var plain = keys.encoded()
    defer { zero(&plain) }
    let wrapping = try WrappingKey(material, method: method, envelope: envelope)
    wrapped = try wrapping.seal(plain, authenticating: head)
  }

  /// The master keys, or nil where this is not the passphrase or key file of the slot, or the slot
  /// was altered.
  package func unwrap(with material: KeyMaterial) throws(FormatError) -> KeyRing? {
    let wrapping = try WrappingKey(material, method: method, envelope: envelope)
    guard let keys = try wrapping.open(wrapped, authenticating: head) else { return nil }
    guard keys.newest == key else {
      throw FormatError(.invalidValue, "the master keys inside are not those that it names")
    }
    return keys
  }

  /// Whether it is opened by what `material` is.
  package func fits(_ material: KeyMaterial) -> Bool {
    switch (method, material) {
    case (.passphrase, .passphrase), (.keyFile, .keyFile): true
    case (.passphrase, .keyFile), (.keyFile, .passphrase): false
    }
  }
}

/// | field of the parameters | bytes |
/// |---|---|
/// | method: 1 scrypt, 2 key file | 1 |
/// | log2 of N, r and p; zeros for a key file | 3 |
/// | time of making, nanoseconds since 1970 | 8 |
/// | label | length and bytes |
extension KeySlot {
  /// Everything before the frame with the master keys: what that frame is bound to.
  private var head: [UInt8] {
    var parameters = ByteWriter(reserving: 64)
    switch method {
    case .passphrase(let cost):
      parameters.byte(1)
      parameters.byte(cost.roundsLog2)
      parameters.byte(cost.blockSize)
      parameters.byte(cost.parallelism)
    case .keyFile:
      parameters.byte(2)
      parameters.raw([0, 0, 0])
    }
    parameters.integer(createdNanoseconds)
    parameters.lengthPrefixed(label)
    return envelope.encoded()
      + KeySlot.frame(.slotParameters, 0, parameters.bytes, raw: parameters.count)
  }

  package func encoded() -> [UInt8] {
    head + KeySlot.frame(.wrappedKeys, 1, wrapped, raw: wrapped.count - WrappingKey.overhead)
  }

  private static func frame(
    _ kind: FrameKind, _ number: UInt32, _ stored: [UInt8], raw: Int
  ) -> [UInt8] {
    let frame = Frame(
      kind: kind, encoding: .raw, number: number, storedByteCount: stored.count,
      rawByteCount: raw)
    var bytes = [UInt8](repeating: 0, count: Frame.byteCount) + stored
    bytes.withUnsafeMutableBytes { frame.write(before: $0) }
    return bytes
  }

  /// Reads a slot. Throws for what is damaged or beyond the limits; nothing is computed with what
  /// it says.
  package init(decoding bytes: UnsafeRawBufferPointer) throws(FormatError) {
    let envelope = try Envelope(decoding: bytes)
    guard envelope.kind == .keySlot, envelope.suite == .aes256gcm else {
      throw FormatError(.wrongKind, "an object of kind \(envelope.kind), not a key slot")
    }
    guard envelope.key.epoch <= KeyRing.maximumEpoch else {
      throw FormatError(.invalidValue, "a slot of master key \(envelope.key.epoch)")
    }
    repository = envelope.repository
    id = envelope.object
    key = envelope.key
    salt = envelope.salt
    var rest = UnsafeRawBufferPointer(rebasing: bytes[Envelope.byteCount...])
    let parameters = try KeySlot.stored(&rest, .slotParameters, 0, overhead: 0)
    wrapped = [UInt8](
      try KeySlot.stored(&rest, .wrappedKeys, 1, overhead: WrappingKey.overhead))
    guard rest.isEmpty,
      wrapped.count == Int(key.epoch) * MasterKey.byteCount + WrappingKey.overhead
    else {
      throw FormatError(.invalidValue, "a key slot of another size than its keys have")
    }
    var reader = ByteReader(parameters)
    let rawMethod = try reader.byte()
    let cost = ScryptCost(
      roundsLog2: try reader.byte(), blockSize: try reader.byte(),
      parallelism: try reader.byte())
    switch rawMethod {
    case 1 where cost.isBounded: method = .passphrase(cost)
    case 2 where cost == ScryptCost(roundsLog2: 0, blockSize: 0, parallelism: 0):
      method = .keyFile
    case 1, 2:
      throw FormatError(
        .invalidValue,
        "a key slot that asks for scrypt with N = 2^\(cost.roundsLog2), r = \(cost.blockSize), "
          + "p = \(cost.parallelism)")
    default:
      throw FormatError(.unsupportedVersion, "a key slot of method \(rawMethod): use a newer build")
    }
    createdNanoseconds = try reader.integer(Int64.self)
    label = try reader.lengthPrefixed(limit: KeySlot.labelByteCount, "label")
    try reader.expectEnd()
  }

  /// What the next frame stores; moves `rest` behind it.
  private static func stored(
    _ rest: inout UnsafeRawBufferPointer, _ kind: FrameKind, _ number: UInt32, overhead: Int
  ) throws(FormatError) -> UnsafeRawBufferPointer {
    let (frame, stored) = try Frame.checked(rest, kind: kind, number: number)
    guard frame.encoding == .raw, frame.rawByteCount + overhead == frame.storedByteCount else {
      throw FormatError(.invalidValue, "frame \(number) has two sizes")
    }
    rest = UnsafeRawBufferPointer(rebasing: rest[(Frame.byteCount + stored.count)...])
    return stored
  }
}
