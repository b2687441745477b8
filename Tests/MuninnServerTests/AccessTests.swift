import Foundation
import HTTPTypes
import MuninnServer
import MuninnTestSupport
import Testing

/// Who may ask for what.
@Suite struct AccessTests {
  private func key(_ server: String, _ arguments: String...) throws -> String {
    let result = try runProgram(
      [ServerProcess.program, "serve", "key", "add"] + arguments + ["--base", server])
    guard result.status == 0 else { throw TestFailure(text: result.errors) }
    return result.output.trimmingCharacters(in: .whitespacesAndNewlines)
  }

  private func bearer(_ key: String) -> HTTPFields { [.authorization: "Bearer \(key)"] }

  @Test func keysAreAskedForAndKnowTheirLimits() async throws {
    try await withScratch { scratch in
      let base = scratch + "/base"
      try FileManager.default.createDirectory(atPath: base, withIntermediateDirectories: true)
      let admin = try key(base, "operator")
      let reader = try key(base, "dashboard", "--read-only")
      #expect(admin.hasPrefix("muninn_") && admin.count == 50 && admin != reader)
      let file = base + "/api-keys.json"
      #expect(
        try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int == 0o600)
      #expect(try !String(contentsOfFile: file, encoding: .utf8).contains(admin.dropFirst(7)))
      #expect(throws: TestFailure.self) { try key(base, "operator") }
      try await withServer(in: scratch) { server in
        let none = try await server.send(.get, "/fs", expecting: 401)
        #expect(none.headers[.wwwAuthenticate]?.hasPrefix("Bearer") == true)
        #expect(none["Url"] == .string("/fs"))
        let fields: [HTTPFields] = [
          bearer("muninn_x"), bearer(""), [.authorization: "Basic \(admin)"],
          [.authorization: admin], bearer(admin + "x"), bearer(String(admin.dropLast())),
        ]
        for headers in fields {
          try await server.send(.get, "/fs", headers: headers, expecting: 401)
        }
        try await server.send(.get, "/nothing", expecting: 401)
        try await server.send(.get, "/metrics", expecting: 401)
        try await server.send(.get, "/health", expecting: 200)
        for headers in [bearer(admin), bearer(reader), [.authorization: "bearer \(admin)"]] {
          try await server.send(.get, "/fs", headers: headers, expecting: 200)
          try await server.send(.head, "/fs", headers: headers, expecting: 200)
        }
        try await server.send(.put, "/admin/fs/A", "{}", headers: bearer(reader), expecting: 403)
        try await server.send(
          .get, "/operation/kill?id=1", headers: bearer(reader), expecting: 403)
        try await server.send(.put, "/admin/fs/A", "{}", headers: bearer(admin), expecting: 201)
        // With keys, locations lie below the base or a root, and nowhere else.
        let body = "{'BackupLocation':'\(scratch)/elsewhere'}"
        try await server.send(
          .post, "/fs/A/admin/backup", body, headers: bearer(admin), expecting: 403)
        // What was asked for is in the audit log, and no key is.
        let audit = try String(contentsOfFile: base + "/audit.log", encoding: .utf8)
        let lines = audit.split(separator: "\n").compactMap { try? JSONValue(text: String($0)) }
        let put = try #require(lines.last { $0.object?["Status"] == .integer(201) }?.object)
        #expect(put["Client"] == .string("operator"))
        #expect(put["Method"] == .string("PUT"))
        #expect(put["Url"] == .string("/admin/fs/A"))
        #expect(put["Address"] == .string("127.0.0.1"))
        #expect(lines.contains { $0.object?["Client"] == .string("dashboard") })
        #expect(lines.contains { $0.object?["Status"] == .integer(401) })
        #expect(!audit.contains(admin))
      }
      #expect(try !String(contentsOfFile: scratch + "/server.log", encoding: .utf8).contains(admin))
    }
  }

  @Test func keysChangeOnSIGHUP() async throws {
    try await withScratch { scratch in
      let base = scratch + "/base"
      try FileManager.default.createDirectory(atPath: base, withIntermediateDirectories: true)
      let first = try key(base, "first")
      try await withServer(in: scratch) { server in
        let second = try key(base, "second")
        let removed = try runProgram(
          [ServerProcess.program, "serve", "key", "remove", "first", "--base", base])
        #expect(removed.status == 0, "\(removed.errors)")
        try await server.send(.get, "/fs", headers: bearer(first), expecting: 200)
        try await server.send(.get, "/fs", headers: bearer(second), expecting: 401)
        server.process?.signal(SIGHUP)
        try await server.until("the new key is known") {
          try await server.send(.get, "/fs", headers: bearer(second)).status == 200
        }
        try await server.send(.get, "/fs", headers: bearer(first), expecting: 401)
        // A file that vanished opens nothing.
        try FileManager.default.removeItem(atPath: base + "/api-keys.json")
        try "x".write(toFile: base + "/api-keys.json", atomically: false, encoding: .utf8)
        server.process?.signal(SIGHUP)
        try await Task.sleep(for: .milliseconds(300))
        try await server.send(.get, "/fs", expecting: 401)
        try await server.send(.get, "/fs", headers: bearer(second), expecting: 200)
      }
    }
  }

  @Test func otherMachinesAreServedWithKeysOnly() async throws {
    try await withScratch { scratch in
      let base = scratch + "/base"
      func refused(_ more: [String]) throws -> String {
        let result = try runProgram(
          [ServerProcess.program, "serve", "--base", base, "--listen", "0.0.0.0:0"] + more)
        #expect(result.status == 1)
        return result.errors
      }
      #expect(try refused([]).contains("muninn serve key add"))
      #expect(try refused(["--api-keys", scratch + "/none"]).contains("does not exist"))
      _ = try key(base, "a")
      let process = try await ServerProcess.start(
        base: base, log: scratch + "/log", ["--listen", "0.0.0.0:0"])
      #expect(try await process.stop() == 0)
    }
  }

  @Test func pagesOfOtherSitesAreRefusedWithoutKeys() async throws {
    try await withServer { server in
      let site = try #require(HTTPField.Name("Sec-Fetch-Site"))
      for origin in ["https://evil.example", "http://localhost.evil.example", "null", "x"] {
        try await server.send(.get, "/fs", headers: [.origin: origin], expecting: 403)
        try await server.send(
          .put, "/admin/fs/A", "{}", headers: [.origin: origin], expecting: 403)
      }
      for value in ["cross-site", "same-site"] {
        try await server.send(
          .get, "/operation/kill?id=1", headers: [site: value], expecting: 403)
      }
      for origin in ["http://localhost:8080", "http://127.0.0.1", "http://[::1]:99"] {
        try await server.send(.get, "/fs", headers: [.origin: origin], expecting: 200)
      }
      // A name that a page's owner made point here.
      let port = try #require(server.process?.port)
      for (host, status) in [("evil.example", "403"), ("localhost:\(port)", "200")] {
        let connection = try RawConnection(port: port)
        try connection.send("GET /fs HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n")
        #expect(connection.receive(seconds: 10).text.hasPrefix("HTTP/1.1 \(status)"), "\(host)")
      }
    }
  }
}
