import CMuninn
import Testing

/// Every kernel cuts where the portable one does.
@Suite struct ChunkKernelTests {
  @Test func randomLengthsAlignmentsAndSizes() {
    for round: UInt64 in 0..<400 {
      var generator = SeededGenerator(seed: 0xC0FFEE + round)
      let kind = SampleKind.allCases[generator.below(SampleKind.allCases.count)]
      let skipped = generator.below(65)
      let bytes = kind.bytes(skipped + 1 + generator.below(20_000), &generator)
      let minimum = 64 + generator.below(generator.below(2) == 0 ? 10 : 2000)
      let average = minimum + 1 + generator.below(3000)
      let sizes = mn_chunk_sizes(
        minimum: UInt32(minimum), average: UInt32(average),
        maximum: UInt32(average + 1 + generator.below(8000)))
      let expected = cuts(Array(bytes[skipped...]), sizes, MN_KERNEL_PORTABLE)
      for kernel in usableKernels.dropFirst() {
        let found = bytes.withUnsafeBufferPointer { buffer in
          var places: [Int] = []
          var start = skipped
          while start < buffer.count, let base = buffer.baseAddress {
            start += mn_chunk_next_using(kernel, sizes, base + start, buffer.count - start, nil)
            places.append(start - skipped)
          }
          return places
        }
        let name = String(cString: mn_kernel_name(kernel))
        #expect(
          found == expected, "\(name), \(kind), \(sizes), seed \(0xC0FFEE + round)")
      }
    }
  }

  /// All lengths about the borders of a kernel's steps and stretches.
  @Test func lengthsNearTheLimits() {
    var generator = SeededGenerator(seed: 21)
    let bytes = SampleKind.random.bytes(6000, &generator)
    for minimum: UInt32 in [64, 65, 67, 68, 69, 127, 128, 200] {
      // Nothing passes a threshold of an average this large, so every length is scanned to its end.
      for maximum: UInt32 in [4 << 20] + Array(2170..<2250) {
        let average = maximum > 1 << 20 ? (4 << 20) - 1 : maximum - 1
        let sizes = mn_chunk_sizes(minimum: minimum, average: average, maximum: maximum)
        let lengths = maximum > 1 << 20 ? Array(64..<420) + Array(2040..<2260) : [6000]
        for length in lengths {
          let part = Array(bytes[..<length])
          let expected = cuts(part, sizes, MN_KERNEL_PORTABLE)
          for kernel in usableKernels.dropFirst() {
            #expect(cuts(part, sizes, kernel) == expected, "\(sizes), \(length) bytes")
          }
        }
      }
    }
  }

  @Test func kernelsHaveNames() {
    let names = (0..<UInt32(MN_KERNEL_COUNT)).map {
      String(cString: mn_kernel_name(mn_kernel(rawValue: $0)))
    }
    #expect(Set(names).count == Int(MN_KERNEL_COUNT))
    #expect(String(cString: mn_kernel_name(mn_kernel(rawValue: 99))) == "unknown")
    #expect(!mn_kernel_usable(mn_kernel(rawValue: 99)))
    #expect(usableKernels.contains(mn_kernel_best()))
  }
}
