import Logging

/// What an earlier process left undone, put right before the first request is served.
enum Recovery {
  /// Marks every operation and status that says running as failed. What an interrupted restore had
  /// written stays where it is, noted as left over, so that nothing is deleted that no request
  /// named: the same restore may be asked for again and then goes on with it.
  static func run(database: StateDatabase, box: SecretBox, logger: Logger) async throws {
    try await sealDocuments(database, box)
    let now = Timestamp.now
    for var operation in try await database.unfinishedOperations() {
      operation.completed = now
      operation.outcome = .faulted
      operation.error = OperationText.interrupted
      if operation.kind == .restore, let target = operation.target {
        operation.hasLeftovers = await hasLeftovers(operation, target)
        let note: String
        if operation.hasLeftovers {
          note = OperationText.resumable(target)
        } else {
          if let resumption = operation.resumption { await LeftoverDirectories.remove(resumption) }
          note = "Nothing was restored until then; what had been made for it was removed."
        }
        operation.error = OperationText.interrupted + " " + note
      }
      operation.messages.append(operation.error ?? OperationText.interrupted)
      logger.warning(
        "an operation was interrupted by a restart",
        metadata: ["operation": "\(operation.id)", "kind": "\(operation.kind.rawValue)"])
      try await database.finish(operation, OperationChange())
    }
    for (fileSystem, status) in try await database.runningStatuses() {
      let ended = BackupStatus.interrupted(status, at: now)
      try await database.put(BackupStatus.itemName, ended, of: fileSystem)
    }
  }

  /// Whether an interrupted restore has written anything. A target that cannot be looked at counts
  /// as one with something in it.
  private static func hasLeftovers(_ operation: OperationRecord, _ target: String) async -> Bool {
    let state = try? await Blocking.run { () throws(Refusal) in try Directory.state(target) }
    return state != .absent && state != .empty
  }

  /// Seals the secured settings that versions without a key file left open.
  private static func sealDocuments(_ database: StateDatabase, _ box: SecretBox) async throws {
    for var record in try await database.fileSystems() {
      let document = try JSONValue(text: record.document).object ?? [:]
      guard FileSystemDocument.isOpen(document) else { continue }
      let sealed = try FileSystemDocument.sealed(document, with: box, for: record.id)
      record.document = try JSONValue.object(sealed).text()
      try await database.save(record)
    }
  }
}
