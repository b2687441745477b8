import Foundation
import HTTPTypes
import HummingbirdTesting
import Muninn
import MuninnServer
import Testing

/// `POST /fs/{name}/admin/backup`, its status, and `/fs/{name}/admin/backups`.
@Suite struct BackupRouteTests {
  @Test(arguments: [Setup.inside, .wire])
  func theAnswerIs201WithTheOperationAndTheStatusExists(_ setup: Setup) async throws {
    try await withServer(setup) { server in
      try await server.register("NorthwindFS", over: try server.makeTree())
      let reply = try await server.send(
        .post, "/fs/NorthwindFS/admin/backup?incremental=false",
        "{'BackupLocation':'~\\Backup\\NorthwindFS'}", expecting: 201)
      #expect(reply.body.isEmpty)
      #expect(reply.headers[.location] == "/operation/status?id=1")
      try await server.send(
        .get, "/fs/NorthwindFS/config?name=Raven%2FBackup%2FStatus", expecting: 200)
      let status = try await server.finalStatus(of: "NorthwindFS")
      #expect(status["Success"] == .bool(true), "\(status.body)")
      for time in ["Started", "Completed"] {
        let text = try #require(status[time]?.string)
        #expect(text.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z/) != nil, "\(text)")
      }
      guard case .array(let messages) = status["Messages"] else {
        throw TestFailure(text: status.body)
      }
      for message in messages {
        #expect(message.object?["Severity"] == .string("Informational"), "\(message)")
      }
      #expect(status.body.contains("not encrypted"))
      let progress = try #require(status["Progress"]?.object)
      #expect(progress["FilesDone"] != nil && progress["CurrentPath"] != nil)
      let operation = try await server.finalStatus(operation: 1)
      #expect(operation["Faulted"] == .bool(false))
      // The location is below the base directory.
      #expect(FileManager.default.fileExists(atPath: server.base + "/Backup/NorthwindFS"))
      #expect(
        try await server.send(.get, "/fs/NorthwindFS/config").body == #"["Raven/Backup/Status"]"#)
    }
  }

  @Test func everySnapshotIsListedAndRestoresAlone() async throws {
    try await withServer { server in
      let tree = try server.makeTree()
      let location = server.scratch + "/backup"
      try await server.register("A", over: tree)
      // The first incremental backup is a whole one, and a second full one is allowed.
      try await server.backUp("A", to: location, incremental: true, ",'Tags':['first','x']")
      let before = try server.contents(of: tree)
      try "new".write(toFile: tree + "/new", atomically: false, encoding: .utf8)
      try FileManager.default.removeItem(atPath: tree + "/a.txt")
      try await server.backUp("A", to: location, incremental: true)
      let after = try server.contents(of: tree)
      try await server.backUp("A", to: location, incremental: false)

      let reply = try await server.send(.get, "/fs/A/admin/backups?location=\(location)")
      guard case .array(let list) = try reply.json else { throw TestFailure(text: reply.body) }
      let snapshots = list.compactMap(\.object)
      #expect(snapshots.count == 3)
      #expect(snapshots.first?["Tags"] == .array([.string("first"), .string("x")]))
      #expect(snapshots.map { $0["Kind"]?.string }.last == "Full")
      // All of it is so small that it lies in no container.
      #expect(snapshots.allSatisfy { $0["SpeedFactor"] == .integer(0) }, "\(reply.body)")
      #expect(try await server.finalStatus(of: "A").body.contains("speed factor"))
      #expect(snapshots.allSatisfy { $0["FilesystemName"] == .string("A") && $0["Files"] != nil })
      for (index, expected) in [before, after, after].enumerated() {
        let id = try #require(snapshots[index]["Id"]?.string)
        let target = server.scratch + "/restored-\(index)"
        let result = try await server.restore(
          "{'BackupLocation':'\(location)','FilesystemName':'R\(index)','Snapshot':'\(id)',"
            + "'FilesystemLocation':'\(target)'}")
        #expect(result.status["Faulted"] == .bool(false), "\(result.status.body)")
        #expect(try server.contents(of: target) == expected)
      }
      let stats = try await server.send(.get, "/fs/A/stats")
      #expect(stats["FileCount"] == .integer(3))
      #expect(stats["LastBackup"]?.object?["Success"] == .bool(true))
    }
  }

  @Test func excludesAreLeftOut() async throws {
    try await withServer { server in
      let tree = try server.makeTree()
      try await server.register("A", over: tree)
      let location = server.scratch + "/backup"
      try await server.backUp("A", to: location, ",'Excludes':['*.bin']")
      try await server.restore(
        "{'BackupLocation':'\(location)','FilesystemName':'B','FilesystemLocation':'~/b'}")
      #expect(Set(try server.contents(of: server.base + "/b").keys) == ["a.txt", "b/c.txt"])
    }
  }

  @Test func invalidRequestsAreRefusedBeforeTheStatusSaysRunning() async throws {
    try await withServer { server in
      let tree = try server.makeTree()
      try await server.register("A", over: tree)
      let other = server.scratch + "/other"
      try FileManager.default.createDirectory(atPath: other, withIntermediateDirectories: true)
      try "x".write(toFile: other + "/file", atomically: false, encoding: .utf8)
      let bad: [(body: String, status: Int)] = [
        ("", 400), ("nonsense", 400), ("{}", 400), ("{'BackupLocation':null}", 400),
        ("{'BackupLocation':7}", 400), ("{'BackupLocation':''}", 400),
        ("{'BackupLocation':'c:\\temp\\backup'}", 400), ("{'BackupLocation':'~\\temp'}", 400),
        ("{'BackupLocation':'s3://bucket/x'}", 400), ("{'BackupLocation':'/a/../b'}", 400),
        ("{'BackupLocation':'/a\\u0000b'}", 400), ("{'BackupLocation':'\(tree)/inside'}", 400),
        ("{'BackupLocation':'\(server.scratch)'}", 400), ("{'BackupLocation':'~/state'}", 400),
        ("{'BackupLocation':'\(other)/file'}", 400), ("{'BackupLocation':'\(other)'}", 422),
        ("{'BackupLocation':'~/b','Tags':'x'}", 400), ("{'BackupLocation':'~/b','Tags':[1]}", 400),
        ("{'BackupLocation':'~/b','FileSystemDocument':[]}", 400),
      ]
      for (body, status) in bad {
        let reply = try await server.send(.post, "/fs/A/admin/backup", body)
        #expect(reply.status == status, "\(body): \(reply.body)")
        #expect(reply["Url"] == .string("/fs/A/admin/backup"))
      }
      try await server.send(
        .post, "/fs/Unknown/admin/backup", "{'BackupLocation':'~/b'}", expecting: 404)
      try await server.send(.get, "/fs/A/config?name=Raven/Backup/Status", expecting: 404)
      #expect(try await server.send(.get, "/operations").body == "[]")
      // And none of it stands in the way of a good one.
      try await server.backUp("A", to: "~/b")
    }
  }

  @Test func aMissingDataDirectoryIsAConflict() async throws {
    try await withServer { server in
      let tree = try server.makeTree()
      try await server.register("A", over: tree)
      try FileManager.default.removeItem(atPath: tree)
      try await server.send(.post, "/fs/A/admin/backup", "{'BackupLocation':'~/b'}", expecting: 409)
    }
  }

  @Test func aLocationBelongsToTheFileSystemThatFirstUsedIt() async throws {
    try await withServer { server in
      try await server.register("First", over: try server.makeTree("one"))
      try await server.register("Second", over: try server.makeTree("two"))
      try await server.backUp("First", to: "~/b")
      let reply = try await server.send(
        .post, "/fs/Second/admin/backup", "{'BackupLocation':'~/b'}", expecting: 409)
      #expect(reply.body.contains("First"))
      // Saying so afterwards does not make it shared.
      try await server.send(
        .post, "/fs/Second/admin/backup", "{'BackupLocation':'~/b','Shared':true}", expecting: 409)
      try await server.backUp("First", to: "~/b", incremental: true)
    }
  }

  @Test func aSharedLocationTakesSeveral() async throws {
    try await withServer { server in
      try await server.register("First", over: try server.makeTree("one"))
      try await server.register("Second", over: try server.makeTree("two", files: ["z": "zeta"]))
      try await server.backUp("First", to: "~/b", ",'Shared':true")
      try await server.backUp("Second", to: "~/b", incremental: true)
      // Which one is meant has to be said then.
      try await server.send(
        .post, "/admin/fs/restore", "{'BackupLocation':'~/b','FilesystemName':'R'}", expecting: 400)
      let result = try await server.restore(
        "{'BackupLocation':'~/b','FilesystemName':'R','SourceFilesystem':'first'}")
      #expect(result.status["Faulted"] == .bool(false))
      #expect(try server.contents(of: server.base + "/FileSystems/R").count == 3)
      try await server.send(
        .post, "/admin/fs/restore",
        "{'BackupLocation':'~/b','FilesystemName':'Q','SourceFilesystem':'third'}", expecting: 404)
    }
  }

  @Test func ofTwoRequestsAtOnceOneIsRefused() async throws {
    try await withServer { server in
      var files: [String: String] = [:]
      for index in 0..<200 { files["f\(index)"] = String(repeating: "\(index) ", count: 2000) }
      try await server.register("A", over: try server.makeTree(files: files))
      let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
        for _ in 0..<8 {
          group.addTask {
            try await server.send(
              .post, "/fs/A/admin/backup", "{'BackupLocation':'~/b'}"
            ).status
          }
        }
        return try await group.reduce(into: [Int]()) { $0.append($1) }
      }
      #expect(Set(statuses).isSubset(of: [201, 409]))
      #expect(statuses.contains(201))
      _ = try await server.finalStatus(of: "A")
      // As many snapshots as were accepted.
      let reply = try await server.send(.get, "/fs/A/admin/backups?location=~/b")
      guard case .array(let list) = try reply.json else { throw TestFailure(text: reply.body) }
      #expect(list.count == statuses.filter { $0 == 201 }.count)
    }
  }

  @Test func pathsThatCannotBeReadAreReportedAndTheRestIsStored() async throws {
    guard getuid() != 0 else { return }
    try await withServer { server in
      let tree = try server.makeTree()
      try FileManager.default.setAttributes([.posixPermissions: 0], ofItemAtPath: tree + "/a.txt")
      try await server.register("A", over: tree)
      let status = try await server.backUp("A", to: "~/b")
      #expect(status.body.contains("a.txt"))
      #expect(status.body.contains(#""Severity":"Error""#))
    }
  }

  @Test func listingsOfWhatIsNoBackup() async throws {
    try await withServer { server in
      try await server.register("A", over: try server.makeTree())
      try await server.send(.get, "/fs/A/admin/backups", expecting: 400)
      try await server.send(.get, "/fs/A/admin/backups?location=~/none", expecting: 404)
      try await server.send(.get, "/fs/A/admin/backups?location=c:%5Cx", expecting: 400)
      try await server.send(
        .get, "/fs/A/admin/backups?location=\(server.scratch)/tree", expecting: 422)
      try await server.send(.get, "/fs/B/admin/backups?location=~/b", expecting: 404)
    }
  }
}
