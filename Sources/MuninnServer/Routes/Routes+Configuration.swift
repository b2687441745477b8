import HTTPTypes
import Hummingbird

extension Routes {
  private static let nameLimit = 1024

  func addConfiguration(to router: Router<ServerContext>) {
    let core = core
    router.get("fs/:name/config") { request, context in
      let fileSystem = try await core.fileSystem(named: try context.component("name"))
      guard request.query("name") != nil else {
        return try Answer.json(.strings(try await core.database.itemNames(of: fileSystem.id)))
      }
      let name = try Self.itemName(request)
      if BackupStatus.isName(name), let live = await core.operations.liveStatus(of: fileSystem.id) {
        return try Answer.json(live.json)
      }
      guard let text = try await core.database.itemText(name, of: fileSystem.id) else {
        throw Refusal(
          .notFound, "File system '\(fileSystem.name)' has no configuration item '\(name)'.")
      }
      return Answer.json(text: text)
    }
    router.put("fs/:name/config") { request, context in
      let fileSystem = try await core.fileSystem(named: try context.component("name"))
      let name = try Self.itemName(request)
      if BackupStatus.isName(name) {
        throw Refusal(.badRequest, "\(BackupStatus.itemName) is written by backups only.")
      }
      let value = JSONValue.object(try await request.object().members)
      try await core.database.put(name, value, of: fileSystem.id)
      return Answer.empty(.created)
    }
    router.delete("fs/:name/config") { request, context in
      let fileSystem = try await core.fileSystem(named: try context.component("name"))
      let name = try Self.itemName(request)
      if BackupStatus.isName(name), await core.operations.isBackupUnderWay(of: fileSystem.id) {
        throw Refusal(.conflict, "A backup is running; its status stays until it is over.")
      }
      guard try await core.database.removeItem(name, of: fileSystem.id) else {
        throw Refusal(
          .notFound, "File system '\(fileSystem.name)' has no configuration item '\(name)'.")
      }
      return Answer.empty(.noContent)
    }
  }

  private static func itemName(_ request: Request) throws(Refusal) -> String {
    let name = try request.required("name", "the configuration item's name")
    let hasControl = name.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7F }
    guard name.utf8.count <= nameLimit, !hasControl else {
      throw Refusal(
        .badRequest,
        "The name of a configuration item has at most \(nameLimit) bytes, and no control"
          + " characters.")
    }
    return name
  }
}
