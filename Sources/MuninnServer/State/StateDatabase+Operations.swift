import FoundationEssentials
import GRDB

extension StateDatabase {
  /// Outcomes of older operations are forgotten; their ids are never given again.
  private static let operationsKept = 10_000

  /// Writes a new operation that runs from now on; with a backup goes its status. Returns the
  /// operation's id.
  package func begin(
    _ record: NewOperation, status: JSONValue?
  ) async throws -> OperationRecord {
    let statusText = try status?.text()
    let progress = try record.progress.text()
    let resumption = try record.resumption.map {
      String(decoding: try JSONEncoder().encode($0), as: UTF8.self)
    }
    return try await pool.write { database in
      try database.execute(
        sql: """
          INSERT INTO operation (kind, fileSystemID, fileSystemName, key, location, started, target,
            snapshot, resumption, hasLeftovers, outcome, messages, progress)
          VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, '[]', ?)
          """,
        arguments: [
          record.kind.rawValue, record.fileSystemID, record.fileSystemName,
          FileSystemRecord.key(record.fileSystemName), record.location, record.started.ticks,
          record.target, record.snapshot, resumption,
          OperationRecord.Outcome.running.rawValue, progress,
        ])
      let id = database.lastInsertedRowID
      try database.execute(
        sql: "DELETE FROM operation WHERE id <= ?", arguments: [id - Int64(Self.operationsKept)])
      if let statusText {
        try put(BackupStatus.itemName, statusText, of: record.fileSystemID, database)
      }
      return record.numbered(id)
    }
  }

  /// Writes how an operation ended, and in the same transaction what it changed: the backup status
  /// and counts of its file system, or the file system and items that a restore brought.
  package func finish(_ record: OperationRecord, _ change: OperationChange) async throws {
    let messages = try JSONValue.strings(record.messages).text()
    let progress = try record.progress.text()
    let items = try change.items.map { (name: $0.key, text: try $0.value.text()) }
    try await pool.write { database in
      try database.execute(
        sql: """
          UPDATE operation SET completed = ?, outcome = ?, error = ?, messages = ?, progress = ?,
            hasLeftovers = ? WHERE id = ?
          """,
        arguments: [
          record.completed?.ticks, record.outcome.rawValue, record.error, messages, progress,
          record.hasLeftovers, record.id,
        ])
      if let fileSystem = change.fileSystem { try save(fileSystem, database) }
      if let factor = change.speedFactor {
        try database.execute(
          sql: "INSERT OR REPLACE INTO layout (snapshot, speedFactor) VALUES (?, ?)",
          arguments: [factor.snapshot, factor.value])
      }
      for item in items {
        try put(item.name, item.text, of: record.fileSystemID, database)
      }
    }
  }

  package func operation(id: Int64) async throws -> OperationRecord? {
    try await pool.read { database in
      try Row.fetchOne(database, sql: "SELECT * FROM operation WHERE id = ?", arguments: [id])
        .map(OperationRecord.init(row:))
    }
  }

  /// Newest first.
  package func operations(start: Int, count: Int) async throws -> [OperationRecord] {
    try await pool.read { database in
      try Row.fetchAll(
        database, sql: "SELECT * FROM operation ORDER BY id DESC LIMIT ? OFFSET ?",
        arguments: [count, start]
      ).map(OperationRecord.init(row:))
    }
  }

  /// The newest restore that was to make a file system of that name.
  package func latestRestore(named name: String) async throws -> OperationRecord? {
    try await pool.read { database in
      try Row.fetchOne(
        database,
        sql: "SELECT * FROM operation WHERE kind = ? AND key = ? ORDER BY id DESC LIMIT 1",
        arguments: [OperationRecord.Kind.restore.rawValue, FileSystemRecord.key(name)]
      ).map(OperationRecord.init(row:))
    }
  }

  /// The name of the file system whose backup to a location is the newest.
  func lastBackup(to location: String) async throws -> String? {
    try await pool.read { database in
      try String.fetchOne(
        database,
        sql: """
          SELECT fileSystemName FROM operation WHERE kind = ? AND location = ?
          ORDER BY id DESC LIMIT 1
          """,
        arguments: [OperationRecord.Kind.backup.rawValue, location])
    }
  }

  /// The unfinished restore of `snapshot` whose files are still in `target`; nil where there is
  /// none, or something came after it.
  package func leftover(target: String, snapshot: String) async throws -> OperationRecord? {
    try await pool.read { database in
      let last = try Row.fetchOne(
        database, sql: "SELECT * FROM operation WHERE target = ? ORDER BY id DESC LIMIT 1",
        arguments: [target]
      ).map(OperationRecord.init(row:))
      guard let last, last.hasLeftovers, last.snapshot == snapshot else { return nil }
      let isTaken = try Row.fetchOne(
        database, sql: "SELECT id FROM fileSystem WHERE data = ?", arguments: [target])
      return isTaken == nil ? last : nil
    }
  }

  /// The speed factors of snapshots that this server has made, as they were then.
  package func speedFactors() async throws -> [String: Double] {
    try await pool.read { database in
      let rows = try Row.fetchAll(database, sql: "SELECT snapshot, speedFactor FROM layout")
      return Dictionary(rows.map { ($0["snapshot"] as String, $0["speedFactor"] as Double) }) { $1 }
    }
  }

  /// Operations that an earlier process left running.
  package func unfinishedOperations() async throws -> [OperationRecord] {
    try await pool.read { database in
      try Row.fetchAll(
        database, sql: "SELECT * FROM operation WHERE outcome = ? ORDER BY id",
        arguments: [OperationRecord.Outcome.running.rawValue]
      ).map(OperationRecord.init(row:))
    }
  }

  /// The file systems whose backup status an earlier process left running, with that status.
  package func runningStatuses() async throws
    -> [(fileSystem: String, status: JSONValue)]
  {
    let rows = try await pool.read { database in
      try Row.fetchAll(
        database, sql: "SELECT fileSystem, value FROM item WHERE key = ?",
        arguments: [BackupStatus.itemName.lowercased()]
      ).map { (fileSystem: $0["fileSystem"] as String, value: $0["value"] as String) }
    }
    return try rows.map { (fileSystem: $0.fileSystem, status: try JSONValue(text: $0.value)) }
      .filter { $0.status.object?["IsRunning"] == .bool(true) }
  }
}

/// An operation that has no number yet.
package struct NewOperation: Sendable {
  package let kind: OperationRecord.Kind
  package let fileSystemID: String
  package let fileSystemName: String
  package let location: String
  package let started: Timestamp
  package var target: String?
  package var snapshot: String?
  package var resumption: Resumption?
  package let progress: JSONValue

  package init(
    kind: OperationRecord.Kind, fileSystemID: String, fileSystemName: String, location: String,
    started: Timestamp, target: String? = nil, snapshot: String? = nil,
    resumption: Resumption? = nil, progress: JSONValue
  ) {
    self.kind = kind
    self.fileSystemID = fileSystemID
    self.fileSystemName = fileSystemName
    self.location = location
    self.started = started
    self.target = target
    self.snapshot = snapshot
    self.resumption = resumption
    self.progress = progress
  }

  func numbered(_ id: Int64) -> OperationRecord {
    OperationRecord(
      id: id, kind: kind, fileSystemID: fileSystemID, fileSystemName: fileSystemName,
      location: location, started: started, target: target, snapshot: snapshot,
      resumption: resumption, hasLeftovers: false, completed: nil,
      outcome: .running, error: nil, messages: [], progress: progress)
  }
}

/// What the end of an operation changes beside its own record.
package struct OperationChange: Sendable {
  package var fileSystem: FileSystemRecord?
  package var items: [String: JSONValue] = [:]
  /// Of the snapshot that a backup has made.
  package var speedFactor: (snapshot: String, value: Double)?

  package init() {}
}

extension OperationRecord {
  init(row: Row) throws {
    let completed: Int64? = row["completed"]
    let resumption: String? = row["resumption"]
    self.init(
      id: row["id"], kind: Kind(rawValue: row["kind"]) ?? .backup,
      fileSystemID: row["fileSystemID"], fileSystemName: row["fileSystemName"],
      location: row["location"], started: Timestamp(ticks: row["started"]), target: row["target"],
      snapshot: row["snapshot"],
      resumption: try resumption.map {
        try JSONDecoder().decode(Resumption.self, from: Data($0.utf8))
      },
      hasLeftovers: row["hasLeftovers"],
      completed: completed.map { Timestamp(ticks: $0) },
      outcome: Outcome(rawValue: row["outcome"]) ?? .faulted, error: row["error"],
      messages: try JSONDecoding.strings(row["messages"]),
      progress: try JSONValue(text: row["progress"]))
  }
}

private enum JSONDecoding {
  static func strings(_ text: String) throws -> [String] {
    guard case .array(let values) = try JSONValue(text: text) else { return [] }
    return values.compactMap(\.string)
  }
}
