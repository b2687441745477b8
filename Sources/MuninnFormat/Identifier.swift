/// 128 bits that name something: a repository, snapshot, container, segment or session.
///
/// Written as 32 hexadecimal digits, `high` first. Containers and segments carry their session in
/// `high`.
package struct Identifier: Hashable, Comparable, Sendable, CustomStringConvertible {
  package let high: UInt64
  package let low: UInt64

  package init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  package static let zero = Identifier(high: 0, low: 0)

  /// From 32 hexadecimal digits; nil for anything else.
  package init?(hex: some StringProtocol) {
    let digits = hex.utf8
    guard digits.count == 32 else { return nil }
    let middle = digits.index(digits.startIndex, offsetBy: 16)
    guard let high = Identifier.word(digits[..<middle]),
      let low = Identifier.word(digits[middle...])
    else { return nil }
    self.init(high: high, low: low)
  }

  private static func word(_ digits: some Sequence<UInt8>) -> UInt64? {
    var value: UInt64 = 0
    for digit in digits {
      switch digit {
      case 0x30...0x39: value = value << 4 | UInt64(digit - 0x30)
      case 0x61...0x66: value = value << 4 | UInt64(digit - 0x61 + 10)
      default: return nil
      }
    }
    return value
  }

  package static func < (left: Identifier, right: Identifier) -> Bool {
    left.high != right.high ? left.high < right.high : left.low < right.low
  }

  package var description: String { hexadecimal(high) + hexadecimal(low) }
}

/// Sixteen lower-case hexadecimal digits.
package func hexadecimal(_ value: UInt64) -> String {
  let digits = String(value, radix: 16)
  return String(repeating: "0", count: 16 - digits.count) + digits
}
