/// A registered file system.
package struct FileSystemRecord: Sendable, Equatable {
  /// 32 hexadecimal digits: the identity that its snapshots carry.
  package let id: String
  package let name: String
  /// The settings document, JSON text, as it was last put.
  package var document: String
  /// Absolute paths of the tree, its index and its journal.
  package var data: String
  package var indexes: String
  package var journals: String
  /// Whether the server made the data directory: only then a hard delete removes it.
  package var ownsData: Bool
  /// The same of index and journal, where they lie elsewhere than below the server's state.
  package var ownsIndexes = false
  package var ownsJournals = false
  package var counts: Counts?

  /// What the tree held when it was last backed up or restored.
  package struct Counts: Sendable, Equatable, Codable {
    package var files: UInt64
    package var bytes: UInt64
    package var ticks: Int64
  }

  /// Names are compared without regard to case.
  package var key: String { Self.key(name) }

  package static func key(_ name: String) -> String { name.lowercased() }

  /// A new identity: 128 random bits.
  package static func freshID() -> String {
    (0..<2).map { _ in
      let text = String(UInt64.random(in: .min ... .max), radix: 16)
      return String(repeating: "0", count: 16 - text.count) + text
    }.joined()
  }

  /// Letters, digits, `_`, `-` and `.`, at most 128 of them, not beginning with a dot.
  package static func check(name: String) throws(Refusal) {
    let isPlain = name.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"),
        UInt8(ascii: "."):
        true
      default: false
      }
    }
    if ["restore", "verify", "prune", "defrag"].contains(key(name)) {
      throw Refusal(
        .badRequest, "'\(name)' is reserved: /admin/fs/\(name) is an operation; choose another.")
    }
    guard isPlain, (1...128).contains(name.utf8.count), name.first != "." else {
      throw Refusal(
        .badRequest,
        "'\(name.prefix(150))' is no file system name: use 1 to 128 of the letters a to z, digits,"
          + " _, - and ., not beginning with a dot.")
    }
  }
}
