import HTTPTypes
import HummingbirdTesting
import MuninnServer
import Testing

/// `/fs/{name}/config`.
@Suite struct ConfigurationRouteTests {
  @Test func itemsArePutGotAndDeleted() async throws {
    try await withServer { server in
      try await server.register("A", over: try server.makeTree())
      try await server.send(.get, "/fs/A/config?name=Raven/X", expecting: 404)
      try await server.send(.put, "/fs/A/config?name=Raven/X", "{'n':1,'l':[null]}", expecting: 201)
      let reply = try await server.send(.get, "/fs/A/config?name=Raven%2FX", expecting: 200)
      #expect(reply.body == #"{"l":[null],"n":1}"#)
      #expect(reply.headers[.contentType] == "application/json; charset=utf-8")
      #expect(reply.headers[.cacheControl] == "no-cache")
      try await server.send(.put, "/fs/A/config?name=raven/x", "{'n':2}", expecting: 201)
      #expect(try await server.send(.get, "/fs/a/config?name=RAVEN/X").body == #"{"n":2}"#)
      #expect(try await server.send(.get, "/fs/A/config").body == #"["Raven/X"]"#)
      try await server.send(.delete, "/fs/A/config?name=RAVEN/x", expecting: 204)
      try await server.send(.delete, "/fs/A/config?name=RAVEN/x", expecting: 404)
      #expect(try await server.send(.get, "/fs/A/config").body == "[]")
    }
  }

  @Test func bodiesAreReadWhateverTheirType() async throws {
    try await withServer { server in
      try await server.register("A", over: try server.makeTree())
      for type in ["application/x-www-form-urlencoded", "text/plain", "image/png"] {
        let reply = try await server.send(
          .put, "/fs/A/config?name=k", "{'v':1}", headers: [.contentType: type])
        #expect(reply.status == 201)
      }
    }
  }

  @Test func badRequestsAreRefused() async throws {
    try await withServer { server in
      try await server.register("A", over: try server.makeTree())
      try await server.send(.put, "/fs/A/config", "{}", expecting: 400)
      try await server.send(.put, "/fs/A/config?name=", "{}", expecting: 400)
      try await server.send(.put, "/fs/A/config?name=a%00b", "{}", expecting: 400)
      try await server.send(.put, "/fs/A/config?name=k", "[1]", expecting: 400)
      try await server.send(.put, "/fs/A/config?name=k", nil, expecting: 400)
      try await server.send(.delete, "/fs/A/config", expecting: 400)
      try await server.send(.get, "/fs/B/config", expecting: 404)
      try await server.send(.put, "/fs/B/config?name=k", "{}", expecting: 404)
    }
  }

  @Test func bodiesAreLimitedTo1MiB() async throws {
    try await withServer { server in
      try await server.register("A", over: try server.makeTree())
      let text = String(repeating: "x", count: 1 << 20)
      let reply = try await server.send(.put, "/fs/A/config?name=k", "{'v':'\(text)'}")
      #expect(reply.status == 413)
      #expect(reply["Error"] != nil)
    }
  }

  @Test func theBackupStatusIsWrittenByBackupsOnly() async throws {
    try await withServer { server in
      try await server.register("A", over: try server.makeTree())
      try await server.send(
        .put, "/fs/A/config?name=raven/backup/status", "{'IsRunning':true}", expecting: 400)
      try await server.send(.get, "/fs/A/config?name=Raven/Backup/Status", expecting: 404)
    }
  }
}
