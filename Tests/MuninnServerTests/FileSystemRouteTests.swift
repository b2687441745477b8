import Foundation
import HTTPTypes
import HummingbirdTesting
import MuninnServer
import Testing

/// `/admin/fs/{name}`, `/fs`, `/fs/{name}/stats`.
@Suite struct FileSystemRouteTests {
  @Test func putMakesOneOverAnExistingDirectory() async throws {
    try await withServer { server in
      let tree = try server.makeTree()
      try await server.register("NorthwindFS", over: tree)
      #expect(try await server.send(.get, "/fs").body == #"["NorthwindFS"]"#)
      #expect(try server.contents(of: tree).count == 3)
    }
  }

  @Test func putMakesTheDirectoryWhereItIsAbsent() async throws {
    try await withServer { server in
      try await server.send(
        .put, "/admin/fs/X",
        "{\"Settings\":{\"Raven/FileSystem/DataDir\":\"~/FileSystems/Y\"},\"SecuredSettings\":{}}",
        expecting: 201)
      #expect(FileManager.default.fileExists(atPath: server.base + "/FileSystems/Y"))
      try await server.send(.put, "/admin/fs/Z", "{}", expecting: 201)
      #expect(FileManager.default.fileExists(atPath: server.base + "/FileSystems/Z"))
    }
  }

  @Test func putAgainIsAConflictWithoutUpdate() async throws {
    try await withServer { server in
      let tree = try server.makeTree()
      try await server.register("A", over: tree)
      try await server.send(.put, "/admin/fs/A", "{}", expecting: 409)
      try await server.send(.put, "/admin/fs/a", "{}", expecting: 409)
      try await server.send(.put, "/admin/fs/A?update=false", "{}", expecting: 409)
      for flag in ["true", "True", "TRUE"] {
        try await server.send(.put, "/admin/fs/A?update=\(flag)", "{'Settings':{}}", expecting: 201)
      }
      #expect(try await server.send(.get, "/fs/A/stats")["DataDirectory"] == .string(tree))
    }
  }

  @Test(arguments: [
    "a%20b", "a%2Fb", "%2e%2e", ".hidden", "a%00b", "%C3%A9", String(repeating: "n", count: 129),
  ])
  func badNamesAreRefused(_ name: String) async throws {
    try await withServer { server in
      try await server.send(.put, "/admin/fs/\(name)", "{}", expecting: 400)
    }
  }

  @Test(arguments: [
    "'c:\\\\data'", "'/a/../b'", "'relative'", "7", "'/'", "'~'", "'~/state/x'",
    "'~/muninn.sqlite'",
  ])
  func badDataDirectoriesAreRefused(_ directory: String) async throws {
    try await withServer { server in
      let reply = try await server.send(
        .put, "/admin/fs/X", "{'Settings':{'Raven/FileSystem/DataDir':\(directory)}}",
        expecting: 400)
      #expect(reply["Url"] == .string("/admin/fs/X"))
      #expect(reply["Error"] != nil)
      #expect(try await server.send(.get, "/fs").body == "[]")
    }
  }

  @Test func aFileIsNoDataDirectory() async throws {
    try await withServer { server in
      let tree = try server.makeTree()
      try await server.send(
        .put, "/admin/fs/X", "{'Settings':{'Raven/FileSystem/DataDir':'\(tree)/a.txt'}}",
        expecting: 400)
    }
  }

  @Test func settingNamesMatchIgnoringCase() async throws {
    try await withServer { server in
      let tree = try server.makeTree()
      try await server.send(
        .put, "/admin/fs/X", "{settings:{'raven/filesystem/datadir':'\(tree)'},Unknown:[1]}",
        expecting: 201)
      #expect(try await server.send(.get, "/fs/x/stats")["DataDirectory"] == .string(tree))
    }
  }

  @Test func deleteForgetsAndLeavesTheData() async throws {
    try await withServer { server in
      let tree = try server.makeTree()
      try await server.register("A", over: tree)
      try await server.send(.put, "/fs/A/config?name=k", "{}", expecting: 201)
      try await server.send(.delete, "/admin/fs/A", expecting: 204)
      #expect(try await server.send(.get, "/fs").body == "[]")
      #expect(try server.contents(of: tree).count == 3)
      try await server.send(.delete, "/admin/fs/A", expecting: 404)
      // Nothing of it is left for one of the same name.
      try await server.register("A", over: tree)
      try await server.send(.get, "/fs/A/config?name=k", expecting: 404)
    }
  }

  @Test func hardDeleteRemovesOnlyWhatTheServerMade() async throws {
    try await withServer { server in
      let tree = try server.makeTree()
      try await server.register("Given", over: tree)
      try await server.send(.delete, "/admin/fs/Given?hard-delete=true", expecting: 204)
      #expect(try server.contents(of: tree).count == 3)

      try await server.send(.put, "/admin/fs/Made", "{}", expecting: 201)
      let made = server.base + "/FileSystems/Made"
      try FileManager.default.createDirectory(
        atPath: made + "/x/y", withIntermediateDirectories: true)
      try "z".write(toFile: made + "/x/y/z", atomically: false, encoding: .utf8)
      try await server.send(.delete, "/admin/fs/Made?hard-delete=True", expecting: 204)
      #expect(!FileManager.default.fileExists(atPath: made))
    }
  }

  @Test func hardDeleteRemovesAGivenDirectoryThatItNames() async throws {
    try await withServer { server in
      let tree = try server.makeTree()
      try await server.register("A", over: tree)
      try await server.send(
        .delete, "/admin/fs/A?hard-delete=true&data-directory=/elsewhere", expecting: 400)
      #expect(try server.contents(of: tree).count == 3)
      try await server.send(
        .delete, "/admin/fs/A?hard-delete=true&data-directory=\(tree)", expecting: 204)
      #expect(!FileManager.default.fileExists(atPath: tree))
    }
  }

  @Test func hardDeleteSparesWhatLiesInAnotherFileSystem() async throws {
    try await withServer { server in
      try await server.send(.put, "/admin/fs/Outer", "{}", expecting: 201)
      let inner = server.base + "/FileSystems/Outer/inner"
      try await server.send(
        .put, "/admin/fs/Inner", "{'Settings':{'Raven/FileSystem/DataDir':'\(inner)'}}",
        expecting: 201)
      try await server.send(.delete, "/admin/fs/Outer?hard-delete=true", expecting: 409)
      #expect(FileManager.default.fileExists(atPath: inner))
      #expect(try await server.send(.get, "/fs").body == #"["Inner","Outer"]"#)
    }
  }

  @Test func statsOfANewOne() async throws {
    try await withServer { server in
      try await server.register("A", over: try server.makeTree())
      let stats = try await server.send(.get, "/fs/A/stats", expecting: 200)
      #expect(stats["Name"] == .string("A"))
      #expect(stats["RunningOperations"] == .array([]))
      #expect(stats.body.contains(#""LastBackup":null"#))
      try await server.send(.get, "/fs/B/stats", expecting: 404)
    }
  }

  @Test func locationsStayBelowTheAllowedRoots() async throws {
    try await withScratch { scratch in
      let root = scratch + "/allowed"
      for directory in [root, scratch + "/outside"] {
        try FileManager.default.createDirectory(
          atPath: directory, withIntermediateDirectories: true)
      }
      try FileManager.default.createSymbolicLink(
        atPath: root + "/link", withDestinationPath: scratch + "/outside")
      try await withServer(in: scratch, allowedRoots: [root]) { server in
        func put(_ name: String, _ path: String, expecting status: Int) async throws {
          try await server.send(
            .put, "/admin/fs/\(name)", "{'Settings':{'Raven/FileSystem/DataDir':'\(path)'}}",
            expecting: status)
        }
        try await put("A", root + "/a", expecting: 201)
        try await put("B", "~/b", expecting: 201)
        try await put("C", scratch + "/outside", expecting: 403)
        try await put("D", root + "/link/x", expecting: 403)
        try await put("E", root + "x", expecting: 403)
      }
    }
  }
}
