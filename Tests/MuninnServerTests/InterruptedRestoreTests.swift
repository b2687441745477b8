import Foundation
import HTTPTypes
import MuninnServer
import Testing

/// Restores that do not get to their end: of a server that is killed, that is stopped, and by
/// request.
@Suite struct InterruptedRestoreTests {
  private let restore = "{'BackupLocation':'~/b','FilesystemName':'R','FilesystemLocation':'~/r'}"

  /// A tree whose restore takes a while, backed up.
  private func prepare(_ server: ServerUnderTest) async throws -> String {
    let tree = server.scratch + "/tree"
    try FileManager.default.createDirectory(
      atPath: tree + "/d", withIntermediateDirectories: true)
    let noise = try FileHandle(forReadingFrom: URL(fileURLWithPath: "/dev/urandom"))
    for name in ["a", "d/b", "z"] {
      let bytes = try noise.read(upToCount: 8 << 20) ?? Data()
      try bytes.write(to: URL(fileURLWithPath: tree + "/" + name))
    }
    for index in 0..<500 {
      try "\(index)".write(toFile: "\(tree)/d/\(index)", atomically: false, encoding: .utf8)
    }
    try await server.register("A", over: tree)
    try await server.backUp("A", to: "~/b")
    return tree
  }

  private func isSame(_ tree: String, _ other: String) throws -> Bool {
    let names = Set(FileManager.default.subpaths(atPath: tree) ?? [])
    guard names == Set(FileManager.default.subpaths(atPath: other) ?? []) else { return false }
    return names.allSatisfy {
      let isDirectory = $0 == "d"
      return isDirectory
        || FileManager.default.contentsEqual(atPath: tree + "/" + $0, andPath: other + "/" + $0)
    }
  }

  /// Starts the restore and waits until something was written; nil where it was over before that
  /// was seen.
  private func begin(_ server: ServerUnderTest) async throws -> Int64? {
    let reply = try await server.send(.post, "/admin/fs/restore", restore, expecting: 200)
    guard case .integer(let id)? = reply["OperationId"] else {
      throw TestFailure(text: reply.body)
    }
    while true {
      let status = try await server.send(.get, "/operation/status?id=\(id)", expecting: 200)
      if status["Completed"] == .bool(true) { return nil }
      let names = try? FileManager.default.contentsOfDirectory(atPath: server.base + "/r")
      if names?.isEmpty == false { return id }
      try await Task.sleep(for: .milliseconds(1))
    }
  }

  @Test(arguments: [SIGKILL, SIGTERM])
  func theSameRequestGoesOnWithOneOfAServerThatEnded(_ signal: Int32) async throws {
    try await withScratch { scratch in
      let tree = try await withServer(in: scratch) { try await prepare($0) }
      for _ in 1...10 {
        let process = try await ServerProcess.start(
          base: scratch + "/base", log: scratch + "/log")
        let server = ServerUnderTest(scratch: scratch, inner: nil, process: process) {
          try await process.send($0, $1, $2, $3)
        }
        let id = try await begin(server)
        process.signal(signal)
        #expect(try await process.status() == (signal == SIGKILL ? 128 + SIGKILL : 0))
        let wasMet = try await withServer(in: scratch) { server in
          guard let id else { return false }
          let end = try await server.finalStatus(operation: id)
          guard end["Faulted"] == .bool(true) || end["Canceled"] == .bool(true) else {
            return false
          }
          let error = try #require(end["State"]?.object?["Error"]?.string)
          guard error.contains("goes on with it") else { return false }
          let status = try await server.send(
            .get, "/docs/Raven/FileSystem/Restore/Status/R", expecting: 200)
          #expect(status["State"] == .string("Faulted"))
          #expect(status.body.contains("goes on with it"))
          #expect(try await server.send(.get, "/fs").body == #"["A"]"#)
          // Only the same restore may go on there.
          try await server.send(
            .post, "/admin/fs/restore", restore.dropLast() + ",'Paths':['d']}", expecting: 409)
          let again = try await server.restore(restore)
          #expect(again.status["Faulted"] == .bool(false), "\(again.status.body)")
          #expect(again.status.body.contains("Went on"), "\(again.status.body)")
          #expect(try isSame(tree, server.base + "/r"))
          // The directory is the server's own still.
          try await server.send(.delete, "/admin/fs/R?hard-delete=true", expecting: 204)
          #expect(!FileManager.default.fileExists(atPath: server.base + "/r"))
          return true
        }
        if wasMet { return }
        try await withServer(in: scratch) { server in
          _ = try await server.send(.delete, "/admin/fs/R?hard-delete=true")
          try? FileManager.default.removeItem(atPath: server.base + "/r")
        }
      }
      Issue.record("no restore was interrupted while it was running")
    }
  }

  @Test func oneThatIsCancelledIsRemovedAndCanBeAskedForAgain() async throws {
    try await withServer { server in
      let tree = try await prepare(server)
      for _ in 1...10 {
        let id = try await begin(server)
        if let id { try await server.send(.get, "/operation/kill?id=\(id)", expecting: 200) }
        let end = if let id { try await server.finalStatus(operation: id) } else { Reply?.none }
        guard let end, end["Canceled"] == .bool(true) else {
          try await server.send(.delete, "/admin/fs/R?hard-delete=true", expecting: 204)
          continue
        }
        #expect(end.body.contains("was removed"), "\(end.body)")
        #expect(!FileManager.default.fileExists(atPath: server.base + "/r"))
        #expect(try await server.send(.get, "/fs").body == #"["A"]"#)
        let again = try await server.restore(restore)
        #expect(again.status["Faulted"] == .bool(false), "\(again.status.body)")
        #expect(try isSame(tree, server.base + "/r"))
        return
      }
      Issue.record("no restore was cancelled while it was running")
    }
  }

  /// A server that ended between a restore's end and its registration leaves a complete target and
  /// no journal of it.
  @Test func oneWithoutItsJournalIsCompletedAndNothingElseIsRemoved() async throws {
    try await withScratch { scratch in
      let target = scratch + "/base/r"
      let tree = try await withServer(in: scratch, .inside) { server in
        let tree = try server.makeTree()
        try await server.register("A", over: tree)
        try await server.backUp("A", to: "~/b")
        let reply = try await server.send(.get, "/fs/A/admin/backups?location=~/b")
        guard case .array(let list) = try reply.json, let id = list.first?.object?["Id"]?.string
        else { throw TestFailure(text: reply.body) }
        _ = try await server.server.core.database.begin(
          NewOperation(
            kind: .restore, fileSystemID: "0", fileSystemName: "R", location: "/x",
            started: .now, target: target, snapshot: id,
            resumption: Resumption(journals: scratch + "/none", made: [target]),
            progress: .object([:])), status: nil)
        _ = try server.makeTree("base/r", files: ["a.txt": "half", "other/x": "y"])
        return tree
      }
      try await withServer(in: scratch, .inside) { server in
        let result = try await server.restore(restore)
        #expect(result.status["Faulted"] == .bool(false), "\(result.status.body)")
        var expected = try server.contents(of: tree)
        expected["other/x"] = "y"
        #expect(try server.contents(of: target) == expected)
        // Once it is whole, it is no unfinished one.
        try await server.send(.delete, "/admin/fs/R", expecting: 204)
        try await server.send(.post, "/admin/fs/restore", restore, expecting: 409)
      }
    }
  }
}
