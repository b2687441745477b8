import CMuninn

/// SplitMix64: the same sequence for the same seed on every machine.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) {
    state = seed
  }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// A value in 0..<bound.
  mutating func below(_ bound: Int) -> Int {
    Int(next() % UInt64(bound))
  }
}

/// Content that a filter may find hard, besides random bytes.
enum SampleKind: String, CaseIterable {
  case random, fourLetters, digits, zeros, constant, shortPeriod, longPeriod, counters, sparse, runs

  /// `count` bytes, decided by the kind and the generator alone.
  func bytes(_ count: Int, _ generator: inout SeededGenerator) -> [UInt8] {
    switch self {
    case .random: return randomBytes(count, &generator)
    case .fourLetters:
      let letters: [UInt8] = Array("ACGT".utf8)
      return (0..<count).map { _ in letters[generator.below(4)] }
    case .digits: return (0..<count).map { _ in UInt8(0x30 + generator.below(10)) }
    case .zeros: return [UInt8](repeating: 0, count: count)
    case .constant: return [UInt8](repeating: UInt8(generator.below(256)), count: count)
    case .shortPeriod: return periodic(1 + generator.below(64), count, &generator)
    case .longPeriod: return periodic(65 + generator.below(3000), count, &generator)
    case .counters:
      let first = generator.next()
      return (0..<count).map {
        UInt8(truncatingIfNeeded: (first &+ UInt64($0 / 8)) >> ($0 % 8 * 8))
      }
    case .sparse:
      return (0..<count).map { _ in
        generator.below(40) == 0 ? UInt8(truncatingIfNeeded: generator.next()) : 0
      }
    case .runs:
      var bytes: [UInt8] = []
      while bytes.count < count {
        let value = UInt8(truncatingIfNeeded: generator.next())
        bytes += [UInt8](
          repeating: value, count: min(1 + generator.below(90), count - bytes.count))
      }
      return bytes
    }
  }

  private func randomBytes(_ count: Int, _ generator: inout SeededGenerator) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      while filled < count {
        let word = generator.next()
        for shift in 0..<min(8, count - filled) {
          buffer[filled + shift] = UInt8(truncatingIfNeeded: word >> (shift * 8))
        }
        filled += min(8, count - filled)
      }
    }
  }

  private func periodic(
    _ period: Int, _ count: Int, _ generator: inout SeededGenerator
  ) -> [UInt8] {
    let pattern = randomBytes(period, &generator)
    return (0..<count).map { pattern[$0 % period] }
  }
}

/// All cut places of `bytes`, ascending; the last is the end.
func cuts(_ bytes: [UInt8], _ sizes: mn_chunk_sizes, _ kernel: mn_kernel) -> [Int] {
  bytes.withUnsafeBufferPointer { buffer in
    var places: [Int] = []
    guard let base = buffer.baseAddress else { return places }
    var start = 0
    while start < buffer.count {
      let length = mn_chunk_next_using(kernel, sizes, base + start, buffer.count - start, nil)
      start += length
      places.append(start)
    }
    return places
  }
}

/// The kernels that this processor can run, the portable one first.
var usableKernels: [mn_kernel] {
  (0..<UInt32(MN_KERNEL_COUNT)).map { mn_kernel(rawValue: $0) }.filter { mn_kernel_usable($0) }
}
