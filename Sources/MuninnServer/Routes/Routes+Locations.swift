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
    // What is wrong with a request is said first; then that there is no engine for it.
    router.post("admin/fs/defrag") { request, _ -> Response in
      _ = try await core.repository(of: try await request.object())
      throw Refusal(
        .notImplemented, "This build cannot defragment a repository yet; nothing was changed.")
    }
  }
}
