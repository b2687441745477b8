import HTTPTypes
import Hummingbird

extension Routes {
  func addRestore(to router: Router<ServerContext>) {
    let core = core
    for path: RouterPath in ["admin/fs/restore", "admin/fs-restore"] {
      router.post(path) { request, _ in
        let body = try await request.object()
        let id = try await core.startRestore(body: body, defragment: request.flag("defrag"))
        return try Answer.json(.object(["OperationId": .integer(id)]))
      }
    }
    router.get("docs/Raven/FileSystem/Restore/Status/:name") { _, context in
      let name = try context.component("name")
      guard let kept = try await core.database.latestRestore(named: name) else {
        throw Refusal(
          .notFound, "No restore of a file system named '\(name.prefix(200))' is known.")
      }
      return try Answer.json(Self.restoreStatus(await core.operations.current(of: kept)))
    }
  }

  private static func restoreStatus(_ record: OperationRecord) -> JSONValue {
    let state: String
    switch record.outcome {
    case .running: state = "Running"
    case .completed: state = "Completed"
    case .faulted, .canceled: state = "Faulted"
    }
    var messages = ["Restore from '\(record.location)' to '\(record.target ?? "")' started."]
    messages += record.messages
    return .object(["State": .string(state), "Messages": .strings(messages)])
  }
}
