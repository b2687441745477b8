/// Reads JSON5 from bytes, in one pass and with bounded recursion.
///
/// Beside JSON it takes single quotes, unquoted names, comments, trailing commas, hexadecimal
/// numbers, and signs and points at either end of a number. It differs from JSON5 in one way: a
/// backslash that begins no escape of JSON stands for itself. Foundation's JSON5 would drop it, and
/// takes minutes to tell the kinds of values in a hostile body apart.
struct JSONReader {
  /// What is wrong, and where.
  struct Failure: Error, CustomStringConvertible {
    let reason: String
    let line: Int
    let column: Int

    var description: String { "\(reason) at line \(line), column \(column)" }
  }

  private let bytes: [UInt8]
  private var index = 0
  private var depth = 0
  /// Whether `\'` in a text is an escaped quote rather than a backslash and the closing quote.
  private let takesQuoteEscapes: Bool

  private static let depthLimit = 64

  /// Reads the one value that `bytes` hold.
  static func value(
    in bytes: [UInt8], takingQuoteEscapes: Bool = true
  ) throws(Failure) -> JSONValue {
    var reader = JSONReader(bytes: bytes, takesQuoteEscapes: takingQuoteEscapes)
    guard String(validating: bytes, as: UTF8.self) != nil else {
      throw reader.failure("the text is not UTF-8")
    }
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { reader.index = 3 }
    let value = try reader.value()
    try reader.skipSpace()
    guard reader.index == bytes.count else { throw reader.failure("more after the end") }
    return value
  }

  private init(bytes: [UInt8], takesQuoteEscapes: Bool) {
    self.bytes = bytes
    self.takesQuoteEscapes = takesQuoteEscapes
  }
}

// MARK: - Structure

extension JSONReader {
  private mutating func value() throws(Failure) -> JSONValue {
    try skipSpace()
    switch peek {
    case UInt8(ascii: "{"): return try nested { reader throws(Failure) in try reader.object() }
    case UInt8(ascii: "["): return try nested { reader throws(Failure) in try reader.array() }
    case UInt8(ascii: "\""), UInt8(ascii: "'"): return .string(try string())
    case nil: throw failure("a value is missing")
    default: return try word()
    }
  }

  private mutating func nested(
    _ read: (inout JSONReader) throws(Failure) -> JSONValue
  ) throws(Failure) -> JSONValue {
    guard depth < Self.depthLimit else {
      throw failure("more than \(Self.depthLimit) levels")
    }
    depth += 1
    defer { depth -= 1 }
    index += 1
    return try read(&self)
  }

  private mutating func object() throws(Failure) -> JSONValue {
    var members: [String: JSONValue] = [:]
    while true {
      try skipSpace()
      if take("}") { return .object(members) }
      let isQuoted = peek == UInt8(ascii: "\"") || peek == UInt8(ascii: "'")
      let name = isQuoted ? try string() : try unquotedName()
      try skipSpace()
      guard take(":") else { throw failure("a colon is missing") }
      members[name] = try value()
      try skipSpace()
      if take(",") { continue }
      guard take("}") else { throw failure("a comma or a closing brace is missing") }
      return .object(members)
    }
  }

  private mutating func array() throws(Failure) -> JSONValue {
    var elements: [JSONValue] = []
    while true {
      try skipSpace()
      if take("]") { return .array(elements) }
      elements.append(try value())
      try skipSpace()
      if take(",") { continue }
      guard take("]") else { throw failure("a comma or a closing bracket is missing") }
      return .array(elements)
    }
  }

  private mutating func unquotedName() throws(Failure) -> String {
    let name = takeWord()
    guard let first = name.utf8.first, !(0x30...0x39).contains(first) else {
      throw failure("a name is missing")
    }
    return name
  }

  /// `true`, `false`, `null` or a number.
  private mutating func word() throws(Failure) -> JSONValue {
    let start = index
    switch takeWord(andAlso: [UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: ".")]) {
    case "true": return .bool(true)
    case "false": return .bool(false)
    case "null": return .null
    case let text:
      if let number = JSONNumber.value(text) { return number }
      index = start
      throw failure("neither a value nor a finite number")
    }
  }
}

// MARK: - Texts

extension JSONReader {
  private mutating func string() throws(Failure) -> String {
    guard let quote = peek else { throw failure("a text is missing") }
    index += 1
    var text: [UInt8] = []
    while let byte = peek {
      index += 1
      switch byte {
      case quote: return String(decoding: text, as: UTF8.self)
      case UInt8(ascii: "\\"): try escape(into: &text)
      case 0x0A, 0x0D: throw failure("a text goes over the end of its line")
      default: text.append(byte)
      }
    }
    throw failure("a text has no end")
  }

  /// What follows a backslash.
  private mutating func escape(into text: inout [UInt8]) throws(Failure) {
    let escapes: [UInt8: UInt8] = [
      UInt8(ascii: "\""): 0x22, UInt8(ascii: "\\"): 0x5C, UInt8(ascii: "/"): 0x2F,
      UInt8(ascii: "b"): 0x08, UInt8(ascii: "f"): 0x0C, UInt8(ascii: "n"): 0x0A,
      UInt8(ascii: "r"): 0x0D, UInt8(ascii: "t"): 0x09,
    ]
    if let byte = peek, let plain = escapes[byte] {
      index += 1
      text.append(plain)
    } else if takesQuoteEscapes, take("'") {
      text.append(UInt8(ascii: "'"))
    } else if let unit = takeUnit() {
      text.append(contentsOf: String(try scalar(unit)).utf8)
    } else {
      text.append(UInt8(ascii: "\\"))
    }
  }

  /// The four digits of `\uXXXX`, where they follow.
  private mutating func takeUnit() -> UInt16? {
    guard peek == UInt8(ascii: "u"), index + 4 < bytes.count else { return nil }
    let digits = bytes[(index + 1)...(index + 4)]
    guard digits.allSatisfy({ Character(UnicodeScalar($0)).isHexDigit }),
      let unit = UInt16(String(decoding: digits, as: UTF8.self), radix: 16)
    else { return nil }
    index += 5
    return unit
  }

  private mutating func scalar(_ unit: UInt16) throws(Failure) -> Unicode.Scalar {
    if let scalar = Unicode.Scalar(unit) { return scalar }
    if UTF16.isLeadSurrogate(unit), take("\\"), let next = takeUnit(),
      UTF16.isTrailSurrogate(next),
      let scalar = Unicode.Scalar(
        0x10000 + (UInt32(unit) - 0xD800) << 10 + UInt32(next) - 0xDC00)
    {
      return scalar
    }
    throw failure("half of a surrogate pair")
  }
}

// MARK: - Bytes

extension JSONReader {
  private var peek: UInt8? { index < bytes.count ? bytes[index] : nil }

  private mutating func take(_ character: UnicodeScalar) -> Bool {
    guard let byte = peek, UInt32(byte) == character.value else { return false }
    index += 1
    return true
  }

  /// Letters, digits, `_`, `$`, everything outside of ASCII, and `others`.
  private mutating func takeWord(andAlso others: [UInt8] = []) -> String {
    let start = index
    while let byte = peek {
      let isPart =
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
        || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "$") || byte >= 0x80
        || others.contains(byte)
      guard isPart else { break }
      index += 1
    }
    return String(decoding: bytes[start..<index], as: UTF8.self)
  }

  private mutating func skipSpace() throws(Failure) {
    while let byte = peek {
      switch byte {
      case 0x20, 0x09...0x0D: index += 1
      case UInt8(ascii: "/"): try skipComment()
      default: return
      }
    }
  }

  private mutating func skipComment() throws(Failure) {
    switch index + 1 < bytes.count ? bytes[index + 1] : 0 {
    case UInt8(ascii: "/"):
      while let byte = peek, byte != 0x0A, byte != 0x0D { index += 1 }
    case UInt8(ascii: "*"):
      let start = index
      index += 2
      while index + 1 < bytes.count {
        if bytes[index] == UInt8(ascii: "*"), bytes[index + 1] == UInt8(ascii: "/") {
          index += 2
          return
        }
        index += 1
      }
      index = start
      throw failure("a comment has no end")
    default: throw failure("a lone slash")
    }
  }

  private func failure(_ reason: String) -> Failure {
    let read = bytes.prefix(index)
    let lineStart = read.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
    return Failure(
      reason: reason, line: read.count { $0 == 0x0A } + 1, column: index - lineStart + 1)
  }
}
