import GRDB

/// What the server remembers, in `BASE/muninn.sqlite`: file systems, their configuration items, and
/// operations.
///
/// Every change that belongs together is one transaction; a change is durable before a request that
/// asked for it is answered.
package struct StateDatabase: Sendable {
  let pool: DatabasePool
  let cache = StatusCache()

  /// Opens, and where it is new makes, the database at `path`.
  package init(path: String) throws {
    var configuration = Configuration()
    configuration.label = "muninn"
    configuration.busyMode = .timeout(10)
    configuration.prepareDatabase { database in
      // Operation ids must never come again, not after a power failure either.
      try database.execute(sql: "PRAGMA synchronous = FULL")
      // What was a secret once is not left in a free page.
      try database.execute(sql: "PRAGMA secure_delete = ON")
    }
    pool = try DatabasePool(path: path, configuration: configuration)
    try Self.migrator.migrate(pool)
  }

  package func close() throws { try pool.close() }

  private static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("1") { database in
      try database.execute(
        sql: """
          CREATE TABLE fileSystem (
            id TEXT NOT NULL PRIMARY KEY,
            key TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            document TEXT NOT NULL,
            data TEXT NOT NULL,
            indexes TEXT NOT NULL,
            journals TEXT NOT NULL,
            ownsData INTEGER NOT NULL,
            counts TEXT
          );
          CREATE TABLE item (
            fileSystem TEXT NOT NULL REFERENCES fileSystem(id) ON DELETE CASCADE,
            key TEXT NOT NULL,
            name TEXT NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (fileSystem, key)
          ) WITHOUT ROWID;
          CREATE TABLE operation (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            kind TEXT NOT NULL,
            fileSystemID TEXT NOT NULL,
            fileSystemName TEXT NOT NULL,
            key TEXT NOT NULL,
            location TEXT NOT NULL,
            started INTEGER NOT NULL,
            target TEXT,
            snapshot TEXT,
            hasLeftovers INTEGER NOT NULL,
            completed INTEGER,
            outcome TEXT NOT NULL,
            error TEXT,
            messages TEXT NOT NULL,
            progress TEXT NOT NULL
          );
          CREATE INDEX operationByName ON operation (kind, key, id);
          CREATE INDEX operationByTarget ON operation (target, id);
          """)
    }
    migrator.registerMigration("2") { database in
      try database.execute(
        sql: """
          ALTER TABLE operation ADD COLUMN resumption TEXT;
          ALTER TABLE fileSystem ADD COLUMN ownsIndexes INTEGER NOT NULL DEFAULT 0;
          ALTER TABLE fileSystem ADD COLUMN ownsJournals INTEGER NOT NULL DEFAULT 0;
          """)
    }
    migrator.registerMigration("3") { database in
      try database.execute(
        sql: """
          CREATE TABLE layout (snapshot TEXT NOT NULL PRIMARY KEY, speedFactor REAL NOT NULL)
            WITHOUT ROWID;
          """)
    }
    return migrator
  }
}
