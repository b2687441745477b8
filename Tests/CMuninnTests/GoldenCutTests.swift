import CMuninn
import Testing

/// The cut places of format version 1. A change here makes every existing repository deduplicate anew: don't.
@Suite struct GoldenCutTests {
  struct Golden: CustomTestStringConvertible {
    let kind: SampleKind
    let sizes: (minimum: UInt32, average: UInt32, maximum: UInt32)
    let count: Int
    /// XXH3-64 of all cut places as little-endian 64-bit numbers.
    let checksum: UInt64

    var testDescription: String { "\(kind), \(sizes)" }
  }

  static let goldens: [Golden] = [
    Golden(
      kind: .random, sizes: (64, 256, 1024),
      count: 1309, checksum: 0xBB2A_BAB6_9235_88D1),
    Golden(
      kind: .random, sizes: (2048, 8192, 32768),
      count: 59, checksum: 0x4B12_1C65_5530_A1AF),
    Golden(
      kind: .random, sizes: (8192, 32768, 131072),
      count: 13, checksum: 0x311B_2489_3209_A154),
    Golden(
      kind: .fourLetters, sizes: (64, 256, 1024),
      count: 1251, checksum: 0xCD7E_3EED_7A79_CAC4),
    Golden(
      kind: .fourLetters, sizes: (2048, 8192, 32768),
      count: 63, checksum: 0xBB3F_D312_5760_2E6D),
    Golden(
      kind: .fourLetters, sizes: (8192, 32768, 131072),
      count: 16, checksum: 0x380D_B90D_99C2_7C92),
    Golden(
      kind: .digits, sizes: (64, 256, 1024),
      count: 1278, checksum: 0x527B_B8BD_7B3E_DB9F),
    Golden(
      kind: .digits, sizes: (2048, 8192, 32768),
      count: 59, checksum: 0x1560_4E3C_6226_5B32),
    Golden(
      kind: .digits, sizes: (8192, 32768, 131072),
      count: 15, checksum: 0xFE61_62EC_E91E_EDAD),
    Golden(
      kind: .zeros, sizes: (64, 256, 1024),
      count: 489, checksum: 0xDADB_C310_6ADE_8841),
    Golden(
      kind: .zeros, sizes: (2048, 8192, 32768),
      count: 16, checksum: 0xC05A_28F6_F59D_A7B9),
    Golden(
      kind: .zeros, sizes: (8192, 32768, 131072),
      count: 4, checksum: 0x62AE_15BF_FE6C_E1A0),
    Golden(
      kind: .shortPeriod, sizes: (64, 256, 1024),
      count: 489, checksum: 0xDADB_C310_6ADE_8841),
    Golden(
      kind: .shortPeriod, sizes: (2048, 8192, 32768),
      count: 16, checksum: 0xC05A_28F6_F59D_A7B9),
    Golden(
      kind: .shortPeriod, sizes: (8192, 32768, 131072),
      count: 4, checksum: 0x62AE_15BF_FE6C_E1A0),
    Golden(
      kind: .longPeriod, sizes: (64, 256, 1024),
      count: 1792, checksum: 0xA3AD_A553_0CF9_0F88),
    Golden(
      kind: .longPeriod, sizes: (2048, 8192, 32768),
      count: 16, checksum: 0xE201_941F_E967_8B34),
    Golden(
      kind: .longPeriod, sizes: (8192, 32768, 131072),
      count: 4, checksum: 0xE7BB_67B1_EF58_906C),
    Golden(
      kind: .counters, sizes: (64, 256, 1024),
      count: 1084, checksum: 0x5960_0513_5597_F56B),
    Golden(
      kind: .counters, sizes: (2048, 8192, 32768),
      count: 50, checksum: 0x968C_46A2_CE2B_7709),
    Golden(
      kind: .counters, sizes: (8192, 32768, 131072),
      count: 14, checksum: 0x526F_5FB9_F0E5_B799),
    Golden(
      kind: .sparse, sizes: (64, 256, 1024),
      count: 1241, checksum: 0x1653_4FB3_5532_779E),
    Golden(
      kind: .sparse, sizes: (2048, 8192, 32768),
      count: 66, checksum: 0x4E8F_36F5_2630_921C),
    Golden(
      kind: .sparse, sizes: (8192, 32768, 131072),
      count: 16, checksum: 0x7FDC_8828_178B_EF2F),
    Golden(
      kind: .runs, sizes: (64, 256, 1024),
      count: 1559, checksum: 0x0259_222D_453E_D1D1),
    Golden(
      kind: .runs, sizes: (2048, 8192, 32768),
      count: 70, checksum: 0x6DCB_8D1E_418F_8EAA),
    Golden(
      kind: .runs, sizes: (8192, 32768, 131072),
      count: 18, checksum: 0x8F71_6DFF_BAC7_4946),
  ]

  @Test(arguments: goldens)
  func cutsStayWhereTheyWere(golden: Golden) {
    var generator = SeededGenerator(seed: 2026)
    let bytes = golden.kind.bytes(500_000, &generator)
    let sizes = mn_chunk_sizes(
      minimum: golden.sizes.minimum, average: golden.sizes.average, maximum: golden.sizes.maximum)
    for kernel in usableKernels {
      let places = cuts(bytes, sizes, kernel)
      let encoded = places.flatMap { place in
        (0..<8).map { UInt8(truncatingIfNeeded: place >> ($0 * 8)) }
      }
      #expect(places.count == golden.count)
      #expect(mn_checksum(encoded, encoded.count) == golden.checksum)
    }
  }
}
