/// Messages that differ and have the same XXH3-128 under a secret that their maker knows: what an
/// attacker plants who can read a repository that is not encrypted.
///
/// Of an input of more than 240 bytes XXH3 takes 8 words of 64 bits from each stripe of 64 bytes. It
/// adds each word to the accumulator of its neighbour, and the product of the two halves of (word
/// xor secret) to its own. A word whose lower half equals the secret's makes the product zero
/// whatever its upper half is; so if two such words of one lane have upper halves with a constant
/// sum, nothing that the hash keeps depends on how they share it: 2^32 messages collide, in the
/// whole state and not in the result alone. (Own construction, from the published algorithm.)
package struct CollisionFamily: Sendable {
  /// Bytes of every member: at least 256, so that the last stripe does not overlap the first two.
  package let byteCount: Int
  private let secret: [UInt8]
  private let filler: [UInt8]

  package init(secret: [UInt8], byteCount: Int, seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    self.secret = secret
    self.byteCount = max(byteCount, 256)
    filler = generator.bytes(self.byteCount)
  }

  /// Members of different numbers differ.
  package func member(_ number: UInt32) -> [UInt8] {
    var bytes = filler
    // Lane 0 of the first two stripes; the secret moves on by 8 bytes a stripe.
    set(&bytes, stripe: 0, upper: 0x1234_5678 &+ number)
    set(&bytes, stripe: 1, upper: 0x9ABC_DEF0 &- number)
    return bytes
  }

  private func set(_ bytes: inout [UInt8], stripe: Int, upper: UInt32) {
    for index in 0..<4 {
      bytes[stripe * 64 + index] = secret[stripe * 8 + index]
      bytes[stripe * 64 + 4 + index] = UInt8(truncatingIfNeeded: upper >> UInt32(8 * index))
    }
  }
}
