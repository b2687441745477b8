import Muninn

/// A backup whose request was found good: everything that it needs, checked.
struct BackupPlan: Sendable {
  let fileSystem: FileSystemRecord
  let repository: Repository
  let request: BackupRequest
  /// What to keep afterwards; nil for everything.
  let retention: Result<RetentionPolicy?, Refusal>

  static func owned(by name: String) -> Refusal {
    Refusal(
      .conflict,
      "The location already holds the backups of file system '\(name)'. Use another location, or"
        + " make a shared one: 'Shared': true at its first use, or muninn init.")
  }
}

/// The wire's FilesystemBackupRequest.
struct BackupRequestBody {
  let location: String
  let document: [String: JSONValue]?
  let tags: [String]
  let excludes: [String]
  let isShared: Bool

  init(_ body: RequestObject) throws(Refusal) {
    guard let location = try body.string("BackupLocation") else {
      throw Refusal(
        .badRequest, "BackupLocation is missing: the directory that the backup goes to.")
    }
    self.location = location
    document = try body.object("FileSystemDocument")
    tags = try body.strings("Tags")
    excludes = try body.strings("Excludes")
    isShared = try body.bool("Shared") ?? false
  }
}

extension ServerCore {
  /// Checks all that can be known, and makes the repository at its first use. The file system is
  /// held by the caller.
  func prepareBackup(
    of fileSystem: FileSystemRecord, _ body: BackupRequestBody, isIncremental: Bool
  ) async throws -> BackupPlan {
    let location = try await location(body.location, "BackupLocation")
    let (data, real) = try await Blocking.run { () throws(Refusal) in
      guard try Directory.state(fileSystem.data) != .absent else {
        throw Refusal(.conflict, "The data directory '\(fileSystem.data)' is missing.")
      }
      return (try Directory.resolved(fileSystem.data), try Directory.resolved(location))
    }
    if Location.isInside(real, data) || Location.isInside(data, real) {
      throw Refusal(
        .badRequest,
        "BackupLocation '\(location)' and the data directory '\(data)' lie one inside the other.")
    }
    let repository = try await openOrCreate(real, for: fileSystem, isShared: body.isShared)
    var request = BackupRequest(paths: [PathText.encode(data.utf8)])
    request.isFull = !isIncremental
    request.tags = body.tags
    // The last pattern decides: uploads that are not complete are nobody's files yet.
    request.excludes = body.excludes + [TreePath.uploadPrefix + "*"]
    request.fileSystemID = fileSystem.id
    request.fileSystemName = fileSystem.name
    request.document = try await snapshotDocument(of: fileSystem, body.document)
    request.indexDirectory = fileSystem.indexes
    let document = try JSONValue(text: fileSystem.document).object ?? [:]
    return BackupPlan(
      fileSystem: fileSystem, repository: repository, request: request,
      retention: Result { () throws(Refusal) in try FileSystemDocument.retention(in: document) })
  }

  private func openOrCreate(
    _ location: String, for fileSystem: FileSystemRecord, isShared: Bool
  ) async throws -> Repository {
    let state = try await Blocking.run { () throws(Refusal) in
      let state = try Directory.state(location)
      if state == .notDirectory {
        throw Refusal(.badRequest, "BackupLocation '\(location)' is not a directory.")
      }
      if state == .absent { try Directory.make(location) }
      return state
    }
    let open = try openOptions(for: location, of: [fileSystem.name])
    if state == .filled { return try await Repository.open(at: location, options: open) }
    var options = CreateOptions()
    options.isShared = isShared
    options.key = open.key
    return try await Repository.create(at: location, options: options, open: open)
  }

  /// A repository that is not shared belongs to the file system whose snapshots it holds.
  func checkOwner(of repository: Repository, _ fileSystem: FileSystemRecord) async throws {
    let snapshots = try await repository.snapshots()
    if let other = snapshots.last(where: {
      $0.fileSystemID != nil && $0.fileSystemID != fileSystem.id
    }) {
      throw BackupPlan.owned(by: other.fileSystemName ?? other.fileSystemID ?? "unknown")
    }
  }

  /// What travels in the snapshot: the document and the configuration items.
  private func snapshotDocument(
    of fileSystem: FileSystemRecord, _ given: [String: JSONValue]?
  ) async throws -> String {
    let own =
      try given
      ?? FileSystemDocument.opened(
        JSONValue(text: fileSystem.document).object ?? [:], with: box, for: fileSystem.id)
    let items = try await database.travellingItems(of: fileSystem.id)
    return try JSONValue.object([
      "FileSystemDocument": .object(own), "Configuration": .object(items),
    ]).text()
  }
}

extension BackupPlan {
  /// Runs the backup to its end.
  func run(_ progress: LiveProgress) async -> OperationEnd {
    do {
      let report = try await repository.backup(request) { progress.set($0) }
      OperationMetrics.count(report.snapshot.statistics)
      var end = OperationEnd(.completed)
      end.messages = report.problems.map {
        .init(.error, "'\($0.path)' was not backed up: \($0.message)", details: $0.path)
      }
      end.messages += (report.unstable + report.differing).map {
        .init(.error, "'\($0.path)': \($0.message)", details: $0.path)
      }
      let listed = UInt64(report.problems.count)
      if report.snapshot.statistics.errors > listed {
        let more = report.snapshot.statistics.errors - listed
        end.messages.append(.init(.error, "\(more) more paths were not backed up."))
      }
      let id = report.snapshot.id
      end.messages.append(.init(.informational, "Snapshot \(id) is complete.", details: id))
      if let layout = report.fragmentation {
        let factor = (layout.speedFactor * 100).rounded() / 100
        end.messages.append(
          .init(
            .informational,
            "A restore of it reads \(layout.containers) containers; its speed factor is \(factor)"
              + " MiB a container."))
        end.change.speedFactor = (id, layout.speedFactor)
      }
      end.messages += await applyRetention()
      var counted = fileSystem
      counted.counts = .init(
        files: report.snapshot.statistics.files, bytes: report.snapshot.statistics.bytes,
        ticks: Timestamp.now.ticks)
      end.change.fileSystem = counted
      return end
    } catch {
      return OperationEnd(error)
    }
  }
}
