import FoundationEssentials
import GRDB

extension StateDatabase {
  package func fileSystems() async throws -> [FileSystemRecord] {
    try await pool.read { database in
      try Row.fetchAll(database, sql: "SELECT * FROM fileSystem ORDER BY key")
        .map(FileSystemRecord.init(row:))
    }
  }

  package func fileSystem(named name: String) async throws -> FileSystemRecord? {
    let key = FileSystemRecord.key(name)
    if let known = cache.fileSystem(key: key) { return known }
    let commits = cache.commits
    let found = try await pool.read { database in
      try Row.fetchOne(
        database, sql: "SELECT * FROM fileSystem WHERE key = ?", arguments: [key]
      ).map(FileSystemRecord.init(row:))
    }
    if let found { cache.keep(found, asOf: commits) }
    return found
  }

  package func fileSystem(id: String) async throws -> FileSystemRecord? {
    try await pool.read { database in
      try Row.fetchOne(database, sql: "SELECT * FROM fileSystem WHERE id = ?", arguments: [id])
        .map(FileSystemRecord.init(row:))
    }
  }

  /// Registers `record`, or replaces what is kept under its id.
  package func save(_ record: FileSystemRecord) async throws {
    try await pool.write { database in try save(record, database) }
  }

  func save(_ record: FileSystemRecord, _ database: Database) throws {
    let counts = try record.counts.map {
      String(decoding: try JSONEncoder().encode($0), as: UTF8.self)
    }
    try database.execute(
      sql: """
        INSERT INTO fileSystem (id, key, name, document, data, indexes, journals, ownsData,
          ownsIndexes, ownsJournals, counts)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (id) DO UPDATE SET document = excluded.document, data = excluded.data,
          indexes = excluded.indexes, journals = excluded.journals, ownsData = excluded.ownsData,
          ownsIndexes = excluded.ownsIndexes, ownsJournals = excluded.ownsJournals,
          counts = excluded.counts
        """,
      arguments: [
        record.id, record.key, record.name, record.document, record.data, record.indexes,
        record.journals, record.ownsData, record.ownsIndexes, record.ownsJournals, counts,
      ])
    database.afterNextTransaction { [cache] _ in cache.committed(record) }
  }

  /// Forgets a file system and its configuration items.
  package func removeFileSystem(id: String) async throws {
    try await pool.write { database in
      try database.execute(sql: "DELETE FROM fileSystem WHERE id = ?", arguments: [id])
      database.afterNextTransaction { [cache] _ in cache.removed(fileSystem: id) }
    }
  }
}

extension FileSystemRecord {
  init(row: Row) throws {
    let counts: String? = row["counts"]
    self.init(
      id: row["id"], name: row["name"], document: row["document"], data: row["data"],
      indexes: row["indexes"], journals: row["journals"], ownsData: row["ownsData"],
      ownsIndexes: row["ownsIndexes"], ownsJournals: row["ownsJournals"],
      counts: try counts.map { try JSONDecoder().decode(Counts.self, from: Data($0.utf8)) })
  }
}
