import HTTPTypes
import MuninnServer
import Testing

/// The rules of what to keep that a file system's document has.
@Suite struct RetentionRouteTests {
  private func document(_ tree: String, _ retention: String) -> String {
    "{'Settings':{'Raven/FileSystem/DataDir':'\(tree)'},'Retention':\(retention)}"
  }

  private func snapshots(_ server: ServerUnderTest, _ name: String, _ location: String) async throws
    -> [[String: JSONValue]]
  {
    let reply = try await server.send(
      .get, "/fs/\(name)/admin/backups?location=\(location)", expecting: 200)
    guard case .array(let list) = try reply.json else { throw TestFailure(text: reply.body) }
    return list.compactMap(\.object)
  }

  @Test func theyAreAppliedAfterEachBackup() async throws {
    try await withServer { server in
      let tree = try server.makeTree()
      try await server.send(
        .put, "/admin/fs/A", document(tree, "{'KeepLast':2,KeepTags:['gold']}"), expecting: 201)
      try await server.backUp("A", to: "~/b", ",'Tags':['gold']")
      for _ in 1...2 {
        let status = try await server.backUp("A", to: "~/b", incremental: true)
        #expect(status.body.contains("0 snapshots were forgotten"), "\(status.body)")
      }
      let status = try await server.backUp("A", to: "~/b", incremental: true)
      #expect(status.body.contains("1 snapshots were forgotten, 3 are kept"), "\(status.body)")
      let left = try await snapshots(server, "A", "~/b")
      #expect(left.count == 3)
      #expect(left.first?["Tags"] == .array([.string("gold")]))
      // What is left restores.
      let result = try await server.restore(
        "{'BackupLocation':'~/b','FilesystemName':'R','FilesystemLocation':'~/r'}")
      #expect(result.status["Faulted"] == .bool(false), "\(result.status.body)")
      // The restored one has the rules too.
      for _ in 1...3 { try await server.backUp("R", to: "~/own") }
      #expect(try await snapshots(server, "R", "~/own").count == 2)
      // Without rules everything is kept.
      try await server.send(.put, "/admin/fs/R?update=true", document(tree, "null"), expecting: 201)
      for _ in 1...2 {
        let status = try await server.backUp("R", to: "~/own", incremental: true)
        #expect(!status.body.contains("Retention"), "\(status.body)")
      }
      #expect(try await snapshots(server, "R", "~/own").count == 4)
    }
  }

  @Test func theyLookAtNoOtherFileSystemsSnapshots() async throws {
    try await withServer { server in
      try await server.register("Other", over: try server.makeTree("other"))
      let tree = try server.makeTree()
      try await server.send(
        .put, "/admin/fs/A", document(tree, "{'KeepLast':1}"), expecting: 201)
      try await server.backUp("Other", to: "~/b", ",'Shared':true")
      try await server.backUp("Other", to: "~/b")
      for _ in 1...3 { try await server.backUp("A", to: "~/b") }
      let names = try await snapshots(server, "A", "~/b").compactMap {
        $0["FilesystemName"]?.string
      }
      #expect(names == ["Other", "Other", "A"])
    }
  }

  @Test(arguments: [
    ("{}", "nothing to keep"), ("{'Utc':true}", "nothing to keep"), ("[]", "JSON object"),
    ("{'KeepLast':0}", "KeepLast"), ("{'KeepDaily':-1}", "KeepDaily"),
    ("{'KeepWeekly':1.5}", "KeepWeekly"), ("{'KeepMonthly':'x'}", "KeepMonthly"),
    ("{'KeepYearly':true}", "KeepYearly"), ("{'KeepHourly':1000001}", "KeepHourly"),
    ("{'KeepLats':3}", "no rule 'KeepLats'"), ("{'KeepWithin':'soon'}", "KeepWithin"),
    ("{'KeepWithin':''}", "KeepWithin"), ("{'KeepTags':'x'}", "KeepTags"),
  ])
  func thoseThatCannotBeUsedAreRefused(_ rules: String, _ word: String) async throws {
    try await withServer { server in
      let tree = try server.makeTree()
      let reply = try await server.send(
        .put, "/admin/fs/A", document(tree, rules), expecting: 400)
      #expect(reply["Error"]?.string?.contains(word) == true, "\(reply.body)")
      #expect(try await server.send(.get, "/fs").body == "[]")
      try await server.register("A", over: tree)
      try await server.send(
        .put, "/admin/fs/A?update=true", document(tree, rules), expecting: 400)
    }
  }

  @Test(arguments: [
    "{'KeepLast':'3'}", "{keepdaily:7,KEEPWITHIN:'1y6m'}", "{'KeepTags':['a'],'Utc':true}",
  ])
  func thoseThatCanAreTaken(_ rules: String) async throws {
    try await withServer { server in
      try await server.send(
        .put, "/admin/fs/A", document(try server.makeTree(), rules), expecting: 201)
      #expect(try await server.backUp("A", to: "~/b").body.contains("1 are kept"))
    }
  }
}
