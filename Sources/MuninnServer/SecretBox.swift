import Crypto
import Foundation
import Glibc

/// Seals what only this server is to read, with a key in a file of the base directory:
/// AES-256-GCM, bound to the file system that it belongs to.
package struct SecretBox: Sendable {
  private static let byteCount = 32
  private let key: SymmetricKey
  private let path: String

  /// Reads the key file, or makes it where there is none.
  package init(path: String) throws(Refusal) {
    self.path = path
    if let bytes = try PrivateFile.content(path) {
      guard bytes.count == Self.byteCount else {
        throw Refusal(
          .badRequest,
          "The key file '\(path)' does not have \(Self.byteCount) bytes: put the right one back. A"
            + " new one cannot open the secured settings that are kept.")
      }
      try PrivateFile.make(path)
      key = SymmetricKey(data: bytes)
    } else {
      key = SymmetricKey(size: .bits256)
      try PrivateFile.replace(path, key.withUnsafeBytes { Array($0) })
    }
  }

  func seal(_ text: String, for owner: String) throws(Refusal) -> String {
    do {
      let sealed = try AES.GCM.seal(
        Data(text.utf8), using: key, authenticating: Data(owner.utf8))
      guard let combined = sealed.combined else { throw CryptoKitError.incorrectParameterSize }
      return combined.base64EncodedString()
    } catch {
      throw Refusal(.internalServerError, "The secured settings cannot be sealed: \(error).")
    }
  }

  func open(_ text: String, for owner: String) throws(Refusal) -> String {
    do {
      guard let combined = Data(base64Encoded: text) else {
        throw CryptoKitError.incorrectParameterSize
      }
      let opened = try AES.GCM.open(
        try AES.GCM.SealedBox(combined: combined), using: key, authenticating: Data(owner.utf8))
      return String(decoding: opened, as: UTF8.self)
    } catch {
      throw Refusal(
        .conflict,
        "The secured settings of this file system cannot be opened with '\(path)': put the key"
          + " file that they were sealed with back, or PUT the settings again with update=true.")
    }
  }
}

extension FileSystemDocument {
  private static let secured = "SecuredSettings"
  private static let sealedMember = "Sealed"

  /// The document with its secured settings sealed, as it is kept at rest.
  static func sealed(
    _ document: [String: JSONValue], with box: SecretBox, for owner: String
  ) throws -> [String: JSONValue] {
    var document = document
    for (name, value) in document where name.lowercased() == secured.lowercased() {
      guard let members = value.object, !members.isEmpty else { continue }
      let text = try box.seal(try value.text(), for: owner)
      document[name] = .object([sealedMember: .string(text)])
    }
    return document
  }

  /// The document with its secured settings as they were put. 409 where the key is another one.
  static func opened(
    _ document: [String: JSONValue], with box: SecretBox, for owner: String
  ) throws -> [String: JSONValue] {
    var document = document
    for (name, value) in document where name.lowercased() == secured.lowercased() {
      guard let members = value.object, case .string(let text)? = members[sealedMember],
        members.count == 1
      else { continue }
      document[name] = try JSONValue(text: try box.open(text, for: owner))
    }
    return document
  }

  /// Whether the document has secured settings, sealed or not.
  static func hasSecrets(_ document: [String: JSONValue]) -> Bool {
    document.contains {
      $0.key.lowercased() == secured.lowercased() && !($0.value.object ?? [:]).isEmpty
    }
  }

  /// Whether secured settings lie open, as earlier versions left them.
  static func isOpen(_ document: [String: JSONValue]) -> Bool {
    document.contains { name, value in
      guard name.lowercased() == secured.lowercased(), let members = value.object else {
        return false
      }
      return !members.isEmpty && !(members.count == 1 && members[sealedMember]?.string != nil)
    }
  }
}
