import FoundationEssentials

/// Any JSON value. Objects are unordered; what is written has its names sorted.
package enum JSONValue: Sendable, Equatable {
  case null
  case bool(Bool)
  case integer(Int64)
  /// Whole numbers past `Int64`.
  case unsigned(UInt64)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([String: JSONValue])
}

extension JSONValue: Encodable {
  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .null: try container.encodeNil()
    case .bool(let value): try container.encode(value)
    case .integer(let value): try container.encode(value)
    case .unsigned(let value): try container.encode(value)
    case .number(let value): try container.encode(value)
    case .string(let value): try container.encode(value)
    case .array(let values): try container.encode(values)
    case .object(let members): try container.encode(members)
    }
  }
}

extension JSONValue {
  /// The value as JSON text in UTF-8.
  package func bytes() throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return Array(try encoder.encode(self))
  }

  package func text() throws -> String {
    String(decoding: try bytes(), as: UTF8.self)
  }

  /// Reads JSON that this server wrote itself.
  package init(text: String) throws {
    self = try JSONReader.value(in: Array(text.utf8))
  }

  package var object: [String: JSONValue]? {
    if case .object(let members) = self { members } else { nil }
  }

  package var string: String? {
    if case .string(let value) = self { value } else { nil }
  }
}

extension JSONValue {
  static func text(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }
  static func count(_ value: UInt64) -> JSONValue {
    Int64(exactly: value).map { .integer($0) } ?? .unsigned(value)
  }
  static func count(_ value: UInt64?) -> JSONValue { value.map { .count($0) } ?? .null }
  static func time(_ value: Timestamp?) -> JSONValue { .text(value?.text) }
  static func strings(_ values: [String]) -> JSONValue { .array(values.map { .string($0) }) }
}
