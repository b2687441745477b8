import Muninn

/// Operations over a location rather than a file system.
extension ServerCore {
  /// Starts a verification of a repository and returns its operation id.
  func startVerify(_ body: RequestObject) async throws -> Int64 {
    let repository = try await repository(of: body)
    var options = CheckOptions()
    options.readData = try body.bool("ReadData") ?? false
    let new = NewOperation(
      kind: .verify, fileSystemID: "", fileSystemName: "", location: repository.location,
      started: .now, progress: .progress(Progress()))
    return try await operations.start(new) { [options] progress in
      await Self.verify(repository, options, progress)
    } release: { _ in
    }
  }

  private static func verify(
    _ repository: Repository, _ options: CheckOptions, _ progress: LiveProgress
  ) async -> OperationEnd {
    do {
      let report = try await repository.check(options) { progress.set($0) }
      let what =
        "\(report.snapshots) snapshots, \(report.containers) containers, \(report.chunks) chunks;"
        + " \(report.bytesRead) bytes were read."
      if report.isClean {
        var end = OperationEnd(.completed)
        end.messages = [.init(.informational, "All is well: \(what)")]
        return end
      }
      var end = OperationEnd(.faulted)
      end.error = "The repository is damaged in \(report.problems.count) places: \(what)"
      end.messages = report.problems.prefix(1000).map {
        .init(.error, "\($0.path): \($0.message)", details: $0.path)
      }
      return end
    } catch {
      return OperationEnd(error)
    }
  }

  /// Starts giving back the space that no snapshot needs, and returns the operation's id.
  func startPrune(_ body: RequestObject) async throws -> Int64 {
    var options = PruneOptions()
    options.isDryRun = try body.bool("DryRun") ?? false
    return try await startUpkeep(.prune, of: try await repository(of: body)) {
      [options] repository, progress in
      try await Self.messages(repository.prune(options) { progress.set($0) })
    }
  }

  /// Starts laying the newest snapshots out in path order, and returns the operation's id.
  func startDefragment(_ body: RequestObject) async throws -> Int64 {
    var options = DefragmentOptions()
    options.isDryRun = try body.bool("DryRun") ?? false
    options.recompresses = try body.bool("Recompress") ?? false
    return try await startUpkeep(.defrag, of: try await repository(of: body)) {
      [options] repository, progress in
      try await Self.messages(repository.defragment(options) { progress.set($0) })
    }
  }

  /// Starts work on a repository as a whole, of which one at a time is enough.
  private func startUpkeep(
    _ kind: OperationRecord.Kind, of repository: Repository,
    _ work: @escaping @Sendable (Repository, LiveProgress) async throws -> [BackupStatus.Message]
  ) async throws -> Int64 {
    try await operations.hold(upkeepOf: repository)
    do {
      let new = NewOperation(
        kind: kind, fileSystemID: "", fileSystemName: "", location: repository.location,
        started: .now, progress: .progress(Progress()))
      return try await operations.start(new) { progress in
        do {
          var end = OperationEnd(.completed)
          end.messages = try await work(repository, progress)
          return end
        } catch {
          return OperationEnd(error)
        }
      } release: { operations in
        await operations.release(upkeepOf: repository)
      }
    } catch {
      await operations.release(upkeepOf: repository)
      throw error
    }
  }

  /// The repository that a request's `BackupLocation` names.
  func repository(of body: RequestObject) async throws -> Repository {
    guard let text = try body.string("BackupLocation") else {
      throw Refusal(.badRequest, "BackupLocation is missing: the directory that holds the backup.")
    }
    let path = try await location(text, "BackupLocation")
    let state = try await Blocking.run { () throws(Refusal) in try Directory.state(path) }
    if state == .absent {
      throw Refusal(.notFound, "BackupLocation '\(path)' does not exist.")
    }
    let options = try openOptions(for: path, of: try await lastBackedUp(to: path))
    return try await Repository.open(at: path, options: options)
  }
}
