import Muninn

extension ServerCore {
  /// Makes a file system over the directory that its document names, or changes one.
  func put(
    _ name: String, _ document: [String: JSONValue], isUpdate: Bool
  ) async throws {
    let given = try FileSystemDocument.setting(FileSystemDocument.dataDirectory, in: document)
    let wanted: String? =
      if let given { try await location(given, FileSystemDocument.dataDirectory) } else { nil }
    if wanted == "/" {
      throw Refusal(
        .badRequest, "\(FileSystemDocument.dataDirectory) '/' would hold the server's own files.")
    }
    _ = try FileSystemDocument.retention(in: document)
    try await operations.hold(name: name)
    do {
      if let existing = try await database.fileSystem(named: name) {
        guard isUpdate else {
          throw Refusal(
            .conflict, "File system '\(name)' exists already; update=true changes its settings.")
        }
        try await update(existing, document, data: wanted)
      } else {
        try await create(name, document, data: wanted ?? "\(base)/FileSystems/\(name)")
      }
    } catch {
      await operations.release(name: name)
      throw error
    }
    await operations.release(name: name)
  }

  private func create(
    _ name: String, _ document: [String: JSONValue], data: String
  ) async throws {
    let isNew = try await Blocking.run { () throws(Refusal) in try Directory.make(data) }
    let id = FileSystemRecord.freshID()
    let full = try FileSystemDocument.sealed(
      FileSystemDocument.setting(dataDirectory: data, in: document), with: box, for: id)
    try await database.save(
      FileSystemRecord(
        id: id, name: name, document: try JSONValue.object(full).text(), data: data,
        indexes: defaultIndexes(id), journals: defaultJournals(id), ownsData: isNew, counts: nil))
  }

  private func update(
    _ existing: FileSystemRecord, _ document: [String: JSONValue], data: String?
  ) async throws {
    try await operations.hold(existing, for: "An update")
    do {
      var record = existing
      if let data, data != existing.data {
        record.data = data
        record.ownsData = try await Blocking.run { () throws(Refusal) in try Directory.make(data) }
      }
      let full = try FileSystemDocument.sealed(
        FileSystemDocument.setting(dataDirectory: record.data, in: document), with: box,
        for: record.id)
      record.document = try JSONValue.object(full).text()
      try await database.save(record)
    } catch {
      await operations.release(existing.id)
      throw error
    }
    await operations.release(existing.id)
  }

  /// Forgets a file system. A hard delete removes its index and journal, and its data where the
  /// server made that directory or the request names it.
  func remove(_ name: String, isHard: Bool, namedDirectory: String?) async throws {
    let record = try await fileSystem(named: name)
    try await operations.hold(record, for: "A backup or change")
    do {
      if isHard {
        let named = try await isNamed(namedDirectory, record)
        if record.ownsData || named { try await refuseSharedData(record) }
        try await database.removeFileSystem(id: record.id)
        try await removeFiles(of: record, andData: record.ownsData || named)
      } else {
        try await database.removeFileSystem(id: record.id)
      }
    } catch {
      await operations.release(record.id)
      throw error
    }
    await operations.release(record.id)
  }

  private func isNamed(_ directory: String?, _ record: FileSystemRecord) async throws -> Bool {
    guard let directory else { return false }
    guard try await location(directory, "data-directory") == record.data else {
      throw Refusal(
        .badRequest, "data-directory '\(directory)' is not the data directory of '\(record.name)'.")
    }
    return true
  }

  /// Data that lies in, or holds, another file system's data is not deleted.
  private func refuseSharedData(_ record: FileSystemRecord) async throws {
    for other in try await database.fileSystems() where other.id != record.id {
      if Location.isInside(other.data, record.data) || Location.isInside(record.data, other.data) {
        throw Refusal(
          .conflict,
          "The data directory '\(record.data)' overlaps with that of file system '\(other.name)';"
            + " delete that one first, or this one without hard-delete.")
      }
    }
  }

  /// Removes the index, the journal and the data, as far as the server made them. Index and journal
  /// stay where they lie in, or hold, something of another file system.
  private func removeFiles(of record: FileSystemRecord, andData: Bool) async throws {
    let state = "\(stateDirectory)/\(record.id)"
    var places: [String] = []
    if Location.isInside(record.indexes, state) || Location.isInside(record.journals, state) {
      places.append(state)
    }
    if record.ownsIndexes { places.append(record.indexes) }
    if record.ownsJournals { places.append(record.journals) }
    let others = try await database.fileSystems().filter { $0.id != record.id }
    let theirs = others.flatMap { [$0.data, $0.indexes, $0.journals] }
    places.removeAll { place in
      theirs.contains { Location.isInside($0, place) || Location.isInside(place, $0) }
    }
    if andData { places.append(record.data) }
    try await Blocking.run { [places] () throws(Refusal) in
      for place in places { try TreeRemoval.remove(place, removingTop: true) }
    }
  }

  func statistics(of record: FileSystemRecord) async throws -> JSONValue {
    let running = await operations.runningIDs(of: record.id)
    var status = await operations.liveStatus(of: record.id)?.json
    if status == nil {
      status = try await database.item(BackupStatus.itemName, of: record.id)
    }
    let last = status?.object.map { members -> JSONValue in
      .object(members.filter { ["Started", "Completed", "IsRunning", "Success"].contains($0.key) })
    }
    return .object([
      "Name": .string(record.name),
      "Id": .string(record.id),
      "DataDirectory": .string(record.data),
      "FileCount": .count(record.counts?.files),
      "TotalBytes": .count(record.counts?.bytes),
      "CountedAt": .time(record.counts.map { Timestamp(ticks: $0.ticks) }),
      "LastBackup": last ?? .null,
      "RunningOperations": .array(running.map { .integer($0) }),
    ])
  }
}
