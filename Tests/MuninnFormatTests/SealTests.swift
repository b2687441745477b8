import MuninnFormat
import MuninnTestSupport
import Testing

/// Frames under AES-256-GCM: they open with their key, in their place, and nowhere else.
@Suite struct SealTests {
  private let payload = [UInt8](repeating: 5, count: 300) + [UInt8](0..<200)

  private func seal(
    _ suite: CipherSuite = .aes256gcm, kind: ObjectKind = .dataContainer,
    repository: Identifier = Sample.repository, object: Identifier = Sample.object,
    salt: [UInt8] = Sample.salt, key: [UInt8]? = Sample.masterKey
  ) throws(FormatError) -> Seal {
    try Seal(
      envelope: Envelope(
        kind: kind, suite: suite, repository: repository, object: object, salt: salt),
      masterKey: try key.map { (bytes) throws(FormatError) in try MasterKey(bytes: bytes) })
  }

  private func open(
    _ frame: [UInt8], _ seal: Seal, kind: FrameKind = .block, number: UInt32 = 1
  ) throws(FormatError) -> [UInt8] {
    try withRaw(frame) { (raw) throws(FormatError) in
      try seal.open(raw, kind: kind, number: number, limit: 1 << 20).payload
    }
  }

  @Test(arguments: [CipherSuite.none, .aes256gcm], [0, 1, 3, 9])
  func roundTrip(suite: CipherSuite, level: Int) throws {
    var generator = SeededGenerator.printed()
    let seal = try seal(suite)
    for count in [0, 1, 63, 64, 65, 1000, 70_000] {
      for payload in [generator.bytes(count), [UInt8](repeating: 9, count: count)] {
        let number = UInt32(truncatingIfNeeded: generator.next())
        let frame = try seal.frame(payload, kind: .block, number: number, level: level)
        #expect(frame.count <= seal.capacity(for: count))
        #expect(try open(frame, seal, number: number) == payload)
        if count == 70_000, level > 0, payload[0] == payload[1], payload[1] == payload[2] {
          #expect(frame.count < 1000, "what can be made smaller is")
        }
      }
    }
  }

  @Test func nothingOfThePayloadShows() throws {
    let text = Array("a secret that everybody would like to know".utf8)
    let frame = try seal().frame(text, kind: .block, number: 1, level: 0)
    #expect(frame.count == Frame.byteCount + text.count + 16)
    for start in 0..<(frame.count - 8) {
      #expect(!text.starts(with: frame[start..<(start + 8)]))
    }
  }

  @Test func anotherKeyOpensNothing() throws {
    let frame = try seal().frame(payload, kind: .block, number: 1)
    for bit in [0, 100, 255] {
      var key = Sample.masterKey
      key[bit / 8] ^= 1 << (bit % 8)
      #expect(throws: FormatError.self) { try open(frame, try seal(key: key)) }
      do throws(FormatError) { _ = try open(frame, try seal(key: key)) } catch {
        #expect(error.code == .checksumMismatch)
      }
    }
    #expect(throws: FormatError.self, "no key") { try seal(key: nil) }
    #expect(throws: FormatError.self, "a short key") { try MasterKey(bytes: [1, 2, 3]) }
  }

  /// A frame stands where it was written alone: not under another number, object, kind, repository
  /// or salt.
  @Test func aFrameStandsInItsPlaceAlone() throws {
    let frame = try seal().frame(payload, kind: .block, number: 1)
    #expect(try open(frame, try seal()) == payload)
    let other = Identifier(high: 9, low: 9)
    let strangers = [
      try seal(kind: .manifestContainer), try seal(repository: other), try seal(object: other),
      try seal(salt: [UInt8](1..<33)),
    ]
    for stranger in strangers {
      #expect(throws: FormatError.self) { try open(frame, stranger) }
    }
    #expect(throws: FormatError.self) { try open(frame, try seal(), number: 2) }
    #expect(throws: FormatError.self) { try open(frame, try seal(), kind: .directory) }
    // Somebody who mends the checksum in the clear gains nothing.
    for change: (inout [UInt8]) -> Void in [
      { $0[12] = 2 }, { $0[24] = 2 }, { $0[25] ^= 1 }, { $0[20] ^= 1 }, { $0[40] ^= 1 },
      { $0[$0.count - 1] ^= 1 },
    ] {
      var forged = frame
      change(&forged)
      forged = mended(forged)
      let number = UInt32(forged[12])
      let kind = forged[24] == 2 ? FrameKind.directory : .block
      do throws(FormatError) {
        _ = try open(forged, try seal(), kind: kind, number: number)
        Issue.record("a forged frame was opened")
      } catch {
        #expect(error.code == .checksumMismatch)
      }
    }
  }

  /// The same frame with a checksum that fits.
  private func mended(_ frame: [UInt8]) -> [UInt8] {
    var writer = ByteWriter()
    writer.integer(frame[8...].withUnsafeBytes { checksum($0) })
    return writer.bytes + frame[8...]
  }

  @Test func everyNumberIsANonceOfItsOwn() throws {
    let seal = try seal()
    let zeros = [UInt8](repeating: 0, count: 64)
    var streams: Set<[UInt8]> = []
    for number in UInt32(0)..<2000 {
      let frame = try seal.frame(zeros, kind: .block, number: number, level: 0)
      // Over zeros the stored bytes are the key stream itself.
      streams.insert(Array(frame[Frame.byteCount..<(Frame.byteCount + 64)]))
    }
    #expect(streams.count == 2000)
    for salt in [[UInt8](1..<33), [UInt8](2..<34)] {
      let frame = try self.seal(salt: salt).frame(zeros, kind: .block, number: 0, level: 0)
      streams.insert(Array(frame[Frame.byteCount..<(Frame.byteCount + 64)]))
    }
    #expect(streams.count == 2002, "another salt is another key")
  }

  @Test func identitiesDependOnTheSecrets() throws {
    let bytes = [UInt8](0..<100)
    func identity(_ secret: UInt8, _ key: UInt8) throws -> ChunkIdentity {
      let identifying = try Identifying(
        secret: [UInt8](repeating: secret, count: 192),
        tagKey: [UInt8](repeating: key, count: 32))
      return bytes.withUnsafeBytes { identifying.identity(of: $0) }
    }
    let first = try identity(1, 1)
    #expect(try identity(1, 1) == first)
    #expect(try identity(2, 1).fingerprint != first.fingerprint)
    #expect(try identity(2, 1).tag == first.tag)
    #expect(try identity(1, 2).tag != first.tag)
    for (secret, key) in [(191, 32), (192, 31), (0, 0)] {
      #expect(throws: FormatError.self) {
        try Identifying(
          secret: [UInt8](repeating: 0, count: secret), tagKey: [UInt8](repeating: 0, count: key))
      }
    }
  }
}
