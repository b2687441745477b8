/// The numbers of JSON5: `1`, `-0.5`, `+.5`, `5.`, `1e9`, `0x1F`; not NaN and Infinity, which could
/// not be written again.
enum JSONNumber {
  static func value(_ text: String) -> JSONValue? {
    var digits = text.utf8[...]
    var isNegative = false
    if let sign = digits.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") {
      isNegative = sign == UInt8(ascii: "-")
      digits = digits.dropFirst()
    }
    let magnitude = String(Substring(digits))
    if magnitude.hasPrefix("0x") || magnitude.hasPrefix("0X") {
      guard let value = UInt64(magnitude.dropFirst(2), radix: 16) else { return nil }
      return whole(value, isNegative: isNegative)
    }
    guard isDecimal(magnitude.utf8) else { return nil }
    if let value = UInt64(magnitude), let whole = whole(value, isNegative: isNegative) {
      return whole
    }
    // A long number must not overflow into infinity.
    guard let value = Double(magnitude), value.isFinite else { return nil }
    return .number(isNegative ? -value : value)
  }

  private static func whole(_ magnitude: UInt64, isNegative: Bool) -> JSONValue? {
    if isNegative {
      if magnitude == UInt64(Int64.max) + 1 { return .integer(.min) }
      return Int64(exactly: magnitude).map { .integer(-$0) }
    }
    return .count(magnitude)
  }

  /// Digits without a leading zero, a fraction and an exponent; one of the first two may be empty.
  private static func isDecimal(_ text: String.UTF8View) -> Bool {
    var rest = Array(text)[...]
    func takeDigits() -> Int {
      let digits = rest.prefix { (0x30...0x39).contains($0) }.count
      rest = rest.dropFirst(digits)
      return digits
    }
    let startsWithZero = rest.first == UInt8(ascii: "0")
    var digits = takeDigits()
    if startsWithZero, digits > 1 { return false }
    if rest.first == UInt8(ascii: ".") {
      rest = rest.dropFirst()
      digits += takeDigits()
    }
    guard digits > 0 else { return false }
    if rest.first == UInt8(ascii: "e") || rest.first == UInt8(ascii: "E") {
      rest = rest.dropFirst()
      if rest.first == UInt8(ascii: "+") || rest.first == UInt8(ascii: "-") {
        rest = rest.dropFirst()
      }
      guard takeDigits() > 0 else { return false }
    }
    return rest.isEmpty
  }
}
