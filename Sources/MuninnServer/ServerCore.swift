import Logging
import Muninn

/// What every route works with.
package struct ServerCore: Sendable {
  /// The directory that `~` means: absolute, links resolved.
  let base: String
  let settings: LiveSettings
  let box: SecretBox
  let audit: AuditLog
  package let database: StateDatabase
  package let operations: Operations
  let lock: BaseLock
  let logger: Logger

  /// The absolute path that a location of a request means. Throws 400 for what cannot be one here,
  /// 403 for one outside of the allowed roots.
  func location(_ text: String, _ field: String) async throws(Refusal) -> String {
    let path = try Location.path(text, field: field, base: base)
    let own = [stateDirectory] + ownFiles
    if path == base || own.contains(where: { Location.isInside(path, $0) }) {
      throw Refusal(
        .badRequest,
        "\(field) '\(text)' is the server's own; name a directory below ~ or elsewhere.")
    }
    let roots = settings.roots
    guard !roots.isEmpty else { return path }
    // Links are followed before the comparison, so none leads out of a root.
    let real = try await Blocking.run { () throws(Refusal) in try Directory.resolved(path) }
    guard roots.contains(where: { Location.isInside(real, $0) }) else {
      throw Refusal(
        .forbidden, "\(field) '\(text)' lies outside of the base directory and the allowed roots.")
    }
    return path
  }

  /// The file system of that name; 404 where there is none.
  func fileSystem(named name: String) async throws -> FileSystemRecord {
    guard let record = try await database.fileSystem(named: name) else {
      throw Refusal(.notFound, "There is no file system named '\(name.prefix(200))'.")
    }
    return record
  }

  /// The file system of that name, for what a disabled one does not do: 403.
  func enabledFileSystem(named name: String) async throws -> FileSystemRecord {
    let record = try await fileSystem(named: name)
    if try FileSystemDocument.isDisabled(record.document) {
      throw Refusal(
        .forbidden,
        "File system '\(record.name)' is disabled; PUT its document with Disabled: false and"
          + " update=true to enable it.")
    }
    return record
  }

  /// What the server keeps in the base directory beside `state`.
  var ownFiles: [String] {
    ["", "-wal", "-shm", "-journal"].map { databasePath + $0 }
      + ["server.lock", "api-keys.json", "secret.key", "audit.log"].map { base + "/" + $0 }
  }

  var stateDirectory: String { base + "/state" }
  var databasePath: String { Self.databasePath(base: base) }
  static func databasePath(base: String) -> String { base + "/muninn.sqlite" }
  func defaultIndexes(_ id: String) -> String { "\(stateDirectory)/\(id)/index" }
  func defaultJournals(_ id: String) -> String { "\(stateDirectory)/\(id)/journal" }

  /// How the repository at a location, with the backups of one of the file systems, is opened here.
  /// Throws `wrongKey` or `notFound` where its credential's file cannot be used.
  func openOptions(
    for location: String, of fileSystems: [String]
  ) throws(MuninnError) -> OpenOptions {
    var options = OpenOptions(stateDirectory: stateDirectory)
    options.key = try key(for: location, of: fileSystems)
    return options
  }

  /// What opens the repository at a location; nil where nothing is configured.
  func key(for location: String, of fileSystems: [String]) throws(MuninnError) -> RepositoryKey? {
    switch settings.credentials.source(for: location, of: fileSystems) {
    case .passphraseFile(let path): return try RepositoryKey.passphrase(inFile: path)
    case .keyFile(let path): return try RepositoryKey.keyFile(at: path)
    case nil: return nil
    }
  }

  /// The file system that a request about a location means where it names none: the one that this
  /// server backed up there last.
  func lastBackedUp(to location: String) async throws -> [String] {
    guard settings.credentials.haveFileSystems else { return [] }
    let real = try await Blocking.run { () throws(Refusal) in try Directory.resolved(location) }
    return try await database.lastBackup(to: real).map { [$0] } ?? []
  }
}
