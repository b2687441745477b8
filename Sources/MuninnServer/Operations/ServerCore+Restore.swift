import Muninn

extension ServerCore {
  /// Starts a restore and returns its operation id, after waiting for another one where the request
  /// allows it.
  func startRestore(body: RequestObject, defragment: Bool?) async throws -> Int64 {
    let body = try RestoreRequestBody(body, defragment: defragment)
    // What is wrong with a request is said before it waits for its turn, and looked at again
    // afterwards.
    _ = try await prepareRestore(body)
    try await operations.takeRestoreGate(waiting: body.timeout)
    var heldName: String?
    do {
      let plan = try await prepareRestore(body)
      try await operations.hold(name: plan.name)
      heldName = plan.name
      let work = try await begin(plan)
      let new = NewOperation(
        kind: .restore, fileSystemID: work.fileSystem.id, fileSystemName: plan.name,
        location: plan.repository.location, started: .now, target: plan.target,
        snapshot: plan.snapshot.id, resumption: work.resumption, progress: .progress(Progress()))
      let name = plan.name
      return try await operations.start(new) { [operations] progress in
        await work.run(progress, operations)
      } release: { operations in
        await operations.release(name: name)
        await operations.releaseRestoreGate()
      }
    } catch {
      if let heldName { await operations.release(name: heldName) }
      await operations.releaseRestoreGate()
      throw error
    }
  }

  /// Makes the places of a restore and decides its identity: the snapshot's, as long as no file
  /// system that is registered here has it; a clone beside the living original is a file system of
  /// its own. A restore that goes on keeps the identity and the journal that it began with.
  private func begin(_ plan: RestorePlan) async throws -> RestoreWork {
    let earlier = plan.leftover
    var id = earlier?.fileSystemID ?? plan.snapshot.fileSystemID ?? FileSystemRecord.freshID()
    if !Self.isIdentity(id) { id = FileSystemRecord.freshID() }
    if try await database.fileSystem(id: id) != nil { id = FileSystemRecord.freshID() }
    let indexes = plan.indexes ?? defaultIndexes(id)
    let journals = plan.journals ?? defaultJournals(id)
    let target = plan.target
    let places = [indexes, journals, target]
    let fresh = try await Blocking.run { () throws(Refusal) in
      var made: [String] = []
      for place in places where try Directory.make(place) { made.append(place) }
      return made
    }
    let made = (earlier?.resumption?.made ?? []).filter(places.contains) + fresh
    let brought = FileSystemDocument.brought(by: plan.snapshot, data: target)
    let document = try FileSystemDocument.sealed(brought.document, with: box, for: id)
    let record = FileSystemRecord(
      id: id, name: plan.name, document: try JSONValue.object(document).text(),
      data: target, indexes: indexes, journals: journals, ownsData: made.contains(target),
      ownsIndexes: made.contains(indexes), ownsJournals: made.contains(journals), counts: nil)
    return RestoreWork(
      plan: plan, fileSystem: record, items: brought.items,
      resumption: Resumption(
        journals: earlier?.resumption?.journals ?? journals, made: made, paths: plan.paths))
  }

  /// An id comes from a repository and names a directory here: 32 hexadecimal digits, nothing else.
  private static func isIdentity(_ id: String) -> Bool {
    id.utf8.count == 32
      && id.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
  }
}
