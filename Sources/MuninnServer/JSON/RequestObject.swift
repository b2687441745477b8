/// The members of a request's JSON object. A name matches exactly first, then ignoring case;
/// unknown ones are ignored, and null is the same as absent.
package struct RequestObject: Sendable {
  package let members: [String: JSONValue]

  package init(_ members: [String: JSONValue]) { self.members = members }

  package subscript(name: String) -> JSONValue? {
    let value: JSONValue?
    if let exact = members[name] {
      value = exact
    } else {
      let wanted = name.lowercased()
      value = members.keys.filter { $0.lowercased() == wanted }.min().flatMap { members[$0] }
    }
    return value == .null ? nil : value
  }

  package func string(_ name: String) throws(Refusal) -> String? {
    guard let value = self[name] else { return nil }
    guard case .string(let text) = value else { throw mismatch(name, "a string") }
    return text
  }

  package func bool(_ name: String) throws(Refusal) -> Bool? {
    switch self[name] {
    case nil: return nil
    case .bool(let value): return value
    case .string(let text): return text.lowercased() == "true"
    default: throw mismatch(name, "true or false")
    }
  }

  /// A number of seconds that is not negative.
  package func seconds(_ name: String) throws(Refusal) -> Double? {
    let value: Double?
    switch self[name] {
    case nil: return nil
    case .integer(let whole): value = Double(whole)
    case .unsigned(let whole): value = Double(whole)
    case .number(let number): value = number
    case .string(let text): value = Double(text)
    default: value = nil
    }
    guard let value, value >= 0, value.isFinite else {
      throw mismatch(name, "a number of seconds, 0 or more")
    }
    return value
  }

  package func strings(_ name: String) throws(Refusal) -> [String] {
    guard let value = self[name] else { return [] }
    guard case .array(let elements) = value else { throw mismatch(name, "a list of strings") }
    var texts: [String] = []
    for element in elements {
      guard case .string(let text) = element else { throw mismatch(name, "a list of strings") }
      texts.append(text)
    }
    return texts
  }

  package func object(_ name: String) throws(Refusal) -> [String: JSONValue]? {
    guard let value = self[name] else { return nil }
    guard let members = value.object else { throw mismatch(name, "a JSON object") }
    return members
  }

  private func mismatch(_ name: String, _ expected: String) -> Refusal {
    Refusal(.badRequest, "\(name) must be \(expected).")
  }
}
