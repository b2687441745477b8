import HTTPTypes
import Hummingbird

extension Routes {
  func addFileSystems(to router: Router<ServerContext>) {
    let core = core
    router.get("fs") { _, _ in
      try Answer.json(.strings(try await core.database.fileSystems().map(\.name)))
    }
    router.get("fs/:name/stats") { _, context in
      let fileSystem = try await core.fileSystem(named: try context.component("name"))
      return try Answer.json(try await core.statistics(of: fileSystem))
    }
    router.put("admin/fs/:name") { request, context in
      let name = try context.component("name")
      try FileSystemRecord.check(name: name)
      let document = try await request.object().members
      try await core.put(name, document, isUpdate: request.flag("update") ?? false)
      return Answer.empty(.created)
    }
    router.delete("admin/fs/:name") { request, context in
      try await core.remove(
        try context.component("name"), isHard: request.flag("hard-delete") ?? false,
        namedDirectory: request.query("data-directory"))
      return Answer.empty(.noContent)
    }
  }
}
