import MuninnDisk

/// SplitMix64 (Steele, Lea and Flood, 2014): small, fast, and the same everywhere, so that a failing
/// random test can be run again. Not for secrets.
package struct SeededGenerator: RandomNumberGenerator, Sendable {
  /// What it started from.
  package let seed: UInt64
  private var state: UInt64

  package init(seed: UInt64) {
    self.seed = seed
    state = seed
  }

  /// A new seed for every run, printed; `MUNINN_SEED` in the environment repeats an old one.
  package static func printed(
    file: StaticString = #fileID, line: UInt = #line
  ) -> SeededGenerator {
    let seed = environmentSeed() ?? randomSeed()
    print("seed \(seed) (\(file):\(line)); MUNINN_SEED=\(seed) repeats it")
    return SeededGenerator(seed: seed)
  }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  package mutating func bytes(_ count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 7)
    while bytes.count < count {
      withUnsafeBytes(of: next().littleEndian) { bytes.append(contentsOf: $0) }
    }
    bytes.removeLast(bytes.count - count)
    return bytes
  }

  /// True once in `count` times.
  package mutating func oneIn(_ count: UInt64) -> Bool { next() % count == 0 }

  private static func environmentSeed() -> UInt64? {
    environmentVariable("MUNINN_SEED").flatMap { UInt64($0) }
  }

  private static func randomSeed() -> UInt64 {
    Machine.randomBytes(8).reduce(0) { $0 << 8 | UInt64($1) }
  }
}
