import Logging

/// What an earlier process left undone, put right before the first request is served.
enum Recovery {
  /// Marks every operation and status that says running as failed. What an interrupted restore had
  /// written stays where it is, noted as left over, so that nothing is deleted that no request
  /// named: the same restore may be asked for again and then replaces it.
  static func run(database: StateDatabase, logger: Logger) async throws {
    let now = Timestamp.now
    for var operation in try await database.unfinishedOperations() {
      operation.completed = now
      operation.outcome = .faulted
      operation.error = OperationText.interrupted
      if operation.kind == .restore, let target = operation.target {
        operation.hasLeftovers = true
        operation.error =
          OperationText.interrupted
          + " What it had restored is still in '\(target)'; restoring the same snapshot there"
          + " again replaces it."
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
}
