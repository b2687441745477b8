import Foundation
import HTTPTypes
import MuninnServer
import Testing

/// `/fs/{name}/files`: upload, download, metadata, delete, browse.
@Suite struct FileRouteTests {
  private let rating = HTTPField.Name("X-Rating") ?? .accept
  private let digest = HTTPField.Name("Content-MD5") ?? .accept

  private func prepare(_ server: ServerUnderTest, _ files: [String: String] = [:]) async throws
    -> String
  {
    let tree = server.scratch + "/data"
    try FileManager.default.createDirectory(atPath: tree, withIntermediateDirectories: true)
    if !files.isEmpty { _ = try server.makeTree("data", files: files) }
    try await server.register("A", over: tree)
    return tree
  }

  @Test func whatIsPutIsGotAndDeleted() async throws {
    try await withServer { server in
      let tree = try await prepare(server)
      let put = try await server.send(
        .put, "/fs/A/files/docs/hello.txt", "hello", headers: [rating: "5 of 7"], expecting: 201)
      #expect(put.body.isEmpty)
      #expect(put.headers[digest] == "5d41402abc4b2a76b9719d911017c592")
      #expect(try String(contentsOfFile: tree + "/docs/hello.txt", encoding: .utf8) == "hello")
      let got = try await server.send(.get, "/fs/A/files/docs/hello.txt", expecting: 200)
      #expect(got.body == "hello")
      #expect(got.headers[digest] == "5d41402abc4b2a76b9719d911017c592")
      #expect(got.headers[.eTag] == put.headers[.eTag])
      #expect(got.headers[.acceptRanges] == "bytes")
      #expect(got.headers[rating] == "5 of 7")
      let modified = try #require(got.headers[.lastModified])
      #expect(
        modified.wholeMatch(of: /[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT/) != nil
      )
      let head = try await server.send(.head, "/fs/A/files/docs/hello.txt", expecting: 200)
      #expect(head.body.isEmpty)
      #expect(head.headers[.contentLength] == "5")
      #expect(head.headers[digest] == got.headers[digest])
      #expect(head.headers[rating] == "5 of 7")
      try await server.send(.delete, "/fs/A/files/docs/hello.txt", expecting: 204)
      try await server.send(.delete, "/fs/A/files/docs/hello.txt", expecting: 404)
      try await server.send(.get, "/fs/A/files/docs/hello.txt", expecting: 404)
      try await server.send(.head, "/fs/A/files/docs/hello.txt", expecting: 404)
      // Nothing else was left beside it.
      #expect(try FileManager.default.contentsOfDirectory(atPath: tree + "/docs").isEmpty)
    }
  }

  /// The extended attributes are where a backup finds them, and a restore brings them back.
  @Test func metadataTravelsInSnapshots() async throws {
    try await withServer { server in
      _ = try await prepare(server)
      try await server.send(
        .put, "/fs/A/files/a", "alpha", headers: [rating: "nine", .contentType: "text/x"],
        expecting: 201)
      try await server.backUp("A", to: "~/b")
      try await server.restore(
        "{'BackupLocation':'~/b','FilesystemName':'R','FilesystemLocation':'~/r'}")
      let got = try await server.send(.get, "/fs/R/files/a", expecting: 200)
      #expect(got.headers[rating] == "nine")
      #expect(got.headers[digest] == "2c1743a391305fbf367df8e4f069f9f9")
      #expect(got.headers[.contentType] == "application/octet-stream")
    }
  }

  @Test func aDigestIsNeverStale() async throws {
    try await withServer { server in
      let tree = try await prepare(server)
      try await server.send(.put, "/fs/A/files/a", "alpha", expecting: 201)
      let handle = try #require(FileHandle(forWritingAtPath: tree + "/a"))
      try handle.write(contentsOf: Data("ALPHA".utf8))
      try handle.close()
      let got = try await server.send(.get, "/fs/A/files/a", expecting: 200)
      #expect(got.body == "ALPHA")
      #expect(got.headers[digest] == "002101f8725e5c78d9f30d87f3fa4c87")
    }
  }

  @Test func aWrongDigestIsRefusedAndTheOldFileStays() async throws {
    try await withServer { server in
      let tree = try await prepare(server, ["a": "old"])
      let base64 = "XUFAKrxLKna5cZ2REBfFkg=="
      for good in ["5D41402ABC4B2A76B9719D911017C592", base64] {
        try await server.send(
          .put, "/fs/A/files/good", "hello", headers: [digest: good], expecting: 201)
      }
      for bad in ["5d41402abc4b2a76b9719d911017c593", "nonsense"] {
        try await server.send(
          .put, "/fs/A/files/a", "hello", headers: [digest: bad], expecting: 400)
      }
      #expect(try server.contents(of: tree) == ["a": "old", "good": "hello"])
    }
  }

  @Test func partsAreServed() async throws {
    try await withServer { server in
      _ = try await prepare(server, ["a": "0123456789"])
      let parts: [(String, Int, String, String?)] = [
        ("bytes=0-3", 206, "0123", "bytes 0-3/10"), ("bytes=7-", 206, "789", "bytes 7-9/10"),
        ("bytes=-4", 206, "6789", "bytes 6-9/10"), ("bytes=5-99", 206, "56789", "bytes 5-9/10"),
        ("bytes=-99", 206, "0123456789", "bytes 0-9/10"), ("bytes=3-1", 200, "0123456789", nil),
        ("bytes=0-1,4-5", 200, "0123456789", nil), ("lines=1-2", 200, "0123456789", nil),
      ]
      for (range, status, body, contentRange) in parts {
        let reply = try await server.send(
          .get, "/fs/A/files/a", headers: [.range: range], expecting: status)
        #expect(reply.body == body, "\(range)")
        #expect(reply.headers[.contentRange] == contentRange, "\(range)")
        #expect(reply.headers[.contentLength] == "\(body.utf8.count)", "\(range)")
      }
      for range in ["bytes=10-", "bytes=99999999999999999999-", "bytes=-0"] {
        let reply = try await server.send(
          .get, "/fs/A/files/a", headers: [.range: range], expecting: 416)
        #expect(reply.headers[.contentRange] == "bytes */10")
        #expect(reply["Error"] != nil)
      }
      // A part of another version is not asked for.
      let whole = try await server.send(
        .get, "/fs/A/files/a", headers: [.range: "bytes=0-3", .ifRange: "\"other\""],
        expecting: 200)
      #expect(whole.body == "0123456789")
    }
  }

  @Test func conditionsAreHeld() async throws {
    try await withServer { server in
      _ = try await prepare(server, ["a": "alpha"])
      let got = try await server.send(.get, "/fs/A/files/a", expecting: 200)
      let etag = try #require(got.headers[.eTag])
      let modified = try #require(got.headers[.lastModified])
      let none = try await server.send(
        .get, "/fs/A/files/a", headers: [.ifNoneMatch: "\"x\", \(etag)"], expecting: 304)
      #expect(none.body.isEmpty)
      try await server.send(
        .get, "/fs/A/files/a", headers: [.ifModifiedSince: modified], expecting: 304)
      try await server.send(
        .put, "/fs/A/files/a", "b", headers: [.ifMatch: "\"x\""], expecting: 412)
      try await server.send(
        .put, "/fs/A/files/a", "b", headers: [.ifNoneMatch: "*"], expecting: 412)
      try await server.send(
        .delete, "/fs/A/files/a", headers: [.ifMatch: "\"x\""], expecting: 412)
      try await server.send(
        .put, "/fs/A/files/a", "beta", headers: [.ifMatch: etag], expecting: 201)
      try await server.send(
        .get, "/fs/A/files/a", headers: [.ifNoneMatch: etag], expecting: 200)
    }
  }

  @Test func pathsThatNameNoFileAreRefused() async throws {
    try await withServer { server in
      let tree = try await prepare(server, ["a": "alpha"])
      let long = String(repeating: "n", count: 256)
      for path in [
        "%2e%2e/x", "a/%2e%2e/%2e%2e/x", "%2E", "a%00b", "a%2Fb", "x//y", "x/", ".muninn-x",
        "d/.muninn-upload-1", long, "%5Cx00", "%5Cx2f",
      ] {
        for method in [HTTPRequest.Method.put, .get, .delete] {
          let reply = try await server.send(method, "/fs/A/files/\(path)", "x")
          #expect(reply.status == 400, "\(method) \(path): \(reply.status) \(reply.body)")
        }
      }
      #expect(try server.contents(of: tree) == ["a": "alpha"])
      try await server.send(.put, "/fs/B/files/x", "x", expecting: 404)
      try await server.send(.get, "/fs/B/files/x", expecting: 404)
    }
  }

  @Test func linksAreNotFollowedAndDirectoriesAreNoFiles() async throws {
    try await withServer { server in
      let tree = try await prepare(server, ["d/a": "alpha"])
      let outside = try server.makeTree("outside", files: ["secret": "secret"])
      let manager = FileManager.default
      try manager.createSymbolicLink(atPath: tree + "/out", withDestinationPath: outside)
      try manager.createSymbolicLink(
        atPath: tree + "/one", withDestinationPath: outside + "/secret")
      for path in ["out/secret", "one", "d"] {
        for method in [HTTPRequest.Method.put, .get, .delete] {
          let reply = try await server.send(method, "/fs/A/files/\(path)", "x")
          #expect(reply.status == 409, "\(method) \(path): \(reply.body)")
        }
      }
      #expect(try server.contents(of: outside) == ["secret": "secret"])
      let list = try await server.send(.get, "/fs/A/files", expecting: 200)
      #expect(!list.body.contains("secret"))
    }
  }

  @Test func theServersOwnFilesAreNobodys() async throws {
    try await withServer { server in
      // A file system over what holds the base directory is allowed: somebody's home, say.
      try await server.register("Home", over: server.scratch)
      for path in ["base/muninn.sqlite", "base/muninn.sqlite-wal", "base/state/x"] {
        try await server.send(.get, "/fs/Home/files/\(path)", expecting: 403)
        try await server.send(.put, "/fs/Home/files/\(path)", "x", expecting: 403)
        try await server.send(.delete, "/fs/Home/files/\(path)", expecting: 403)
      }
      try await server.send(.put, "/fs/Home/files/base/mine", "x", expecting: 201)
    }
  }

  @Test func namesThatAreNotUTF8HaveOneEncoding() async throws {
    try await withServer { server in
      let tree = try await prepare(server)
      try await server.send(.put, "/fs/A/files/caf%5CxE9", "latin", expecting: 201)
      try await server.send(.put, "/fs/A/files/back%5C%5Cslash", "b", expecting: 201)
      try await server.send(.put, "/fs/A/files/%C3%A9", "utf8", expecting: 201)
      let list = try await server.send(.get, "/fs/A/files", expecting: 200)
      #expect(list.body.contains(#""Name":"caf\\xE9""#), "\(list.body)")
      #expect(try await server.send(.get, "/fs/A/files/caf%5CxE9", expecting: 200).body == "latin")
      let bytes = "\(tree)/caf".utf8.map { CChar(bitPattern: $0) } + [CChar(bitPattern: 0xE9), 0]
      #expect(access(bytes, F_OK) == 0)
      #expect(FileManager.default.fileExists(atPath: tree + "/back\\slash"))
    }
  }

  @Test func filesAreBrowsedInPathOrder() async throws {
    try await withServer { server in
      let tree = try await prepare(
        server, ["a/b": "1", "a-b": "22", "a/c/d": "333", "z": "4", ".muninn-upload-9": "5"])
      func paths(_ query: String) async throws -> [String] {
        let reply = try await server.send(.get, "/fs/A/files" + query, expecting: 200)
        guard case .array(let files) = try reply.json else { return [] }
        return files.compactMap { $0.object?["FullPath"]?.string }
      }
      #expect(try await paths("") == ["/a/b", "/a/c/d", "/a-b", "/z"])
      #expect(try await paths("?startsWith=/a/") == ["/a/b", "/a/c/d"])
      #expect(try await paths("?startsWith=a") == ["/a/b", "/a/c/d", "/a-b"])
      #expect(try await paths("?startsWith=/a/c/d") == ["/a/c/d"])
      #expect(try await paths("?startsWith=/x") == [])
      #expect(try await paths("?start=1&pageSize=2") == ["/a/c/d", "/a-b"])
      #expect(try await paths("?pageSize=0") == [])
      let reply = try await server.send(.get, "/fs/A/files?startsWith=/a-", expecting: 200)
      guard case .array(let files) = try reply.json, let file = files.first?.object else {
        throw TestFailure(text: reply.body)
      }
      #expect(file["TotalSize"] == .integer(2))
      #expect(file["Directory"] == .string("/"))
      #expect(file["Metadata"] == .object([:]))
      try await server.send(.get, "/fs/A/files?start=x", expecting: 400)
      try FileManager.default.removeItem(atPath: tree)
      try await server.send(.get, "/fs/A/files", expecting: 409)
    }
  }

  @Test func aReplacedFileKeepsItsMode() async throws {
    try await withServer { server in
      let tree = try await prepare(server, ["a": "old"])
      try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: tree + "/a")
      try await server.send(.put, "/fs/A/files/a", "new", expecting: 201)
      let attributes = try FileManager.default.attributesOfItem(atPath: tree + "/a")
      #expect(attributes[.posixPermissions] as? Int == 0o640)
    }
  }

  @Test func bodiesOfUploadsAreNotLimitedTo1MiB() async throws {
    try await withServer { server in
      _ = try await prepare(server)
      let text = String(repeating: "0123456789abcdef", count: 300_000)
      try await server.send(.put, "/fs/A/files/large", text, expecting: 201)
      #expect(try await server.send(.get, "/fs/A/files/large", expecting: 200).body == text)
    }
  }

  /// The connection breaks in the middle, with a length and in pieces without one.
  @Test(arguments: [
    "Content-Length: 1000\r\n\r\nhalf of it", "Transfer-Encoding: chunked\r\n\r\n5\r\nhalf \r\n",
  ])
  func anInterruptedUploadLeavesTheOldFile(_ rest: String) async throws {
    try await withServer { server in
      let tree = try await prepare(server, ["a": "old"])
      let port = try #require(server.process?.port)
      let socket = try RawConnection(port: port)
      try socket.send("PUT /fs/A/files/a HTTP/1.1\r\nHost: localhost\r\n" + rest)
      try await Task.sleep(for: .milliseconds(200))
      socket.close()
      // What is answered after that shows that the server has gone on.
      try await server.send(.put, "/fs/A/files/b", "b", expecting: 201)
      try await Task.sleep(for: .milliseconds(200))
      #expect(try server.contents(of: tree) == ["a": "old", "b": "b"])
    }
  }

  @Test func uploadsThatAreNotCompleteAreNotBackedUp() async throws {
    try await withServer { server in
      _ = try await prepare(server, ["d/.muninn-upload-1": "half", "d/a": "alpha"])
      try await server.backUp("A", to: "~/b")
      try await server.restore(
        "{'BackupLocation':'~/b','FilesystemName':'R','FilesystemLocation':'~/r'}")
      #expect(try server.contents(of: server.base + "/r") == ["d/a": "alpha"])
    }
  }

  @Test func aDisabledFileSystemAnswers403() async throws {
    try await withServer { server in
      let tree = try await prepare(server, ["a": "alpha"])
      let settings = "'Settings':{'Raven/FileSystem/DataDir':'\(tree)'}"
      try await server.send(
        .put, "/admin/fs/A?update=true", "{\(settings),'Disabled':true}", expecting: 201)
      for path in ["/fs/A/files", "/fs/A/files/a"] {
        try await server.send(.get, path, expecting: 403)
      }
      try await server.send(.put, "/fs/A/files/a", "x", expecting: 403)
      try await server.send(.post, "/fs/A/admin/backup", "{'BackupLocation':'~/b'}", expecting: 403)
      try await server.send(.get, "/fs/A/stats", expecting: 200)
      try await server.send(
        .put, "/admin/fs/A?update=true", "{\(settings),'Disabled':false}", expecting: 201)
      try await server.send(.get, "/fs/A/files/a", expecting: 200)
    }
  }
}
