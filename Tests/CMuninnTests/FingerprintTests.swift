import CMuninn
import Testing

@Suite struct FingerprintTests {
  /// XXH3's sanity values: of the empty input, published, and as the xxhsum 0.8.1 program prints them.
  @Test func checksumsAreXXH3() {
    #expect(mn_checksum([], 0) == 0x2D06_8005_38D3_94C2)
    let words = Array("muninn".utf8)
    #expect(mn_checksum(words, words.count) == 0xF300_753B_8AE4_DB65)
    var generator = SeededGenerator(seed: 31)
    let long = SampleKind.random.bytes(100_000, &generator)
    #expect(mn_checksum(long, long.count) == 0x2A52_05CC_E583_430F)
  }

  @Test func secretAndContentDecideTheFingerprint() {
    var generator = SeededGenerator(seed: 32)
    let secret = SampleKind.random.bytes(Int(MN_SECRET_SIZE), &generator)
    for length in [0, 1, 16, 17, 128, 129, 240, 241, 1024, 1025, 70_000] {
      var bytes = SampleKind.random.bytes(length, &generator)
      let first = mn_fingerprint_of(secret, bytes, length)
      let again = mn_fingerprint_of(secret, bytes, length)
      #expect(first.low == again.low && first.high == again.high)
      let other = SampleKind.random.bytes(Int(MN_SECRET_SIZE), &generator)
      let keyed = mn_fingerprint_of(other, bytes, length)
      #expect(first.low != keyed.low && first.high != keyed.high, "length \(length)")
      guard length > 0 else { continue }
      bytes[generator.below(length)] ^= 1
      let changed = mn_fingerprint_of(secret, bytes, length)
      #expect(first.low != changed.low && first.high != changed.high)
    }
  }

  /// XXH3-128 with a secret that counts up, over 1000 bytes that count up: fixed with the format.
  @Test func goldenFingerprint() {
    let secret = (0..<Int(MN_SECRET_SIZE)).map { UInt8(truncatingIfNeeded: $0) }
    let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0) }
    let fingerprint = mn_fingerprint_of(secret, bytes, bytes.count)
    #expect(fingerprint.low == 0xF25F_68A9_AB33_3DA0)
    #expect(fingerprint.high == 0x0C19_7F98_F1A7_F3EA)
  }
}
