import CMuninn
import Testing

@Suite struct BlockTests {
  static let levels: [Int32] = [1, 3, 9, 12]

  /// The LZ4 block of `bytes`, or nil where it needs more than `capacity`.
  private func compressed(_ bytes: [UInt8], level: Int32, capacity: Int) -> [UInt8]? {
    let size = mn_compress_scratch_size(level)
    let scratch = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
    defer { scratch.deallocate() }
    let block = [UInt8](unsafeUninitializedCapacity: capacity) { target, count in
      count = mn_compress(
        bytes, bytes.count, target.baseAddress, capacity, level, scratch)
    }
    return block.isEmpty ? nil : block
  }

  /// The decompressed bytes, or nil where the block is refused. Bytes behind the target stay untouched.
  private func decompressed(_ block: [UInt8], expected: Int) -> [UInt8]? {
    var target = [UInt8](repeating: 0xEE, count: expected + 64)
    let good = target.withUnsafeMutableBufferPointer {
      mn_decompress(block, block.count, $0.baseAddress, expected)
    }
    #expect(target[expected...].allSatisfy { $0 == 0xEE })
    return good ? Array(target[..<expected]) : nil
  }

  @Test(arguments: levels)
  func roundTrip(level: Int32) throws {
    var generator = SeededGenerator(seed: 41)
    for kind in SampleKind.allCases {
      for length in [1, 12, 13, 1000, 65_536, 262_144] {
        let bytes = kind.bytes(length, &generator)
        let bound = mn_compress_bound(length)
        let block = try #require(compressed(bytes, level: level, capacity: bound))
        #expect(decompressed(block, expected: length) == bytes, "\(kind), \(length) bytes")
      }
    }
  }

  @Test func higherLevelsAreNoLarger() throws {
    var generator = SeededGenerator(seed: 42)
    let bytes = SampleKind.fourLetters.bytes(262_144, &generator)
    let bound = mn_compress_bound(bytes.count)
    let fast = try #require(compressed(bytes, level: 1, capacity: bound))
    let high = try #require(compressed(bytes, level: 9, capacity: bound))
    #expect(high.count < fast.count)
  }

  @Test func smallCapacityIsRefused() throws {
    var generator = SeededGenerator(seed: 43)
    let bytes = SampleKind.random.bytes(10_000, &generator)
    for level in Self.levels {
      #expect(compressed(bytes, level: level, capacity: 9_999) == nil)
      #expect(compressed(bytes, level: level, capacity: 1) == nil)
    }
  }

  @Test func sizesOverTheLimitAreRefused() {
    #expect(mn_compress_bound(0x7E00_0000) > 0)
    #expect(mn_compress_bound(0x7E00_0001) == 0)
    #expect(mn_compress_bound(Int.max) == 0)
    let source: [UInt8] = [0]
    var target: [UInt8] = [0]
    #expect(!mn_decompress(source, Int.max, &target, 1))
    #expect(!mn_decompress(source, 1, &target, Int.max))
  }

  @Test func wrongExpectedSizeIsRefused() throws {
    var generator = SeededGenerator(seed: 44)
    let bytes = SampleKind.digits.bytes(5_000, &generator)
    let block = try #require(
      compressed(bytes, level: 1, capacity: mn_compress_bound(bytes.count)))
    #expect(decompressed(block, expected: 4_999) == nil)
    #expect(decompressed(block, expected: 5_001) == nil)
    #expect(decompressed(block, expected: 0) == nil)
  }

  /// Damage is refused or decodes to other bytes of the expected size; it never writes elsewhere.
  @Test func damagedBlocksDoNoHarm() throws {
    var generator = SeededGenerator(seed: 45)
    let bytes = SampleKind.runs.bytes(20_000, &generator)
    let block = try #require(
      compressed(bytes, level: 1, capacity: mn_compress_bound(bytes.count)))
    for length in 0..<min(block.count, 300) {
      #expect(decompressed(Array(block[..<length]), expected: bytes.count) == nil)
    }
    for _ in 0..<3_000 {
      var damaged = block
      for _ in 0...generator.below(4) {
        damaged[generator.below(damaged.count)] ^= UInt8(1 + generator.below(255))
      }
      _ = decompressed(damaged, expected: bytes.count)
    }
    for _ in 0..<2_000 {
      let noise = SampleKind.random.bytes(1 + generator.below(200), &generator)
      _ = decompressed(noise, expected: generator.below(5_000))
    }
  }
}

/// The guess that saves compressing in vain: it must be right about the clear cases.
@Suite struct ProbeTests {
  @Test func randomBytesLookIncompressible() {
    var generator = SeededGenerator(seed: 51)
    for length in [32_768, 65_536, 262_144] {
      #expect(mn_looks_incompressible(SampleKind.random.bytes(length, &generator), length))
    }
  }

  @Test func everythingElseIsTried() {
    var generator = SeededGenerator(seed: 52)
    for kind in SampleKind.allCases where kind != .random {
      let bytes = kind.bytes(262_144, &generator)
      #expect(!mn_looks_incompressible(bytes, bytes.count), "\(kind)")
    }
    let repeated = SampleKind.random.bytes(1_000, &generator)
    let bytes = (0..<200_000).map { repeated[$0 % 1_000] }
    #expect(!mn_looks_incompressible(bytes, bytes.count))
    let short = SampleKind.random.bytes(32_767, &generator)
    #expect(!mn_looks_incompressible(short, short.count))
  }
}
