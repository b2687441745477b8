import Foundation
import HTTPTypes
import Muninn
import MuninnServer
import Testing

/// `POST /admin/fs/verify`, `prune` and `defrag`, and `GET /operation/events`.
@Suite struct LocationRouteTests {
  private func id(_ reply: Reply) throws -> Int64 {
    guard case .integer(let id) = reply["OperationId"] else { throw TestFailure(text: reply.body) }
    return id
  }

  @Test(arguments: [false, true]) func aSoundLocationVerifies(_ readsData: Bool) async throws {
    try await withServer { server in
      try await server.register("A", over: try server.makeTree())
      try await server.backUp("A", to: "~/b")
      let reply = try await server.send(
        .post, "/admin/fs/verify", "{'BackupLocation':'~/b','ReadData':\(readsData)}",
        expecting: 200)
      let end = try await server.finalStatus(operation: try id(reply))
      #expect(end["Faulted"] == .bool(false), "\(end.body)")
      let list = try await server.send(.get, "/operations", expecting: 200)
      #expect(list.body.contains(#""Type":"Verify""#))
      #expect(list.body.contains(#""FilesystemName":null"#))
    }
  }

  @Test func aDamagedLocationIsFaultedAndSaysWhere() async throws {
    try await withServer { server in
      try await server.register("A", over: try server.makeTree())
      try await server.backUp("A", to: "~/b")
      let containers = server.base + "/b/containers"
      let names = try #require(FileManager.default.subpaths(atPath: containers))
      for name in names {
        var isDirectory: ObjCBool = false
        let path = containers + "/" + name
        _ = FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory)
        if !isDirectory.boolValue { try FileManager.default.removeItem(atPath: path) }
      }
      let reply = try await server.send(
        .post, "/admin/fs/verify", "{'BackupLocation':'~/b'}", expecting: 200)
      let end = try await server.finalStatus(operation: try id(reply))
      #expect(end["Faulted"] == .bool(true), "\(end.body)")
      #expect(end.body.contains("damaged"), "\(end.body)")
      // Its messages name the objects.
      #expect(end["State"]?.object?["Messages"] != .array([]))
      #expect(end.body.contains("containers/"), "\(end.body)")
    }
  }

  @Test(arguments: ["verify", "prune", "defrag"])
  func badLocationsAreRefused(_ name: String) async throws {
    try await withServer { server in
      let path = "/admin/fs/\(name)"
      try await server.send(.post, path, nil, expecting: 400)
      try await server.send(.post, path, "{}", expecting: 400)
      try await server.send(.post, path, "{'BackupLocation':'c:\\\\x'}", expecting: 400)
      try await server.send(.post, path, "{'BackupLocation':'~/none'}", expecting: 404)
      let tree = try server.makeTree()
      try await server.send(.post, path, "{'BackupLocation':'\(tree)'}", expecting: 422)
      // The names are taken by these routes.
      try await server.send(.put, path, "{}", expecting: 405)
      try await server.send(
        .post, "/admin/fs/restore", "{'FilesystemName':'\(name)'}", expecting: 400)
      #expect(try await server.send(.get, "/operations").body == "[]")
    }
  }

  /// Bytes of the containers at `location`.
  private func containerBytes(_ location: String) throws -> Int {
    let names = FileManager.default.subpaths(atPath: location + "/containers") ?? []
    return try names.reduce(0) { sum, name in
      let attributes = try FileManager.default.attributesOfItem(
        atPath: location + "/containers/" + name)
      let isFile = attributes[.type] as? FileAttributeType == .typeRegular
      return sum + (isFile ? attributes[.size] as? Int ?? 0 : 0)
    }
  }

  @Test func pruneGivesBackWhatNoSnapshotNeeds() async throws {
    try await withServer { server in
      let tree = server.scratch + "/tree"
      let noise =
        try FileHandle(forReadingFrom: URL(fileURLWithPath: "/dev/urandom"))
        .read(upToCount: 100_000) ?? Data()
      try FileManager.default.createDirectory(atPath: tree, withIntermediateDirectories: true)
      try noise.write(to: URL(fileURLWithPath: tree + "/old"))
      try await server.send(
        .put, "/admin/fs/A",
        "{'Settings':{'Raven/FileSystem/DataDir':'\(tree)'},'Retention':{'KeepLast':1}}",
        expecting: 201)
      try await server.backUp("A", to: "~/b")
      try FileManager.default.removeItem(atPath: tree + "/old")
      try "new".write(toFile: tree + "/new", atomically: false, encoding: .utf8)
      try await server.backUp("A", to: "~/b", incremental: true)
      let location = server.base + "/b"
      let before = try containerBytes(location)
      #expect(before > noise.count)
      func prune(_ more: String) async throws -> Reply {
        let reply = try await server.send(
          .post, "/admin/fs/prune", "{'BackupLocation':'~/b'\(more)}", expecting: 200)
        let end = try await server.finalStatus(operation: try id(reply))
        #expect(end["Faulted"] == .bool(false), "\(end.body)")
        #expect(end["State"]?.object?["Error"] == .null)
        return end
      }
      #expect(try await prune(",'DryRun':true").body.contains("would be deleted"))
      #expect(try containerBytes(location) == before)
      let end = try await prune("")
      #expect(end.body.contains("were deleted"))
      #expect(try containerBytes(location) < before - noise.count, "\(end.body)")
      let list = try await server.send(.get, "/operations", expecting: 200)
      #expect(list.body.contains(#""Type":"Prune""#))
      // What is kept is whole.
      let verify = try await server.send(
        .post, "/admin/fs/verify", "{'BackupLocation':'~/b','ReadData':true}", expecting: 200)
      let verified = try await server.finalStatus(operation: try id(verify))
      #expect(verified["Faulted"] == .bool(false), "\(verified.body)")
      #expect(verified.body.contains("All is well"))
    }
  }

  @Test func oneUpkeepOfALocationAtATime() async throws {
    try await withServer(.inside) { server in
      try await server.register("A", over: try server.makeTree())
      try await server.backUp("A", to: "~/b")
      let repository = try await Repository.open(at: server.base + "/b")
      let operations = server.server.core.operations
      try await operations.hold(upkeepOf: repository)
      let body = "{'BackupLocation':'~/b'}"
      for name in ["prune", "defrag"] {
        try await server.send(.post, "/admin/fs/\(name)", body, expecting: 409)
      }
      // Backups go on beside it.
      try await server.backUp("A", to: "~/b", incremental: true)
      await operations.release(upkeepOf: repository)
      let reply = try await server.send(.post, "/admin/fs/prune", body, expecting: 200)
      _ = try await server.finalStatus(operation: try id(reply))
    }
  }

  @Test func defragKeepsWhatSnapshotsHave() async throws {
    try await withServer { server in
      let tree = try server.makeTree()
      try await server.register("A", over: tree)
      for index in 0..<4 {
        try String(repeating: "\(index) ", count: 5000)
          .write(toFile: "\(tree)/\(index)", atomically: false, encoding: .utf8)
        try await server.backUp("A", to: "~/b", incremental: true)
      }
      for more in [",'DryRun':true", "", ",'Recompress':true"] {
        let reply = try await server.send(
          .post, "/admin/fs/defrag", "{'BackupLocation':'~/b'\(more)}", expecting: 200)
        let end = try await server.finalStatus(operation: try id(reply))
        #expect(end["Faulted"] == .bool(false), "\(end.body)")
        #expect(end.body.contains("The newest snapshots needed"), "\(end.body)")
      }
      let list = try await server.send(.get, "/operations", expecting: 200)
      #expect(list.body.contains(#""Type":"Defrag""#))
      let verify = try await server.send(
        .post, "/admin/fs/verify", "{'BackupLocation':'~/b','ReadData':true}", expecting: 200)
      let verified = try await server.finalStatus(operation: try id(verify))
      #expect(verified["Faulted"] == .bool(false), "\(verified.body)")
      try await server.restore("{'BackupLocation':'~/b','FilesystemName':'R'}")
      #expect(try server.contents(of: server.base + "/FileSystems/R") == server.contents(of: tree))
    }
  }

  @Test func eventsEndWithTheOperation() async throws {
    try await withServer { server in
      try await server.register("A", over: try server.makeTree())
      try await server.send(
        .post, "/fs/A/admin/backup", "{'BackupLocation':'~/b'}", expecting: 201)
      let reply = try await server.send(.get, "/operation/events?id=1", expecting: 200)
      #expect(reply.headers[.contentType] == "text/event-stream; charset=utf-8")
      let events = reply.body.components(separatedBy: "\n\n").dropLast()
      #expect(events.dropLast().allSatisfy { $0.hasPrefix("event: progress\ndata: {") })
      let last = try #require(events.last)
      #expect(last.hasPrefix("event: end\ndata: {"), "\(reply.body)")
      let data = try JSONValue(text: String(last.dropFirst("event: end\ndata: ".count)))
      let status = try await server.send(.get, "/operation/status?id=1", expecting: 200)
      #expect(data == (try status.json))
      try await server.send(.get, "/operation/events", expecting: 400)
      try await server.send(.get, "/operation/events?id=7", expecting: 404)
    }
  }

  @Test func notMoreOperationsThanAllowedRun() async throws {
    try await withServer(.inside) { server in
      let operations = server.server.core.operations
      await operations.setLimit(1)
      let latch = Latch()
      let new = NewOperation(
        kind: .verify, fileSystemID: "", fileSystemName: "", location: "/x", started: .now,
        progress: .object([:]))
      let id = try await operations.start(new) { _ in
        try? await latch.wait()
        return OperationEnd(.completed)
      } release: { _ in
      }
      try await server.register("A", over: try server.makeTree())
      let refused = try await server.send(
        .post, "/fs/A/admin/backup", "{'BackupLocation':'~/b'}", expecting: 503)
      #expect(refused.headers[.retryAfter] != nil)
      try await server.send(.get, "/fs/A/config?name=Raven/Backup/Status", expecting: 404)
      await latch.open()
      _ = try await server.finalStatus(operation: id)
      try await server.backUp("A", to: "~/b")
    }
  }
}
