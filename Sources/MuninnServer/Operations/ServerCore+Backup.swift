import Muninn

extension ServerCore {
  /// Starts a backup and returns its operation id; when it returns, the status says running.
  func startBackup(
    of name: String, body: RequestObject, isIncremental: Bool
  ) async throws -> Int64 {
    let found = try await enabledFileSystem(named: name)
    let body = try BackupRequestBody(body)
    try await operations.hold(found, for: "A backup")
    var heldRepository: String?
    do {
      // Read again: it may have been changed or deleted before it was held.
      let fileSystem = try await fileSystem(named: name)
      guard fileSystem.id == found.id else {
        throw Refusal(.conflict, "File system '\(name)' was replaced just now; try again.")
      }
      let plan = try await prepareBackup(of: fileSystem, body, isIncremental: isIncremental)
      if !plan.repository.isShared {
        // Held before its snapshots are looked at, so that none comes in between.
        try await operations.hold(repository: plan.repository.id, for: fileSystem)
        heldRepository = plan.repository.id
        try await checkOwner(of: plan.repository, fileSystem)
      }
      let started = Timestamp.now
      let new = NewOperation(
        kind: .backup, fileSystemID: fileSystem.id, fileSystemName: fileSystem.name,
        location: plan.repository.location, started: started, progress: .progress(Progress()))
      let status = BackupStatus(
        started: started, messages: try await Self.firstMessages(plan, at: started),
        progress: new.progress)
      let repository = heldRepository
      return try await operations.start(new, status: status) { progress in
        await plan.run(progress)
      } release: { operations in
        if let repository { await operations.release(repository: repository) }
        await operations.release(fileSystem.id)
      }
    } catch {
      if let heldRepository { await operations.release(repository: heldRepository) }
      await operations.release(found.id)
      throw error
    }
  }

  private static func firstMessages(
    _ plan: BackupPlan, at time: Timestamp
  ) async throws -> [BackupStatus.Message] {
    let kind = plan.request.isFull ? "Full" : "Incremental"
    var messages: [BackupStatus.Message] = [
      .init(
        .informational,
        "\(kind) backup of '\(plan.fileSystem.name)' to '\(plan.repository.location)' started.",
        time: time)
    ]
    if try await !plan.repository.statistics().isEncrypted {
      messages.append(
        .init(
          .informational,
          "The repository is not encrypted: the file system document in it, with its secured"
            + " settings, can be read by whoever can read the location.", time: time))
    }
    return messages
  }
}
