import Muninn

/// The wire's FilesystemRestoreRequest.
struct RestoreRequestBody: Sendable {
  let name: String?
  let location: String
  let target: String?
  let indexes: String?
  let journals: String?
  let defragment: Bool
  let timeout: Double?
  let snapshot: String?
  let source: String?
  let paths: [String]

  init(_ body: RequestObject, defragment: Bool?) throws(Refusal) {
    name = try body.string("FilesystemName")
    if let location = try body.string("BackupLocation") {
      self.location = location
    } else if let location = try body.string("RestoreLocation") {
      self.location = location
    } else {
      throw Refusal(.badRequest, "BackupLocation is missing: the directory that holds the backup.")
    }
    target = try body.string("FilesystemLocation")
    indexes = try body.string("IndexesLocation")
    journals = try body.string("JournalsLocation")
    let asked = try body.bool("Defrag") ?? false
    self.defragment = defragment ?? asked
    timeout = try body.seconds("RestoreStartTimeout")
    snapshot = try body.string("Snapshot")
    source = try body.string("SourceFilesystem")
    paths = try body.strings("Paths")
  }
}

/// A restore whose request was found good: everything that it needs, checked.
struct RestorePlan: Sendable {
  let repository: Repository
  let snapshot: Snapshot
  let name: String
  let target: String
  /// The interrupted restore of the same snapshot that the target holds, to go on with.
  let leftover: OperationRecord?
  let indexes: String?
  let journals: String?
  let defragment: Bool
  let paths: [String]
}

extension ServerCore {
  /// Checks all that can be known before the restore runs.
  func prepareRestore(_ body: RestoreRequestBody) async throws -> RestorePlan {
    let location = try await location(body.location, "BackupLocation")
    let given = try await givenLocations(body)
    let state = try await Blocking.run { () throws(Refusal) in try Directory.state(location) }
    if state == .absent {
      throw Refusal(.notFound, "BackupLocation '\(location)' does not exist.")
    }
    let options = try openOptions(for: location, of: try await keyOwners(body, location))
    let repository = try await Repository.open(at: location, options: options)
    let snapshot = try await chooseSnapshot(body, in: repository)
    guard let name = body.name ?? snapshot.fileSystemName else {
      throw Refusal(
        .badRequest, "The snapshot has no file system name in it: say FilesystemName.")
    }
    try FileSystemRecord.check(name: name)
    if try await database.fileSystem(named: name) != nil {
      throw Refusal(.conflict, "A file system named '\(name)' exists already; choose another name.")
    }
    let target = given.target ?? "\(base)/FileSystems/\(name)"
    let leftover = try await leftover(
      in: target, paths: body.paths, snapshot: snapshot, repository: repository)
    let others = [("IndexesLocation", given.indexes), ("JournalsLocation", given.journals)]
    for (field, place) in others {
      if let place, Location.isInside(place, target) {
        throw Refusal(.badRequest, "\(field) '\(place)' lies inside of the data, '\(target)'.")
      }
    }
    return RestorePlan(
      repository: repository, snapshot: snapshot, name: name, target: target,
      leftover: leftover, indexes: given.indexes, journals: given.journals,
      defragment: body.defragment, paths: body.paths)
  }

  private func givenLocations(
    _ body: RestoreRequestBody
  ) async throws(Refusal) -> (target: String?, indexes: String?, journals: String?) {
    func resolve(_ text: String?, _ field: String) async throws(Refusal) -> String? {
      guard let text else { return nil }
      return try await location(text, field)
    }
    return (
      try await resolve(body.target, "FilesystemLocation"),
      try await resolve(body.indexes, "IndexesLocation"),
      try await resolve(body.journals, "JournalsLocation")
    )
  }

  /// The file systems whose key may be the repository's, the likeliest first. The new name comes
  /// last: its key may be that of a location of its own.
  private func keyOwners(
    _ body: RestoreRequestBody, _ location: String
  ) async throws -> [String] {
    guard settings.credentials.haveFileSystems else { return [] }
    var names: [String] = []
    if let source = body.source {
      names.append(source)
      if let known = try await database.fileSystem(id: source) { names.append(known.name) }
    }
    names += try await lastBackedUp(to: location)
    if let name = body.name { names.append(name) }
    return names
  }

  private func chooseSnapshot(
    _ body: RestoreRequestBody, in repository: Repository
  ) async throws -> Snapshot {
    let source = try await sourceID(body.source, in: repository)
    guard let text = body.snapshot else {
      return try await repository.snapshot(.latest(fileSystemID: source))
    }
    // A time has a dash or a colon in it, an id never.
    if text.contains("-") || text.contains(":") {
      guard let time = Timestamp(text: text) else {
        throw Refusal(
          .badRequest, "Snapshot '\(text.prefix(99))' is neither an id nor a UTC time in ISO 8601.")
      }
      return try await repository.snapshot(.at(seconds: time.seconds, fileSystemID: source))
    }
    return try await repository.snapshot(.id(text))
  }

  /// The id of the file system that `source`, a name or an id, means in a repository; nil for the
  /// only one.
  private func sourceID(_ source: String?, in repository: Repository) async throws -> String? {
    let snapshots = try await repository.snapshots()
    guard let source else {
      let owners = Set(snapshots.compactMap(\.fileSystemID))
      guard repository.isShared, owners.count > 1 else { return nil }
      let names = Set(snapshots.compactMap(\.fileSystemName)).sorted().joined(separator: ", ")
      throw Refusal(
        .badRequest,
        "The repository is shared by \(names): say SourceFilesystem, or a Snapshot id.")
    }
    let key = FileSystemRecord.key(source)
    let match = snapshots.last {
      $0.fileSystemID == source || $0.fileSystemName.map(FileSystemRecord.key) == key
    }
    guard let id = match?.fileSystemID else {
      throw Refusal(.notFound, "The repository has no snapshot of a file system '\(source)'.")
    }
    return id
  }

  /// The unfinished restore of this snapshot that the target holds; 409 where it holds anything
  /// else, or other paths of it.
  private func leftover(
    in target: String, paths: [String], snapshot: Snapshot, repository: Repository
  ) async throws -> OperationRecord? {
    let (state, real) = try await Blocking.run { () throws(Refusal) in
      (try Directory.state(target), try Directory.resolved(target))
    }
    let source = try await Blocking.run { () throws(Refusal) in
      try Directory.resolved(repository.location)
    }
    if Location.isInside(real, source) || Location.isInside(source, real) {
      throw Refusal(
        .badRequest, "FilesystemLocation '\(target)' and the backup lie one inside the other.")
    }
    switch state {
    case .absent, .empty: return nil
    case .notDirectory:
      throw Refusal(.conflict, "FilesystemLocation '\(target)' exists and is not a directory.")
    case .filled:
      if let last = try await database.leftover(target: target, snapshot: snapshot.id) {
        guard last.resumption?.paths ?? [] == paths else {
          throw Refusal(
            .conflict,
            "FilesystemLocation '\(target)' holds the unfinished restore of other Paths of the"
              + " snapshot: ask for the same ones, or name another directory.")
        }
        return last
      }
      throw Refusal(
        .conflict, "FilesystemLocation '\(target)' is not empty; name an empty or a new directory.")
    }
  }
}
