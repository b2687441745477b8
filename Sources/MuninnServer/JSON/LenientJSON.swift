import FoundationEssentials

/// Reads request bodies as the wire rules have them: single quotes, unquoted names, comments,
/// trailing commas, and backslashes that begin no JSON escape, as they are left over where a
/// Windows path went through a shell.
package enum LenientJSON {
  /// The object that `body` holds. Throws 400 naming what could not be read.
  package static func object(in body: [UInt8]) throws(Refusal) -> RequestObject {
    guard body.contains(where: { !isSpace($0) }) else {
      throw Refusal(.badRequest, "The request has no body; a JSON object is expected.")
    }
    let value: JSONValue
    switch parse(repairingBackslashes(in: body, keepingQuoteEscapes: false)) {
    case .success(let parsed): value = parsed
    case .failure(let first):
      // `'it\'s'` is an escaped quote, `'~\backups\'` a closed string: the second is tried first.
      switch parse(repairingBackslashes(in: body, keepingQuoteEscapes: true)) {
      case .success(let parsed): value = parsed
      case .failure: throw Refusal(.badRequest, "The body is not JSON: \(reason(first))")
      }
    }
    guard let members = value.object else {
      throw Refusal(.badRequest, "The body is JSON, but not an object: {…} is expected.")
    }
    return RequestObject(members)
  }

  /// Writes each backslash that begins no JSON escape twice. With `keepingQuoteEscapes`, `\'`
  /// counts as an escape.
  package static func repairingBackslashes(
    in body: [UInt8], keepingQuoteEscapes: Bool
  ) -> [UInt8] {
    let backslash = UInt8(ascii: "\\")
    guard body.contains(backslash) else { return body }
    var repaired: [UInt8] = []
    repaired.reserveCapacity(body.count + 16)
    var index = 0
    while index < body.count {
      let byte = body[index]
      repaired.append(byte)
      index += 1
      guard byte == backslash else { continue }
      let length = escapeLength(after: index, in: body, keepingQuoteEscapes: keepingQuoteEscapes)
      if length == 0 {
        repaired.append(backslash)
      } else {
        repaired.append(contentsOf: body[index..<index + length])
        index += length
      }
    }
    return repaired
  }

  /// Bytes of the escape that follows a backslash; 0 if none does.
  private static func escapeLength(
    after index: Int, in body: [UInt8], keepingQuoteEscapes: Bool
  ) -> Int {
    guard index < body.count else { return 0 }
    switch body[index] {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"),
      UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
      return 1
    case UInt8(ascii: "'"):
      return keepingQuoteEscapes ? 1 : 0
    case UInt8(ascii: "u"):
      let digits = body[(index + 1)...].prefix(4)
      return digits.count == 4 && digits.allSatisfy(isHexadecimal) ? 5 : 0
    default:
      return 0
    }
  }

  private static func parse(_ body: [UInt8]) -> Result<JSONValue, any Error> {
    let decoder = JSONDecoder()
    decoder.allowsJSON5 = true
    return Result { try decoder.decode(JSONValue.self, from: Data(body)) }
  }

  private static func reason(_ error: any Error) -> String {
    guard case DecodingError.dataCorrupted(let context) = error else {
      return "it could not be read."
    }
    // Foundation keeps the line and column in the error below its own.
    if let cause = context.underlyingError { return String(describing: cause) }
    return context.debugDescription
  }

  private static func isSpace(_ byte: UInt8) -> Bool {
    byte == 0x20 || (0x09...0x0D).contains(byte)
  }

  private static func isHexadecimal(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
      UInt8(ascii: "A")...UInt8(ascii: "F"):
      true
    default: false
    }
  }
}
