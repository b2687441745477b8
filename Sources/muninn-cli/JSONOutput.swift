import FoundationEssentials

/// What `--json` prints: one JSON object on standard output, nothing else there.
enum JSONOutput {
  static func print(_ value: some Encodable) throws {
    Terminal.print(try text(value))
  }

  static func text(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self)
  }
}
