import Crypto
import FoundationEssentials

/// A key that lets a client in. Only its hash is kept: a key is 256 random bits, so nothing slower
/// than SHA-256 is called for.
package struct APIKey: Sendable, Codable, Equatable {
  package enum Access: String, Sendable, Codable, CaseIterable {
    /// Everything.
    case admin
    /// GET and HEAD, as long as they change nothing.
    case read
  }

  package let name: String
  package let access: Access
  /// SHA-256 of the key's text, lower-case hexadecimal.
  package let hash: String
  /// When it was made, ISO 8601 in UTC.
  package let created: String

  private static let prefix = "muninn_"

  /// A new key, and its text, which nobody can ask for again.
  package static func make(name: String, access: Access) -> (key: APIKey, text: String) {
    let secret = SymmetricKey(size: .bits256).withUnsafeBytes { Data($0) }
    let digits = secret.base64EncodedString().map { digit -> Character in
      switch digit {
      case "+": "-"
      case "/": "_"
      default: digit
      }
    }
    let text = prefix + String(digits).split(separator: "=")[0]
    let key = APIKey(
      name: name, access: access, hash: hexadecimal(SHA256.hash(data: Data(text.utf8))),
      created: Timestamp.now.text)
    return (key, text)
  }

  static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }.joined()
  }
}

/// The keys of a server, to hold a client's against.
package struct KeyRing: Sendable {
  private let keys: [(key: APIKey, hash: [UInt8])]

  package init(_ keys: [APIKey]) {
    self.keys = keys.map { ($0, Array($0.hash.utf8)) }
  }

  package var isEmpty: Bool { keys.isEmpty }

  /// The key whose text `text` is. Every kept hash is compared to its end, whichever fits, so that
  /// the time that it takes says nothing about any of them.
  package func key(_ text: String) -> APIKey? {
    let wanted = Array(APIKey.hexadecimal(SHA256.hash(data: Data(text.utf8))).utf8)
    var found: APIKey?
    for (key, hash) in keys {
      var difference = UInt8(hash.count == wanted.count ? 0 : 1)
      for index in wanted.indices where index < hash.count {
        difference |= hash[index] ^ wanted[index]
      }
      if difference == 0 { found = key }
    }
    return found
  }
}

/// The file that keys are kept in: JSON, readable by its owner alone.
package struct KeyFile: Sendable {
  package let path: String

  package init(path: String) { self.path = path }

  /// The keys; nil where there is no such file. Throws 400 for one that cannot be read.
  package func keys() throws(Refusal) -> [APIKey]? {
    guard let text = try PrivateFile.content(path) else { return nil }
    do {
      return try JSONDecoder().decode([APIKey].self, from: Data(text))
    } catch {
      throw Refusal(
        .badRequest,
        "The key file '\(path)' is not what muninn serve key add writes; restore or remove it.")
    }
  }

  /// Adds a key. 409 where the name is taken.
  package func add(_ key: APIKey) throws(Refusal) {
    var keys = try keys() ?? []
    if keys.contains(where: { $0.name == key.name }) {
      throw Refusal(
        .conflict, "A key named '\(key.name)' exists; remove it first, or choose another name.")
    }
    keys.append(key)
    try write(keys)
  }

  /// Removes a key. 404 where there is none of that name. An empty file stays: without one a server
  /// on loopback would be open.
  package func remove(_ name: String) throws(Refusal) {
    var keys = try keys() ?? []
    let count = keys.count
    keys.removeAll { $0.name == name }
    guard keys.count < count else {
      throw Refusal(.notFound, "There is no key named '\(name)' in '\(path)'.")
    }
    try write(keys)
  }

  private func write(_ keys: [APIKey]) throws(Refusal) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    let bytes: Data
    do {
      bytes = try encoder.encode(keys)
    } catch {
      throw Refusal(.internalServerError, "The keys cannot be written as JSON: \(error).")
    }
    try PrivateFile.replace(path, Array(bytes) + [0x0A])
  }
}
