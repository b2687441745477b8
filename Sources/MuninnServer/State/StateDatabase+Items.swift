import GRDB

/// A file system's configuration items: named JSON objects, whose names match ignoring case.
extension StateDatabase {
  package func itemNames(of fileSystem: String) async throws -> [String] {
    try await pool.read { database in
      try String.fetchAll(
        database, sql: "SELECT name FROM item WHERE fileSystem = ? ORDER BY key",
        arguments: [fileSystem])
    }
  }

  /// All items but the backup status: what travels in a snapshot.
  package func travellingItems(of fileSystem: String) async throws -> [String: JSONValue] {
    let rows = try await pool.read { database in
      try Row.fetchAll(
        database, sql: "SELECT name, value FROM item WHERE fileSystem = ? AND key <> ?",
        arguments: [fileSystem, BackupStatus.itemName.lowercased()]
      ).map { (name: $0["name"] as String, value: $0["value"] as String) }
    }
    var items: [String: JSONValue] = [:]
    for row in rows { items[row.name] = try JSONValue(text: row.value) }
    return items
  }

  package func item(_ name: String, of fileSystem: String) async throws -> JSONValue? {
    try await itemText(name, of: fileSystem).map { try JSONValue(text: $0) }
  }

  /// The same as JSON text.
  func itemText(_ name: String, of fileSystem: String) async throws -> String? {
    let isStatus = BackupStatus.isName(name)
    if isStatus, let known = cache.status(of: fileSystem) { return known }
    let commits = cache.commits
    let text = try await pool.read { database in
      try String.fetchOne(
        database, sql: "SELECT value FROM item WHERE fileSystem = ? AND key = ?",
        arguments: [fileSystem, name.lowercased()])
    }
    if isStatus, let text { cache.keep(status: text, of: fileSystem, asOf: commits) }
    return text
  }

  package func put(_ name: String, _ value: JSONValue, of fileSystem: String) async throws {
    let text = try value.text()
    try await pool.write { database in
      try put(name, text, of: fileSystem, database)
    }
  }

  func put(
    _ name: String, _ text: String, of fileSystem: String, _ database: Database
  ) throws {
    try database.execute(
      sql: """
        INSERT INTO item (fileSystem, key, name, value) VALUES (?, ?, ?, ?)
        ON CONFLICT (fileSystem, key) DO UPDATE SET value = excluded.value
        """,
      arguments: [fileSystem, name.lowercased(), name, text])
    noteStatus(text, name, of: fileSystem, database)
  }

  private func noteStatus(
    _ text: String?, _ name: String, of fileSystem: String, _ database: Database
  ) {
    guard BackupStatus.isName(name) else { return }
    database.afterNextTransaction { [cache] _ in
      cache.committed(status: text, of: fileSystem)
    }
  }

  /// Whether there was an item of that name.
  package func removeItem(_ name: String, of fileSystem: String) async throws -> Bool {
    try await pool.write { database in
      try database.execute(
        sql: "DELETE FROM item WHERE fileSystem = ? AND key = ?",
        arguments: [fileSystem, name.lowercased()])
      noteStatus(nil, name, of: fileSystem, database)
      return database.changesCount > 0
    }
  }
}
