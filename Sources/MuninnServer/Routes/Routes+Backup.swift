import HTTPTypes
import Hummingbird
import Muninn

extension Routes {
  func addBackup(to router: Router<ServerContext>) {
    let core = core
    router.post("fs/:name/admin/backup") { request, context in
      let name = try context.component("name")
      let body = try await request.object()
      let id = try await core.startBackup(
        of: name, body: body, isIncremental: request.flag("incremental") ?? false)
      return Answer.empty(.created, headers: [.location: "/operation/status?id=\(id)"])
    }
    router.get("fs/:name/admin/backups") { request, context in
      let fileSystem = try await core.fileSystem(named: try context.component("name"))
      let text = try request.required("location", "the directory that holds the backups")
      let path = try await core.location(text, "location")
      let state = try await Blocking.run { () throws(Refusal) in try Directory.state(path) }
      if state == .absent { throw Refusal(.notFound, "location '\(path)' does not exist.") }
      let repository = try await Repository.open(
        at: path, options: core.openOptions(for: path, of: [fileSystem.name]))
      let factors = try await core.database.speedFactors()
      let list = try await repository.snapshots().map { Self.json($0, factors[$0.id]) }
      return try Answer.json(.array(list))
    }
  }

  private static func kind(_ kind: Snapshot.Kind) -> String {
    switch kind {
    case .full: "Full"
    case .incremental: "Incremental"
    case .partial: "Partial"
    }
  }

  private static func json(_ snapshot: Snapshot, _ speedFactor: Double?) -> JSONValue {
    .object([
      "Id": .string(snapshot.id),
      "Parent": .text(snapshot.parent),
      "Kind": .string(kind(snapshot.kind)),
      "Started": .time(Timestamp(seconds: snapshot.started)),
      "Completed": .time(Timestamp(seconds: snapshot.completed)),
      "FilesystemId": .text(snapshot.fileSystemID),
      "FilesystemName": .text(snapshot.fileSystemName),
      "Files": .count(snapshot.statistics.files),
      "Bytes": .count(snapshot.statistics.bytes),
      "StoredBytes": .count(snapshot.statistics.bytesStored),
      "SpeedFactor": speedFactor.map { .number($0) } ?? .null,
      "Errors": .count(snapshot.statistics.errors),
      "Tags": .strings(snapshot.tags),
    ])
  }
}
