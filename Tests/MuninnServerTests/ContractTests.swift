import Foundation
import HTTPTypes
import Muninn
import MuninnServer
import Testing

/// Rules of the wire that hold across routes, and what backups promise about cost and content.
@Suite struct ContractTests {
  @Test(arguments: [
    ("true", true), ("True", true), ("TRUE", true), ("false", false), ("1", false),
    ("yes", false), ("", false), ("truex", false),
  ])
  func flagsAreTrueIfTheySayTrue(_ value: String, _ isTrue: Bool) async throws {
    try await withServer { server in
      let tree = try server.makeTree()
      try await server.register("A", over: tree)
      try await server.backUp("A", to: "~/b")
      // incremental
      try await server.send(
        .post, "/fs/A/admin/backup?incremental=\(value)", "{'BackupLocation':'~/b'}",
        expecting: 201)
      _ = try await server.finalStatus(of: "A")
      let reply = try await server.send(.get, "/fs/A/admin/backups?location=~/b")
      guard case .array(let list) = try reply.json, let last = list.last?.object else {
        throw TestFailure(text: reply.body)
      }
      #expect(last["Kind"] == .string(isTrue ? "Incremental" : "Full"))
      // defrag, over what the body says
      try await server.send(
        .post, "/admin/fs/restore?defrag=\(value)",
        "{'BackupLocation':'~/b','FilesystemName':'R','Defrag':\(!isTrue)}", expecting: 200)
      let end = try await server.finalStatus(operation: 3)
      #expect(end["Faulted"] == .bool(false), "\(end.body)")
      // update
      try await server.send(
        .put, "/admin/fs/A?update=\(value)",
        "{'Settings':{'Raven/FileSystem/DataDir':'\(tree)'}}", expecting: isTrue ? 201 : 409)
      // hard-delete
      try await server.send(.delete, "/admin/fs/R?hard-delete=\(value)", expecting: 204)
      #expect(FileManager.default.fileExists(atPath: server.base + "/FileSystems/R") == !isTrue)
    }
  }

  @Test func namesOfQueryParametersMatchIgnoringCase() async throws {
    try await withServer { server in
      try await server.register("A", over: try server.makeTree())
      try await server.send(.put, "/fs/A/config?NAME=k", "{}", expecting: 201)
      try await server.send(.get, "/fs/A/config?Name=k", expecting: 200)
      try await server.send(.delete, "/admin/fs/A?Hard-Delete=true", expecting: 204)
    }
  }

  @Test func nullsAreWritten() async throws {
    try await withServer { server in
      try await server.register("A", over: try server.makeTree())
      try await server.backUp("A", to: "~/b")
      let status = try await server.send(.get, "/operation/status?id=1", expecting: 200)
      let members = try #require(try status.json.object)
      #expect(
        Set(members.keys) == ["Completed", "Faulted", "Canceled", "State", "Exception"])
      #expect(members["Exception"] == .null)
      #expect(members["State"]?.object?["Error"] == .null)
      let backup = try #require(
        try await server.send(.get, "/fs/A/config?name=Raven/Backup/Status").json.object)
      #expect(
        Set(backup.keys) == [
          "Started", "Completed", "IsRunning", "Success", "Messages", "Progress",
        ])
      guard case .array(let messages)? = backup["Messages"] else {
        throw TestFailure(text: "no messages")
      }
      for message in messages {
        #expect(
          Set(message.object?.keys.map { $0 } ?? [])
            == ["Message", "Details", "Timestamp", "Severity"])
      }
    }
  }

  @Test func errorsNameTheRequestAndWhatToDo() async throws {
    try await withServer { server in
      let requests: [(HTTPRequest.Method, String, Int)] = [
        (.get, "/operation/status?id=x", 400), (.get, "/fs/none/stats", 404),
        (.get, "/operation/status?id=9", 404), (.post, "/fs", 405),
        (.post, "/fs/none/admin/backup?incremental=true", 400),
      ]
      for (method, uri, status) in requests {
        let reply = try await server.send(method, uri, expecting: status)
        let members = try #require(try reply.json.object)
        #expect(Set(members.keys) == ["Url", "Error"])
        #expect(members["Url"] == .string(uri))
        #expect(members["Error"]?.string?.isEmpty == false)
        #expect(reply.headers[.contentType] == "application/json; charset=utf-8")
      }
    }
  }

  @Test func aStatusSurvivesARestartAndIsReplacedByTheNextBackup() async throws {
    try await withScratch { scratch in
      let first = try await withServer(in: scratch) { server in
        try await server.register("A", over: try server.makeTree())
        return try await server.backUp("A", to: "~/b").body
      }
      try await withServer(in: scratch) { server in
        let kept = try await server.send(
          .get, "/fs/A/config?name=Raven%2FBackup%2FStatus", expecting: 200)
        #expect(kept.body == first)
        #expect(kept.headers[.cacheControl] == "no-cache")
        let operation = try await server.send(.get, "/operation/status?id=1", expecting: 200)
        #expect(operation["Completed"] == .bool(true))
        let second = try await server.backUp("A", to: "~/b")
        #expect(second["Started"] != kept["Started"])
        #expect(
          try await server.send(.get, "/fs/A/config").body == #"["Raven/Backup/Status"]"#)
      }
    }
  }

  /// Bytes that backups have read since the server began.
  private func bytesRead(_ server: ServerUnderTest) async throws -> Int {
    let text = try await server.send(.get, "/metrics", expecting: 200).body
    let line = text.split(separator: "\n").first {
      $0.hasPrefix("muninn_backup_bytes_read_total ")
    }
    return Int(line?.split(separator: " ").last ?? "") ?? 0
  }

  @Test func fullReadsEverythingAndIncrementalWhatChanged() async throws {
    try await withServer { server in
      var files: [String: String] = [:]
      for index in 0..<20 { files["d/\(index)"] = String(repeating: "\(index) ", count: 3000) }
      let tree = try server.makeTree(files: files)
      let size = files.values.reduce(0) { $0 + $1.utf8.count }
      try await server.register("A", over: tree)
      try await server.backUp("A", to: "~/b")
      #expect(try await bytesRead(server) == size)
      let list = try await server.send(.get, "/fs/A/admin/backups?location=~/b", expecting: 200)
      guard case .array(let snapshots) = try list.json,
        case .number(let factor)? = snapshots.first?.object?["SpeedFactor"]
      else { throw TestFailure(text: list.body) }
      // All of it lies in one container.
      #expect(factor > 0.9 * Double(size) / 1_048_576, "\(list.body)")
      try await server.backUp("A", to: "~/b", incremental: true)
      #expect(try await bytesRead(server) == size)
      try await server.backUp("A", to: "~/b", incremental: false)
      #expect(try await bytesRead(server) == 2 * size)
      // Restored under its own identity it goes on as if it had never moved.
      try await server.send(.delete, "/admin/fs/A", expecting: 204)
      let result = try await server.restore(
        "{'BackupLocation':'~/b','FilesystemLocation':'~/elsewhere'}")
      #expect(result.status["Faulted"] == .bool(false), "\(result.status.body)")
      try await server.backUp("A", to: "~/b", incremental: true)
      #expect(try await bytesRead(server) == 2 * size)
    }
  }

  @Test func theDocumentTravelsWithItsSecretsOrIsTheOneThatWasGiven() async throws {
    try await withServer { server in
      let tree = try server.makeTree()
      try await server.send(
        .put, "/admin/fs/A",
        "{'Settings':{'Raven/FileSystem/DataDir':'\(tree)'},'SecuredSettings':{'k':'hidden'}}",
        expecting: 201)
      try await server.backUp("A", to: "~/b")
      try await server.backUp("A", to: "~/b", ",'FileSystemDocument':{'Settings':{'x':'given'}}")
      let snapshots = try await Repository.open(at: server.base + "/b").snapshots()
      let documents = try snapshots.map { try JSONValue(text: $0.document ?? "null") }
        .map { $0.object?["FileSystemDocument"]?.object }
      #expect(documents.count == 2)
      #expect(documents[0]?["SecuredSettings"] == .object(["k": .string("hidden")]))
      #expect(documents[1] == ["Settings": .object(["x": .string("given")])])
    }
  }

  @Test func anUploadThatDoesNotFitIsRefusedBeforeItIsSent() async throws {
    try await withServer { server in
      try await server.register("A", over: try server.makeTree(files: ["a": "old"]))
      let connection = try RawConnection(port: try #require(server.process?.port))
      try connection.send(
        "PUT /fs/A/files/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
          + "Content-Length: 1152921504606846976\r\n\r\nstart")
      let reply = connection.receive(seconds: 20)
      #expect(reply.text.hasPrefix("HTTP/1.1 507"), "\(reply.text)")
      #expect(try server.contents(of: server.scratch + "/tree") == ["a": "old"])
    }
  }

  /// A backup meets the old file or the new one, each whole, while uploads replace it.
  @Test func filesAreWholeInBackupsThatRunBesideUploads() async throws {
    try await withServer { server in
      try await server.register("A", over: try server.makeTree(files: ["x/other": "o"]))
      let contents = ["a", "b"].map { String(repeating: $0, count: 2 << 20) }
      try await server.send(.put, "/fs/A/files/x/f", contents[0], expecting: 201)
      let uploads = Task {
        var count = 0
        while !Task.isCancelled {
          count += 1
          try await server.send(.put, "/fs/A/files/x/f", contents[count % 2], expecting: 201)
        }
        return count
      }
      for _ in 1...6 {
        let status = try await server.backUp("A", to: "~/b", incremental: true)
        #expect(!status.body.contains(#""Severity":"Error""#), "\(status.body)")
      }
      uploads.cancel()
      _ = await uploads.result
      let reply = try await server.send(.get, "/fs/A/admin/backups?location=~/b")
      guard case .array(let list) = try reply.json else { throw TestFailure(text: reply.body) }
      for (index, snapshot) in list.enumerated() {
        let id = try #require(snapshot.object?["Id"]?.string)
        let name = "R\(index)"
        try await server.restore(
          "{'BackupLocation':'~/b','FilesystemName':'\(name)','Snapshot':'\(id)'}")
        let found = try server.contents(of: server.base + "/FileSystems/" + name)
        #expect(Set(found.keys) == ["x/other", "x/f"])
        #expect(contents.contains(found["x/f"] ?? ""), "snapshot \(index) mixes two files")
      }
      #expect(list.count == 6)
    }
  }

  @Test func hardDeleteRemovesIndexAndJournalThatTheServerMade() async throws {
    try await withServer { server in
      let manager = FileManager.default
      try await server.register("A", over: try server.makeTree())
      try await server.backUp("A", to: "~/b")
      let kept = server.scratch + "/kept"
      try manager.createDirectory(atPath: kept, withIntermediateDirectories: true)
      for (name, index) in [("R", "~/i"), ("Q", kept)] {
        let result = try await server.restore(
          "{'BackupLocation':'~/b','FilesystemName':'\(name)','IndexesLocation':'\(index)',"
            + "'JournalsLocation':'~/j-\(name)'}")
        #expect(result.status["Faulted"] == .bool(false), "\(result.status.body)")
        try await server.send(.delete, "/admin/fs/\(name)?hard-delete=true", expecting: 204)
        #expect(!manager.fileExists(atPath: server.base + "/FileSystems/\(name)"))
        #expect(!manager.fileExists(atPath: server.base + "/j-\(name)"))
      }
      #expect(!manager.fileExists(atPath: server.base + "/i"))
      #expect(manager.fileExists(atPath: kept))
    }
  }
}
