/// The object `repository`: what never changes about a repository.
///
/// An envelope, then one frame. Payload: minimum, average and maximum chunk size (4 each), flags
/// (4; bit 0: shared, bit 1: chunks are known by SHA-256), creation time (nanoseconds since 1970,
/// 8), fingerprint secret (192), tag key (32). Where the repository is encrypted the frame is
/// sealed under the first master key, whatever epoch it has come to; key slots wrap that key.
package struct RepositoryHeader: Sendable, Equatable {
  package var repository: Identifier
  package var suite: CipherSuite
  package var minimumChunkSize: UInt32
  package var averageChunkSize: UInt32
  package var maximumChunkSize: UInt32
  package var isShared: Bool
  package var createdNanoseconds: Int64
  package var fingerprintSecret: [UInt8]
  package var tagKey: [UInt8]
  package var identityMethod = IdentityMethod.xxh3

  package init(
    repository: Identifier, suite: CipherSuite, minimumChunkSize: UInt32,
    averageChunkSize: UInt32, maximumChunkSize: UInt32, isShared: Bool, createdNanoseconds: Int64,
    fingerprintSecret: [UInt8], tagKey: [UInt8]
  ) {
    self.repository = repository
    self.suite = suite
    self.minimumChunkSize = minimumChunkSize
    self.averageChunkSize = averageChunkSize
    self.maximumChunkSize = maximumChunkSize
    self.isShared = isShared
    self.createdNanoseconds = createdNanoseconds
    self.fingerprintSecret = fingerprintSecret
    self.tagKey = tagKey
  }

  /// `salt` is 32 random bytes where the suite encrypts, else zeros.
  package func encoded(
    salt: [UInt8] = [UInt8](repeating: 0, count: Envelope.saltByteCount),
    masterKey: MasterKey? = nil
  ) throws(FormatError) -> [UInt8] {
    let envelope = Envelope(
      kind: .repository, suite: suite, repository: repository, object: repository, salt: salt,
      key: masterKey.map { KeyName(epoch: 1, id: $0.id) } ?? .none)
    var payload = ByteWriter(reserving: 256)
    payload.integer(minimumChunkSize)
    payload.integer(averageChunkSize)
    payload.integer(maximumChunkSize)
    payload.integer(UInt32((isShared ? 1 : 0) | (identityMethod == .sha256 ? 2 : 0)))
    payload.integer(createdNanoseconds)
    payload.raw(fingerprintSecret)
    payload.raw(tagKey)
    let seal = try Seal(envelope: envelope, masterKey: masterKey)
    return envelope.encoded()
      + (try seal.frame(payload.bytes, kind: .repository, number: 0, level: 0))
  }

  package init(decoding bytes: [UInt8], masterKey: MasterKey? = nil) throws(FormatError) {
    let (envelope, payload) = try bytes.withUnsafeBytesTyped { (raw) throws(FormatError) in
      let envelope = try Envelope(decoding: raw)
      guard envelope.kind == .repository, envelope.repository == envelope.object else {
        throw FormatError(
          .wrongKind, "an object of kind \(envelope.kind), not a repository's header")
      }
      let seal = try Seal(envelope: envelope, masterKey: masterKey)
      let frames = UnsafeRawBufferPointer(rebasing: raw[Envelope.byteCount...])
      return (envelope, try seal.open(frames, kind: .repository, number: 0, limit: 4096).payload)
    }
    repository = envelope.repository
    suite = envelope.suite
    (
      minimumChunkSize, averageChunkSize, maximumChunkSize, isShared, createdNanoseconds,
      fingerprintSecret, tagKey, identityMethod
    ) = try payload.withUnsafeBytesTyped { (raw) throws(FormatError) in
      var reader = ByteReader(raw)
      let sizes = (
        try reader.integer(UInt32.self), try reader.integer(UInt32.self),
        try reader.integer(UInt32.self)
      )
      let flags = try reader.integer(UInt32.self)
      guard flags <= 3 else {
        throw FormatError(.unsupportedVersion, "repository flags \(flags): use a newer build")
      }
      let fields = (
        sizes.0, sizes.1, sizes.2, flags & 1 != 0, try reader.integer(Int64.self),
        try reader.array(192), try reader.array(32),
        flags & 2 != 0 ? IdentityMethod.sha256 : .xxh3
      )
      try reader.expectEnd()
      return fields
    }
    guard minimumChunkSize >= 64, minimumChunkSize < averageChunkSize,
      averageChunkSize < maximumChunkSize, Int(maximumChunkSize) <= FormatLimit.chunkByteCount
    else {
      throw FormatError(
        .invalidValue,
        "chunk sizes \(minimumChunkSize), \(averageChunkSize), \(maximumChunkSize)")
    }
  }
}

extension RepositoryHeader: CustomStringConvertible, CustomReflectable {
  package var description: String { "header of repository \(repository)" }
  package var customMirror: Mirror { Mirror(self, children: [:]) }
}
