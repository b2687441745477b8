import HTTPTypes
import HummingbirdTesting
import Logging
import MuninnServer
import Testing

/// Errors, health, and what is not there.
@Suite struct ErrorRouteTests {
  @Test func healthSaysThatTheServerLives() async throws {
    try await withServer { server in
      let reply = try await server.send(.get, "/health", expecting: 200)
      #expect(reply.headers[.contentType] == "application/json; charset=utf-8")
      try await server.send(.head, "/health", expecting: 200)
    }
  }

  @Test(arguments: [
    "/", "/nothing", "/fs/A/files", "/operation/events?id=1",
    "/fs/%2e%2e%2f/config",
  ])
  func unknownPathsAre404WithTheirUrl(_ path: String) async throws {
    try await withServer { server in
      let reply = try await server.send(.get, path, expecting: 404)
      #expect(reply["Url"] == .string(path))
      #expect(reply["Error"] != nil)
    }
  }

  /// Sent as they are: clients do not let such paths through.
  @Test(arguments: ["/admin/fs/%FF", "/fs/A/files/%FF", "/fs/%C3/config"])
  func pathsThatAreNoUTF8AreRefused(_ path: String) async throws {
    try await withServer { server in
      let connection = try RawConnection(port: try #require(server.process?.port))
      try connection.send(
        "PUT \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
          + "Content-Length: 2\r\n\r\n{}")
      let reply = connection.receive(seconds: 20)
      #expect(reply.text.hasPrefix("HTTP/1.1 400"), "\(reply.text)")
    }
  }

  @Test func operationsThatAreNotThere() async throws {
    try await withServer { server in
      for path in ["/operation/status", "/operation/kill"] {
        for bad in ["", "?id=", "?id=x", "?id=0", "?id=-1", "?id=99999999999999999999"] {
          try await server.send(.get, path + bad, expecting: 400)
        }
        try await server.send(.get, path + "?id=7", expecting: 404)
      }
      try await server.send(.post, "/operation/kill?id=7", expecting: 404)
      #expect(try await server.send(.get, "/operations").body == "[]")
      try await server.send(.get, "/operations?pageSize=x", expecting: 400)
      try await server.send(.get, "/docs/Raven/FileSystem/Restore/Status/X", expecting: 404)
    }
  }

  @Test func methodsThatAPathDoesNotHaveAre405() async throws {
    try await withServer { server in
      let reply = try await server.send(.get, "/admin/fs/verify", expecting: 405)
      #expect(reply.headers[.allow] == "POST")
      let kill = try await server.send(.delete, "/operation/kill?id=1", expecting: 405)
      #expect(kill.headers[.allow] == "GET, HEAD, POST")
    }
  }

  @Test func addressesOfOtherMachinesAreRefused() async throws {
    try await withScratch { scratch in
      var options = ServerOptions(base: scratch + "/base")
      options.host = "0.0.0.0"
      await #expect(throws: Refusal.self) {
        try await Server(options: options, logger: Logger(label: "test"))
      }
    }
  }

  @Test func aBaseDirectoryHasOneServer() async throws {
    try await withServer { server in
      let options = ServerOptions(base: server.base)
      await #expect(throws: Refusal.self) {
        try await Server(options: options, logger: Logger(label: "test"))
      }
    }
  }
}
