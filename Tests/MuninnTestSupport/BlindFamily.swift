package import MuninnFormat

/// Messages that were fixed before any secret was drawn, among which two collide under every one:
/// what an attacker plants who can read nothing.
///
/// In one lane of XXH3's first block of 1,024 bytes, bits 30 and 31 of the 16 words vary, and their
/// sum does not. The lane's neighbour adds the words up, so it notices nothing. The lane itself adds
/// products (lower half of word xor secret) * (upper half), of which only a multiple of 2^30 varies:
/// of 64 bits 34 are left to tell the messages apart, whatever the secret is, and the birthday
/// paradox finds two alike among some 2^17. (Own construction, from the published algorithm.)
package struct BlindFamily: Sendable {
  package let byteCount: Int
  private let filler: [UInt8]
  private static let stripes = 16

  /// At least 1,088 bytes, so that the last stripe lies behind the block.
  package init(byteCount: Int, seed: UInt64) {
    self.byteCount = max(byteCount, 1088)
    var generator = SeededGenerator(seed: seed)
    var bytes = generator.bytes(self.byteCount)
    for stripe in 0..<Self.stripes { bytes[stripe * 64 + 3] &= 0x3F }
    filler = bytes
  }

  /// The two bits of each word: 16 numbers from 0 to 3 whose sum is 24.
  private static func digits(_ number: UInt32) -> [UInt8] {
    var generator = SeededGenerator(seed: UInt64(number) << 20 | 0xB11D)
    var digits = [UInt8](repeating: 0, count: stripes)
    while true {
      var bits = generator.next()
      var sum = 0
      for index in 0..<(stripes - 1) {
        digits[index] = UInt8(bits & 3)
        sum += Int(bits & 3)
        bits >>= 2
      }
      guard (0...3).contains(24 - sum) else { continue }
      digits[stripes - 1] = UInt8(24 - sum)
      return digits
    }
  }

  /// Members of different numbers differ, but for a few.
  package func member(_ number: UInt32) -> [UInt8] {
    var bytes = filler
    for (stripe, digit) in Self.digits(number).enumerated() {
      bytes[stripe * 64 + 3] |= digit << 6
    }
    return bytes
  }

  /// Two members that have one fingerprint under a secret. Looked for in what the secret makes of
  /// the products, which is quicker than to hash them all; nil should there be none among 2^22.
  package func collision(under secret: [UInt8]) -> (first: UInt32, second: UInt32)? {
    let words = (0..<Self.stripes).map { stripe in
      (
        lower: word(filler, stripe * 64) ^ word(secret, stripe * 8),
        upper: UInt64(word(filler, stripe * 64 + 4) ^ word(secret, stripe * 8 + 4))
      )
    }
    var seen: [UInt64: UInt32] = [:]
    for number in 0..<(1 << 22 as UInt32) {
      let digits = Self.digits(number)
      var sum: UInt64 = 0
      for (index, word) in words.enumerated() {
        sum &+= UInt64(UInt32(digits[index]) ^ word.lower >> 30) &* word.upper
      }
      let key = sum & ((1 << 34) - 1)
      if let other = seen[key], Self.digits(other) != digits { return (other, number) }
      seen[key] = number
    }
    return nil
  }

  private func word(_ bytes: [UInt8], _ at: Int) -> UInt32 {
    (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << UInt32(8 * $1) }
  }
}

/// Two messages with one fingerprint and one tag, made by somebody who holds the secrets.
///
/// The upper halves of the words that `CollisionFamily` frees may vary as long as two of a lane sum
/// up to the same: as one has a bit where the other has not. So 256 bits are free, and GMAC is linear
/// in each: 129 of them have a combination that the tag does not notice.
package struct ForgedPair: Sendable {
  package let first: [UInt8]
  package let second: [UInt8]

  package init?(
    secret: [UInt8], identifying: Identifying, byteCount: Int, seed: UInt64
  ) {
    var generator = SeededGenerator(seed: seed)
    var base = generator.bytes(max(byteCount, 256))
    for lane in 0..<8 {
      for stripe in 0..<2 {
        for index in 0..<4 {
          let at = stripe * 64 + lane * 8 + index
          base[at] = secret[stripe * 8 + lane * 8 + index]
          base[at + 4] = stripe == 0 ? 0 : 0xFF
        }
      }
    }
    func toggled(_ bytes: [UInt8], _ bit: Int) -> [UInt8] {
      var bytes = bytes
      let at = bit / 32 * 8 + 4 + bit % 32 / 8
      bytes[at] ^= 1 << UInt8(bit % 8)
      bytes[64 + at] ^= 1 << UInt8(bit % 8)
      return bytes
    }
    func tag(_ bytes: [UInt8]) -> Pair128 { bytes.withUnsafeBytes { identifying.tag(of: $0) } }
    let unchanged = tag(base)
    // Gauss: each row's leading bit is in no row after it.
    var rows: [(low: UInt64, high: UInt64, bits: Set<Int>)] = []
    for bit in 0..<256 {
      let changed = tag(toggled(base, bit))
      var row = (
        low: changed.low ^ unchanged.low, high: changed.high ^ unchanged.high, bits: Set([bit])
      )
      for known in rows {
        let leads =
          known.low != 0
          ? row.low >> UInt64(known.low.trailingZeroBitCount) & 1 == 1
          : row.high >> UInt64(known.high.trailingZeroBitCount) & 1 == 1
        guard leads else { continue }
        row = (
          row.low ^ known.low, row.high ^ known.high, row.bits.symmetricDifference(known.bits)
        )
      }
      if row.low == 0, row.high == 0 {
        first = base
        second = row.bits.reduce(base) { toggled($0, $1) }
        return
      }
      rows.append(row)
    }
    return nil
  }
}
