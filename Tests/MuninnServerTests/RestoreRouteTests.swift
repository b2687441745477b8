import Foundation
import HTTPTypes
import HummingbirdTesting
import MuninnServer
import Testing

/// `POST /admin/fs/restore` and what comes of it.
@Suite struct RestoreRouteTests {
  /// The page's own request, with its file system backed up and a location of this machine.
  private func prepare(_ server: ServerUnderTest) async throws -> String {
    let tree = try server.makeTree()
    try await server.register("NorthwindFS", over: tree)
    try await server.send(.put, "/fs/NorthwindFS/config?name=Key", "{'v':1}", expecting: 201)
    try await server.backUp("NorthwindFS", to: "~/temp/backup/NorthwindFS")
    return tree
  }

  private let pageRequest = #"""
    {'FilesystemName':'NewNorthwindFS','BackupLocation':'~/temp/backup/NorthwindFS',\#
    'IndexesLocation':null,'RestoreStartTimeout':null,\#
    'FilesystemLocation':'~\FileSystem\NewNorthwindFS','Defrag':false,'JournalsLocation':null}
    """#

  @Test(arguments: ["/admin/fs/restore", "/admin/fs-restore"])
  func thePagesRequestIsAnsweredWithAnOperation(_ path: String) async throws {
    try await withServer { server in
      let tree = try await prepare(server)
      let reply = try await server.send(.post, path, pageRequest, expecting: 200)
      #expect(reply.body == #"{"OperationId":2}"#)
      let end = try await server.finalStatus(operation: 2)
      #expect(end["Faulted"] == .bool(false), "\(end.body)")
      #expect(end["State"]?.object?["Error"] == .null, "\(end.body)")
      let target = server.base + "/FileSystem/NewNorthwindFS"
      #expect(try server.contents(of: target) == server.contents(of: tree))
      #expect(try await server.send(.get, "/fs").body == #"["NewNorthwindFS","NorthwindFS"]"#)
      let status = try await server.send(
        .get, "/docs/Raven/FileSystem/Restore/Status/NewNorthwindFS", expecting: 200)
      #expect(status["State"] == .string("Completed"))
      // Items travel, the backup status does not.
      #expect(try await server.send(.get, "/fs/NewNorthwindFS/config").body == #"["Key"]"#)
      #expect(try await server.send(.get, "/fs/NewNorthwindFS/config?name=key").body == #"{"v":1}"#)
      // Nothing of ours lies in the data.
      #expect(Set(try FileManager.default.contentsOfDirectory(atPath: target)) == ["a.txt", "b"])
    }
  }

  @Test(arguments: [true, false])
  func defragmentedOrNotTheTreeIsTheSame(_ defragment: Bool) async throws {
    try await withServer { server in
      let tree = try await prepare(server)
      let result = try await server.restore(
        "{'RestoreLocation':'~/temp/backup/NorthwindFS','FilesystemName':'R','Defrag':\(defragment)}"
      )
      #expect(result.status["Faulted"] == .bool(false), "\(result.status.body)")
      #expect(
        try server.contents(of: server.base + "/FileSystems/R") == server.contents(of: tree))
    }
  }

  @Test func aCloneBesideTheOriginalHasAnIdentityOfItsOwn() async throws {
    try await withServer { server in
      _ = try await prepare(server)
      let original = try await server.send(.get, "/fs/NorthwindFS/stats")["Id"]
      try await server.restore(pageRequest)
      #expect(try await server.send(.get, "/fs/NewNorthwindFS/stats")["Id"] != original)
      try await server.send(
        .post, "/fs/NewNorthwindFS/admin/backup",
        "{'BackupLocation':'~/temp/backup/NorthwindFS'}", expecting: 409)
      try await server.backUp("NewNorthwindFS", to: "~/own")
    }
  }

  @Test func aRestoreInPlaceOfTheOriginalKeepsItsIdentity() async throws {
    try await withServer { server in
      _ = try await prepare(server)
      let original = try await server.send(.get, "/fs/NorthwindFS/stats")["Id"]
      try await server.send(.delete, "/admin/fs/NorthwindFS?hard-delete=true", expecting: 204)
      // The name is the one in the backup.
      let result = try await server.restore("{'BackupLocation':'~/temp/backup/NorthwindFS'}")
      #expect(result.status["Faulted"] == .bool(false), "\(result.status.body)")
      #expect(try await server.send(.get, "/fs/NorthwindFS/stats")["Id"] == original)
      // It goes on in its own location, and no status says that a backup of it runs.
      try await server.send(.get, "/fs/NorthwindFS/config?name=Raven/Backup/Status", expecting: 404)
      try await server.backUp("NorthwindFS", to: "~/temp/backup/NorthwindFS", incremental: true)
    }
  }

  @Test func whatCanBeKnownIsAnsweredAtOnce() async throws {
    try await withServer { server in
      let tree = try await prepare(server)
      let good = "'BackupLocation':'~/temp/backup/NorthwindFS','FilesystemName':'R'"
      let repository = server.base + "/temp/backup/NorthwindFS"
      let bad: [(body: String, status: Int)] = [
        ("", 400), ("{}", 400), ("{'FilesystemName':'R'}", 400), ("{'BackupLocation':1}", 400),
        ("{'BackupLocation':'c:\\temp\\backup\\NorthwindFS'}", 400),
        ("{'BackupLocation':'~/none','FilesystemName':'R'}", 404),
        ("{'BackupLocation':'\(tree)','FilesystemName':'R'}", 422),
        ("{'BackupLocation':'~/temp/backup/NorthwindFS'}", 409),
        ("{\(good),'FilesystemLocation':'\(tree)'}", 409),
        ("{\(good),'FilesystemLocation':'\(tree)/a.txt'}", 409),
        ("{\(good),'FilesystemLocation':'relative'}", 400),
        ("{\(good),'FilesystemLocation':'~/../x'}", 400),
        ("{\(good),'FilesystemLocation':'\(repository)/inside'}", 400),
        ("{\(good),'FilesystemLocation':'~/R','IndexesLocation':'~/R/index'}", 400),
        ("{\(good),'FilesystemLocation':'~/R','JournalsLocation':'~/R'}", 400),
        ("{\(good),'Snapshot':'ffffffff'}", 404),
        ("{\(good),'Snapshot':'2001-01-01T00:00:00Z'}", 404),
        ("{\(good),'Snapshot':'yester-day'}", 400),
        ("{\(good),'RestoreStartTimeout':-1}", 400), ("{\(good),'RestoreStartTimeout':'x'}", 400),
        ("{\(good),'Paths':'b'}", 400),
        ("{'BackupLocation':'~/temp/backup/NorthwindFS','FilesystemName':'a b'}", 400),
      ]
      for (body, status) in bad {
        let reply = try await server.send(.post, "/admin/fs/restore", body)
        #expect(reply.status == status, "\(body): \(reply.body)")
        #expect(reply["Error"] != nil)
      }
      #expect(try await server.send(.get, "/fs").body == #"["NorthwindFS"]"#)
      #expect(!FileManager.default.fileExists(atPath: server.base + "/R"))
      // Nothing of that keeps the next restore from its turn.
      let result = try await server.restore("{\(good)}")
      #expect(result.status["Faulted"] == .bool(false), "\(result.status.body)")
    }
  }

  @Test func onlySomePaths() async throws {
    try await withServer { server in
      _ = try await prepare(server)
      let result = try await server.restore(
        "{'BackupLocation':'~/temp/backup/NorthwindFS','FilesystemName':'R','Paths':['b/d']}")
      #expect(result.status["Faulted"] == .bool(false), "\(result.status.body)")
      #expect(
        Set(try server.contents(of: server.base + "/FileSystems/R").keys) == ["b/d/e.bin"])
    }
  }

  @Test func aTimeChoosesTheNewestSnapshotUpToIt() async throws {
    try await withServer { server in
      let tree = try await prepare(server)
      let before = Timestamp.now
      try await Task.sleep(for: .milliseconds(20))
      try "late".write(toFile: tree + "/late", atomically: false, encoding: .utf8)
      try await server.backUp("NorthwindFS", to: "~/temp/backup/NorthwindFS", incremental: true)
      let result = try await server.restore(
        "{'BackupLocation':'~/temp/backup/NorthwindFS','FilesystemName':'R',"
          + "'Snapshot':'\(before.text)'}")
      #expect(result.status["Faulted"] == .bool(false), "\(result.status.body)")
      #expect(try server.contents(of: server.base + "/FileSystems/R")["late"] == nil)
    }
  }

  @Test func indexesAndJournalsLieWhereTheyWereAsked() async throws {
    try await withServer { server in
      _ = try await prepare(server)
      let result = try await server.restore(
        "{'BackupLocation':'~/temp/backup/NorthwindFS','FilesystemName':'R',"
          + "'IndexesLocation':'~/i','JournalsLocation':'~/j'}")
      #expect(result.status["Faulted"] == .bool(false), "\(result.status.body)")
      for place in ["/i", "/j"] {
        #expect(FileManager.default.fileExists(atPath: server.base + place))
      }
    }
  }

  @Test func aSecondRestoreWaitsOnlyWhereItAskedTo() async throws {
    try await withServer(.inside) { server in
      _ = try await prepare(server)
      let operations = server.server.core.operations
      try await operations.takeRestoreGate(waiting: nil)
      let body = "{'BackupLocation':'~/temp/backup/NorthwindFS','FilesystemName':'R'"
      try await server.send(.post, "/admin/fs/restore", body + "}", expecting: 503)
      try await server.send(
        .post, "/admin/fs/restore", body + ",'RestoreStartTimeout':0.05}", expecting: 503)
      async let reply = server.send(
        .post, "/admin/fs/restore", body + ",'RestoreStartTimeout':60}", expecting: 200)
      try await Task.sleep(for: .milliseconds(50))
      await operations.releaseRestoreGate()
      #expect(try await reply["OperationId"] == .integer(2))
      #expect(try await server.finalStatus(operation: 2)["Faulted"] == .bool(false))
    }
  }

  @Test func aReadOnlyRepositoryIsFine() async throws {
    try await withServer { server in
      _ = try await prepare(server)
      let copy = server.scratch + "/copy"
      try FileManager.default.copyItem(
        atPath: server.base + "/temp/backup/NorthwindFS", toPath: copy)
      try FileManager.default.setAttributes([.posixPermissions: 0o555], ofItemAtPath: copy)
      let result = try await server.restore("{'BackupLocation':'\(copy)','FilesystemName':'R'}")
      #expect(result.status["Faulted"] == .bool(false), "\(result.status.body)")
      try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: copy)
    }
  }
}
