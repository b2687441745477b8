import MuninnDisk

/// SplitMix64: the same sequence for the same seed on every machine.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

enum GeneratedData {
  /// Fills whole words with random bits, of which `compressible` (0 to 1) repeat earlier 64-byte
  /// pieces.
  static func fill(_ bytes: UnsafeMutableRawBufferPointer, seed: UInt64, compressible: Double) {
    var generator = SeededGenerator(seed: seed)
    let limit = UInt64(min(max(compressible, 0), 1) * 4_294_967_296)
    let piece = 64
    var offset = 0
    while offset + piece <= bytes.count {
      let word = generator.next()
      if offset >= piece && (word & 0xFFFF_FFFF) < limit {
        // Near enough for LZ4 to see: within the last 32 KiB.
        let back = min(offset / piece, 512)
        let source = offset - piece * (1 + Int((word >> 32) % UInt64(back)))
        let earlier = UnsafeRawBufferPointer(rebasing: bytes[source..<source + piece])
        UnsafeMutableRawBufferPointer(rebasing: bytes[offset..<offset + piece])
          .copyMemory(from: earlier)
      } else {
        for index in 0..<piece / 8 {
          bytes.storeBytes(of: generator.next(), toByteOffset: offset + index * 8, as: UInt64.self)
        }
      }
      offset += piece
    }
    while offset < bytes.count {
      bytes[offset] = UInt8(truncatingIfNeeded: generator.next())
      offset += 1
    }
  }
}
