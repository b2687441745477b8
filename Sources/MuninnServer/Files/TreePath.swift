import Foundation
import Muninn

/// The path of a file below a file system's data directory. Names are bytes, and in a URL they are
/// `PathText`, percent-encoded: bytes that are not UTF-8 are written `\xNN`, a backslash is two.
struct TreePath: Sendable, Equatable {
  /// Not empty, and none of the names is empty, `.`, `..`, reserved, or has a slash or NUL in it.
  let names: [[UInt8]]

  /// Names that begin so are the server's own; they are never a client's.
  static let reservedPrefix = ".muninn-"
  /// Files that are not complete, where they must have a name. Backups leave them out.
  static let uploadPrefix = reservedPrefix + "upload-"

  private static let nameLimit = 255
  private static let pathLimit = 4000

  /// Reads what follows `/files/` in a URL. Throws 400 for what cannot name a file.
  init(encoded text: some StringProtocol) throws(Refusal) {
    var names: [[UInt8]] = []
    var byteCount = 0
    for part in text.split(separator: "/", omittingEmptySubsequences: false) {
      guard let decoded = part.removingPercentEncoding else {
        throw Self.refused(text, "is not percent-encoded UTF-8")
      }
      let name = PathText.decode(decoded)
      if name.isEmpty { throw Self.refused(text, "has an empty name in it") }
      if name == [0x2E] || name == [0x2E, 0x2E] { throw Self.refused(text, "has . or .. in it") }
      if name.contains(0) || name.contains(0x2F) {
        throw Self.refused(text, "has a slash or a NUL byte within a name")
      }
      if name.starts(with: Self.reservedPrefix.utf8) {
        throw Self.refused(text, "has a name that begins with \(Self.reservedPrefix): reserved")
      }
      byteCount += name.count + 1
      guard name.count <= Self.nameLimit, byteCount <= Self.pathLimit else {
        throw Self.refused(text, "is longer than this machine allows")
      }
      names.append(name)
    }
    self.names = names
  }

  init(names: [[UInt8]]) { self.names = names }

  var parent: ArraySlice<[UInt8]> { names.dropLast() }
  var name: [UInt8] { names.last ?? [] }

  /// `/a/b.txt`, in the encoding of names.
  var text: String { Self.text(names[...]) }

  static func text(_ names: ArraySlice<[UInt8]>) -> String {
    PathText.encode(bytes(names))
  }

  /// `/a/b.txt`; nothing for the data directory itself.
  static func bytes(_ names: ArraySlice<[UInt8]>) -> [UInt8] {
    names.reduce(into: []) { $0 += [0x2F] + $1 }
  }

  private static func refused(_ text: some StringProtocol, _ what: String) -> Refusal {
    Refusal(.badRequest, "The file path '\(text.prefix(200))' \(what).")
  }
}
