import Crypto
import MuninnTestSupport
import Testing

@testable import MuninnFormat

/// Key slots: they open with their passphrase or key file, whole, and with nothing else.
@Suite struct KeySlotTests {
  private func passphrase(_ text: String = Sample.passphrase) -> KeyMaterial {
    .passphrase(Sample.secret(text))
  }

  private func keyFile(_ bytes: [UInt8] = Sample.keyFile) -> KeyMaterial {
    var bytes = bytes
    return .keyFile(Secret(taking: &bytes))
  }

  private func decoded(_ bytes: [UInt8]) throws(FormatError) -> KeySlot {
    try withRaw(bytes) { (raw) throws(FormatError) in try KeySlot(decoding: raw) }
  }

  /// The vectors of RFC 7914, section 12, that take no gigabyte.
  @Test func scryptIsThatOfTheRFC() throws {
    let vectors: [(String, String, ScryptCost, String)] = [
      (
        "password", "NaCl", ScryptCost(roundsLog2: 10, blockSize: 8, parallelism: 16),
        "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
          + "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"
      ),
      (
        "pleaseletmein", "SodiumChloride",
        ScryptCost(roundsLog2: 14, blockSize: 8, parallelism: 1),
        "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
          + "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"
      ),
    ]
    for (password, salt, cost, expected) in vectors {
      let key = try scrypt(
        Sample.secret(password), salt: Array(salt.utf8), cost: cost, byteCount: 64)
      let text = key.withUnsafeBytes { bytes in
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
      }
      #expect(text == expected)
    }
  }

  @Test func everySlotOpensEveryMasterKey() throws {
    for material in [passphrase(), keyFile()] {
      for epochs in [1, 2, 5, Int(KeyRing.maximumEpoch)] {
        let slot = try decoded(try Sample.slot(material, epochs: epochs).encoded())
        let keys = try #require(try slot.unwrap(with: material))
        let expected = try Sample.keys(epochs)
        #expect(keys.newest == expected.newest)
        #expect(slot.key == expected.newest)
        #expect(keys.first == expected.first)
      }
    }
    #expect(throws: FormatError.self) {
      try Sample.keys(Int(KeyRing.maximumEpoch)).adding(MasterKey.random())
    }
  }

  @Test func nothingElseOpensASlot() throws {
    let slot = try Sample.slot(passphrase())
    for other in ["", "correct horse battery stapl", "correct horse battery staple\n"] {
      #expect((try? slot.unwrap(with: passphrase(other))) == nil, "'\(other)'")
    }
    #expect(throws: FormatError.self) { try slot.unwrap(with: keyFile()) }
    let file = try Sample.slot(keyFile())
    for count in [32, 63, 65] {
      #expect(try file.unwrap(with: keyFile([UInt8](100..<(100 + UInt8(count))))) == nil)
    }
    #expect(throws: FormatError.self) { try Sample.slot(keyFile([UInt8](0..<31))) }
    #expect(throws: FormatError.self) { try Sample.slot(passphrase("")) }
  }

  /// Parameters, label, names and salt are bound to the master keys: with right checksums around it
  /// an altered slot still does not open.
  @Test func anAlteredSlotDoesNotOpen() throws {
    let material = passphrase()
    let good = try Sample.slot(material)
    let wrap = { (repository: Identifier, id: Identifier, salt: [UInt8], label: String) in
      try KeySlot(
        wrapping: try Sample.keys(), with: material, cost: Sample.cheap, repository: repository,
        id: id, salt: salt, label: Array(label.utf8),
        createdNanoseconds: good.createdNanoseconds)
    }
    let others = [
      try wrap(Sample.identifier(1), good.id, good.salt, "laptop"),
      try wrap(good.repository, Sample.identifier(1), good.salt, "laptop"),
      try wrap(good.repository, good.id, [UInt8](1..<33), "laptop"),
      try wrap(good.repository, good.id, good.salt, "laptoq"),
    ]
    #expect(try good.unwrap(with: material) != nil)
    for var other in others {
      #expect(try other.unwrap(with: material) != nil)
      other.wrapped = good.wrapped
      #expect(try decoded(other.encoded()).unwrap(with: material) == nil)
    }
  }

  /// Whoever can write a slot decides what opening it costs: only up to the limits.
  @Test func hostileCostsAreRefused() throws {
    for (rounds, block, parallel) in [
      (0, 8, 1), (25, 1, 1), (20, 16, 1), (17, 0, 1), (17, 17, 1), (17, 8, 0), (17, 8, 17),
      (20, 8, 3), (255, 255, 255),
    ] as [(UInt8, UInt8, UInt8)] {
      let cost = ScryptCost(roundsLog2: rounds, blockSize: block, parallelism: parallel)
      #expect(throws: FormatError.self, "\(cost)") {
        try scrypt(Sample.secret("x"), salt: Sample.salt, cost: cost, byteCount: 32)
      }
      var bytes = try Sample.slot(passphrase()).encoded()
      let parameters = Envelope.byteCount + Frame.byteCount
      bytes.replaceSubrange((parameters + 1)..<(parameters + 4), with: [rounds, block, parallel])
      let count = bytes.count
      let stored = 12 + 1 + "laptop".utf8.count
      let end = parameters + stored
      let sum = bytes[(Envelope.byteCount + 8)..<end].withUnsafeBytes { checksum($0) }
      var writer = ByteWriter()
      writer.integer(sum)
      bytes.replaceSubrange(Envelope.byteCount..<(Envelope.byteCount + 8), with: writer.bytes)
      #expect(bytes.count == count)
      do throws(FormatError) {
        _ = try decoded(bytes)
        Issue.record("\(cost) was accepted")
      } catch {
        #expect(error.code == .invalidValue && error.message.contains("scrypt"), "\(error)")
      }
    }
    let standard = ScryptCost.standard
    #expect(standard.isBounded && 128 << Int(standard.roundsLog2) * 8 == 128 << 20)
  }

  @Test func noDescriptionShowsASecret() throws {
    let text = Sample.passphrase
    let material = passphrase(text)
    let keys = try Sample.keys()
    var shown = "\(material) \(keys)"
    dump(material, to: &shown)
    dump(keys, to: &shown)
    dump(Sample.header(.aes256gcm), to: &shown)
    shown += "\(Sample.header(.aes256gcm))"
    #expect(!shown.contains("horse"))
    #expect(!shown.contains("32, 33, 34"), "of the master key")
    #expect(!shown.contains("192, 193"), "of the tag key")
  }

  @Test func zeroingZeroes() {
    var bytes = [UInt8](1..<200)
    let secret = Secret(taking: &bytes)
    #expect(bytes.allSatisfy { $0 == 0 } && bytes.count == 199)
    secret.withBytes { #expect(Array($0) == [UInt8](1..<200)) }
  }

  @Test func objectsNameTheirMasterKey() throws {
    let keys = try Sample.keys(3)
    let older = try Sample.keys(2)
    let envelope = Envelope(
      kind: .segment, suite: .aes256gcm, repository: Sample.repository, object: Sample.object,
      salt: Sample.salt, key: keys.newest)
    _ = try Seal(envelope: envelope, keys: keys)
    do throws(FormatError) {
      _ = try Seal(envelope: envelope, keys: older)
      Issue.record("an older key opened it")
    } catch {
      #expect(error.code == .wrongKey && error.message.contains("rotated"))
    }
    let stranger = Envelope(
      kind: .segment, suite: .aes256gcm, repository: Sample.repository, object: Sample.object,
      salt: Sample.salt, key: KeyName(epoch: 2, id: Sample.identifier(8)))
    #expect(throws: FormatError.self) { try Seal(envelope: stranger, keys: keys) }
    #expect(throws: FormatError.self, "no keys") { try Seal(envelope: envelope, keys: nil) }
  }
}
