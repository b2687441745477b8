import HTTPTypes
import Hummingbird

extension Routes {
  private static let pageLimit = 1024

  func addOperations(to router: Router<ServerContext>) {
    let core = core
    router.get("operation/status") { request, _ in
      let record = try await Self.record(try request.operationID(), core)
      return try Answer.json(.object(Self.statusWithMessages(record)))
    }
    router.get("operations") { request, _ in
      let start = try request.number("start", default: 0)
      let size = min(try request.number("pageSize", default: 128), Self.pageLimit)
      var list: [JSONValue] = []
      for kept in try await core.database.operations(start: start, count: size) {
        list.append(Self.summary(await core.operations.current(of: kept)))
      }
      return try Answer.json(.array(list))
    }
    for method in [HTTPRequest.Method.get, .post] {
      router.on("operation/kill", method: method) { request, _ in
        let id = try request.operationID()
        // One that is over already stays as it ended.
        if await !core.operations.cancel(id) { _ = try await Self.record(id, core) }
        return Answer.empty(.ok)
      }
    }
  }

  static func record(_ id: Int64, _ core: ServerCore) async throws -> OperationRecord {
    guard let record = try await core.operations.record(id) else {
      throw Refusal(.notFound, "There is no operation \(id).")
    }
    return record
  }

  /// `Completed` says that the operation is over, however it ended, as RavenDB's does.
  static func status(_ record: OperationRecord) -> [String: JSONValue] {
    [
      "Completed": .bool(record.outcome != .running),
      "Faulted": .bool(record.outcome == .faulted),
      "Canceled": .bool(record.outcome == .canceled),
      "State": .object(["Progress": record.progress, "Error": .text(record.error)]),
      "Exception": .null,
    ]
  }

  /// The same with what an operation that is over has to say.
  static func statusWithMessages(_ record: OperationRecord) -> [String: JSONValue] {
    var members = status(record)
    members["State"] = .object([
      "Progress": record.progress, "Error": .text(record.error),
      "Messages": .strings(record.messages),
    ])
    return members
  }

  private static func summary(_ record: OperationRecord) -> JSONValue {
    var members = status(record)
    members["Id"] = .integer(record.id)
    members["Type"] = .string(record.kind.name)
    members["FilesystemName"] = .text(record.fileSystemName.isEmpty ? nil : record.fileSystemName)
    members["BackupLocation"] = .string(record.location)
    members["StartTime"] = .time(record.started)
    members["EndTime"] = .time(record.completed)
    return .object(members)
  }
}
