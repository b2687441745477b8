import Glibc
import Yams

/// Everything that can be said about a server, on the command line or in its configuration file:
/// the keys of the file are the names of the options. What is not said has the value in its
/// comment.
package struct ServerSettings: Sendable, Codable, Equatable {
  /// `$XDG_DATA_HOME/muninn`.
  package var base: String?
  /// `127.0.0.1:8080`.
  package var listen: String?
  /// The base directory; on loopback without keys anywhere.
  package var allowRoot: [String]?
  /// `BASE/api-keys.json`, where that exists.
  package var apiKeys: String?
  package var tlsCertificate: String?
  package var tlsKey: String?
  package var tlsClientCA: String?
  /// `BASE/audit.log`.
  package var auditLog: String?
  /// `info`.
  package var logLevel: String?
  /// 16.
  package var maxOperations: Int?
  /// 0 to 19, 10.
  package var operationNice: Int?
  /// 1024.
  package var maxConnections: Int?
  /// Seconds, 60.
  package var idleTimeout: Int?
  /// `LOCATION=FILE` each.
  package var passphraseFile: [String]?
  /// `LOCATION=FILE` each.
  package var keyFile: [String]?
  /// `NAME=FILE` each.
  package var fileSystemPassphraseFile: [String]?
  /// `NAME=FILE` each.
  package var fileSystemKeyFile: [String]?

  package enum CodingKeys: String, CodingKey, CaseIterable, Sendable {
    case base, listen
    case allowRoot = "allow-root"
    case apiKeys = "api-keys"
    case tlsCertificate = "tls-certificate"
    case tlsKey = "tls-key"
    case tlsClientCA = "tls-client-ca"
    case auditLog = "audit-log"
    case logLevel = "log-level"
    case maxOperations = "max-operations"
    case operationNice = "operation-nice"
    case maxConnections = "max-connections"
    case idleTimeout = "idle-timeout"
    case passphraseFile = "passphrase-file"
    case keyFile = "key-file"
    case fileSystemPassphraseFile = "fs-passphrase-file"
    case fileSystemKeyFile = "fs-key-file"
  }

  package init() {}

  /// Reads a configuration file in YAML. A key that is not known is refused: a rule that was
  /// mistyped must not be one that is not there.
  package init(file path: String) throws(Refusal) {
    func refused(_ what: String) -> Refusal {
      Refusal(.badRequest, "The configuration file '\(path)' \(what)")
    }
    guard let bytes = try PrivateFile.content(path) else { throw refused("does not exist.") }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw refused("is not UTF-8.")
    }
    do {
      let node = try Yams.compose(yaml: text)
      guard let node else { return }
      guard let mapping = node.mapping else {
        throw refused("is not a list of keys and values.")
      }
      for key in mapping.keys where CodingKeys(rawValue: key.string ?? "") == nil {
        let known = CodingKeys.allCases.map(\.rawValue).joined(separator: ", ")
        throw refused("has the key '\(key.string ?? "?")', which is none of: \(known).")
      }
      self = try YAMLDecoder().decode(ServerSettings.self, from: text)
    } catch let refusal as Refusal {
      throw refusal
    } catch {
      throw refused("cannot be read: \(error)")
    }
  }

  /// These settings, and where they say nothing those of `other`.
  package func over(_ other: ServerSettings) -> ServerSettings {
    var both = self
    both.base = base ?? other.base
    both.listen = listen ?? other.listen
    both.allowRoot = allowRoot ?? other.allowRoot
    both.apiKeys = apiKeys ?? other.apiKeys
    both.tlsCertificate = tlsCertificate ?? other.tlsCertificate
    both.tlsKey = tlsKey ?? other.tlsKey
    both.tlsClientCA = tlsClientCA ?? other.tlsClientCA
    both.auditLog = auditLog ?? other.auditLog
    both.logLevel = logLevel ?? other.logLevel
    both.maxOperations = maxOperations ?? other.maxOperations
    both.operationNice = operationNice ?? other.operationNice
    both.maxConnections = maxConnections ?? other.maxConnections
    both.idleTimeout = idleTimeout ?? other.idleTimeout
    both.passphraseFile = passphraseFile ?? other.passphraseFile
    both.keyFile = keyFile ?? other.keyFile
    both.fileSystemPassphraseFile = fileSystemPassphraseFile ?? other.fileSystemPassphraseFile
    both.fileSystemKeyFile = fileSystemKeyFile ?? other.fileSystemKeyFile
    return both
  }
}
