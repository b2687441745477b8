import HTTPTypes
import Hummingbird

extension Routes {
  func addLocations(to router: Router<ServerContext>) {
    let core = core
    router.post("admin/fs/verify") { request, _ in
      let id = try await core.startVerify(try await request.object())
      return try Answer.json(.object(["OperationId": .integer(id)]))
    }
    router.post("admin/fs/prune") { request, _ in
      let id = try await core.startPrune(try await request.object())
      return try Answer.json(.object(["OperationId": .integer(id)]))
    }
    router.post("admin/fs/defrag") { request, _ in
      let id = try await core.startDefragment(try await request.object())
      return try Answer.json(.object(["OperationId": .integer(id)]))
    }
  }
}
