import CMuninn
import Testing

@Suite struct ChunkTests {
  static let common = mn_chunk_sizes(minimum: 2048, average: 8192, maximum: 32768)

  @Test func sizesAreChecked() {
    func valid(_ minimum: UInt32, _ average: UInt32, _ maximum: UInt32) -> Bool {
      mn_chunk_sizes_valid(mn_chunk_sizes(minimum: minimum, average: average, maximum: maximum))
    }
    #expect(valid(64, 256, 1024))
    #expect(valid(64, 65, 66))
    #expect(valid(64, 256, 16 << 20))
    #expect(!valid(63, 256, 1024))
    #expect(!valid(256, 256, 1024))
    #expect(!valid(64, 1024, 1024))
    #expect(!valid(64, 256, (16 << 20) + 1))
  }

  @Test func noBytesAndFewBytesAreOneChunk() {
    for count in [0, 1, 63, 64, 2047, 2048] {
      let bytes = [UInt8](repeating: 7, count: count)
      let length = bytes.withUnsafeBufferPointer {
        mn_chunk_next(Self.common, $0.baseAddress, $0.count)
      }
      #expect(length == count)
    }
  }

  @Test(arguments: SampleKind.allCases)
  func chunksKeepTheirLimits(kind: SampleKind) {
    var generator = SeededGenerator(seed: 11)
    let bytes = kind.bytes(300_000, &generator)
    let places = cuts(bytes, Self.common, mn_kernel_best())
    #expect(places.last == bytes.count)
    var start = 0
    for (index, place) in places.enumerated() {
      let length = place - start
      #expect(length <= 32768)
      #expect(length >= 2048 || index == places.count - 1)
      start = place
    }
  }

  @Test func meanOnRandomDataIsTheAverage() {
    var generator = SeededGenerator(seed: 12)
    let bytes = SampleKind.random.bytes(4 << 20, &generator)
    for average: UInt32 in [2048, 8192] {
      for divisor: UInt32 in [2, 4, 16] {
        let sizes = mn_chunk_sizes(
          minimum: average / divisor, average: average, maximum: average * 4)
        let mean = Double(bytes.count) / Double(cuts(bytes, sizes, mn_kernel_best()).count)
        #expect(abs(mean / Double(average) - 1) < 0.08, "\(sizes) has mean \(mean)")
      }
    }
  }

  /// A run of one value is cut at the maximum, so that all its chunks are the same.
  @Test func constantRunsAreCutAtTheMaximum() {
    for value in UInt8.min...UInt8.max {
      let bytes = [UInt8](repeating: value, count: 4 * 32768)
      #expect(cuts(bytes, Self.common, mn_kernel_best()) == [32768, 65536, 98304, 131072])
    }
  }

  /// Chunks of periodic data repeat: a cut without a threshold passed is still one that content chose.
  @Test func periodicDataMakesFewDistinctChunks() {
    var generator = SeededGenerator(seed: 13)
    for period in [48, 100, 700, 4000] {
      let pattern = SampleKind.random.bytes(period, &generator)
      let bytes = (0..<(40 * 32768)).map { pattern[$0 % period] }
      var distinct = Set<[UInt8]>()
      var start = 0
      for place in cuts(bytes, Self.common, mn_kernel_best()) {
        distinct.insert(Array(bytes[start..<place]))
        start = place
      }
      // Where no place of the period is a candidate, each chunk may begin at another phase.
      if distinct.contains(where: { (2048..<32768).contains($0.count) }) {
        #expect(distinct.count <= 4, "period \(period)")
      }
    }
  }

  /// After an insertion or a deletion the cuts fall back into step within a few chunks.
  @Test(arguments: [SampleKind.random, .digits, .fourLetters, .runs])
  func editsAreForgotten(kind: SampleKind) {
    var generator = SeededGenerator(seed: 14)
    for _ in 0..<10 {
      let bytes = kind.bytes(500_000, &generator)
      let at = 100_000 + generator.below(100_000)
      let inserted = SampleKind.random.bytes(1 + generator.below(100), &generator)
      let edited = Array(bytes[..<at]) + inserted + Array(bytes[at...])
      let before = Set(cuts(bytes, Self.common, mn_kernel_best()))
      let after = cuts(edited, Self.common, mn_kernel_best())
      let shared = after.filter { $0 > at && before.contains($0 - inserted.count) }
      let far = before.filter { $0 > at + 150_000 }
      #expect(far.isSubset(of: shared.map { $0 - inserted.count }))
    }
  }

  @Test func endsAreTold() {
    let sizes = Self.common
    func end(_ bytes: [UInt8]) -> mn_chunk_end {
      var end = MN_END_CUT
      _ = mn_chunk_next_using(MN_KERNEL_PORTABLE, sizes, bytes, bytes.count, &end)
      return end
    }
    var generator = SeededGenerator(seed: 16)
    #expect(end(SampleKind.random.bytes(32768, &generator)) == MN_END_CUT)
    #expect(end(SampleKind.random.bytes(2048, &generator)) == MN_END_DATA)
    #expect(end([UInt8](repeating: 0, count: 32767)) == MN_END_DATA)
    #expect(end([UInt8](repeating: 0, count: 32768)) == MN_END_MAXIMUM)
    // Of many short periods some have candidates that pass no threshold.
    let ends = (0..<200).map { _ in
      let pattern = SampleKind.random.bytes(64, &generator)
      return end((0..<32768).map { pattern[$0 % 64] })
    }
    #expect(ends.contains(MN_END_CANDIDATE) && ends.contains(MN_END_MAXIMUM))
  }

  /// What follows the maximum cannot be seen.
  @Test func nothingBehindTheMaximumMatters() {
    var generator = SeededGenerator(seed: 15)
    for kind in SampleKind.allCases {
      var bytes = kind.bytes(32768 + 500, &generator)
      let first = cuts(bytes, Self.common, mn_kernel_best())[0]
      bytes.replaceSubrange(32768..., with: SampleKind.random.bytes(700, &generator))
      #expect(cuts(bytes, Self.common, mn_kernel_best())[0] == first)
      #expect(cuts(Array(bytes[..<32768]), Self.common, mn_kernel_best())[0] == first)
    }
  }
}
