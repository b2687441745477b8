import Foundation
import HTTPTypes
import MuninnServer
import Testing

/// What no client may do: hold a connection without getting on, or send without end.
@Suite struct LimitTests {
  /// The memory that a process holds, bytes.
  private func resident(_ server: ServerUnderTest) async throws -> Double {
    let text = try await server.send(.get, "/metrics", expecting: 200).body
    let line = text.split(separator: "\n").first { $0.hasPrefix("process_resident_memory_bytes ") }
    return Double(line?.split(separator: " ").last ?? "") ?? 0
  }

  @Test func largeHeadsAreRefused() async throws {
    try await withServer { server in
      let port = try #require(server.process?.port)
      let heads = [
        "X-Large: \(String(repeating: "x", count: 20_000))\r\n",
        String(repeating: "X-Many: x\r\n", count: 200),
        (0..<40).map { "X-\($0): \(String(repeating: "y", count: 1000))\r\n" }.joined(),
      ]
      for head in heads {
        let connection = try RawConnection(port: port)
        try connection.send("GET /fs HTTP/1.1\r\nHost: localhost\r\n\(head)\r\n")
        let reply = connection.receive(seconds: 20)
        #expect(!reply.text.hasPrefix("HTTP/1.1 200"), "\(reply.text.prefix(100))")
        #expect(reply.isClosed)
      }
      try await server.send(.get, "/fs", expecting: 200)
    }
  }

  /// A head that comes a byte at a time, a body that stops, a response that is not read.
  @Test func slowClientsAreCutOff() async throws {
    try await withServer(arguments: ["--idle-timeout", "3"]) { server in
      let port = try #require(server.process?.port)
      try await server.register("A", over: try server.makeTree(files: ["a": "alpha"]))
      let large = String(repeating: "0123456789abcdef", count: 2 << 20)
      try await server.send(.put, "/fs/A/files/large", large, expecting: 201)
      let head = try RawConnection(port: port)
      try head.send("GET /fs HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
      let body = try RawConnection(port: port)
      try body.send(
        "PUT /fs/A/files/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nstart")
      let silent = try RawConnection(port: port)
      let deaf = try RawConnection(port: port)
      try deaf.send("GET /fs/A/files/large HTTP/1.1\r\nHost: localhost\r\n\r\n")
      for _ in 0..<40 {
        // A byte now and then does not count as getting on.
        try? head.send("x")
        try? body.send("x")
        try await Task.sleep(for: .milliseconds(250))
      }
      #expect(head.receive(seconds: 10).isClosed)
      #expect(body.receive(seconds: 10).isClosed)
      #expect(silent.receive(seconds: 10).isClosed)
      // The rest of the response was never sent.
      #expect(deaf.receive(seconds: 10).text.utf8.count < large.utf8.count)
      #expect(try !server.contents(of: server.scratch + "/tree").keys.contains("x"))
      try await server.send(.get, "/health", expecting: 200)
    }
  }

  @Test func bodiesThatNobodyWantsEnd() async throws {
    try await withServer { server in
      let port = try #require(server.process?.port)
      let before = try await resident(server)
      let connection = try RawConnection(port: port)
      try connection.send(
        "POST /fs/A/admin/backup HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n")
      let piece = String(repeating: "x", count: 1 << 16)
      var sent = 0
      while sent < 1 << 28, (try? connection.send(piece)) != nil { sent += piece.utf8.count }
      #expect(sent < 1 << 28, "all of it was taken")
      let after = try await resident(server)
      #expect(after - before < 100e6, "\(before) \(after)")
    }
  }

  @Test func metricsAreForPrometheus() async throws {
    try await withServer { server in
      try await server.register("A", over: try server.makeTree())
      try await server.backUp("A", to: "~/b")
      let reply = try await server.send(.get, "/metrics", expecting: 200)
      #expect(reply.headers[.contentType]?.hasPrefix("text/plain; version=0.0.4") == true)
      let lines = reply.body.split(separator: "\n")
      #expect(lines.contains("muninn_file_systems 1"))
      #expect(
        lines.contains(#"muninn_operations_total{kind="backup",outcome="completed"} 1"#))
      #expect(lines.contains(#"muninn_operations_running{kind="backup"} 0"#))
      #expect(lines.contains { $0.hasPrefix("muninn_backup_bytes_stored_total ") })
      #expect(lines.contains { $0.hasPrefix("http_server_request_duration_seconds_bucket{") })
      // Every line is a comment or a sample of the text format.
      let sample = /[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-z_]+="([^"\\]|\\.)*",?)+\})? [-+0-9.eInfa]+/
      for line in lines where !line.hasPrefix("# TYPE ") {
        #expect(line.wholeMatch(of: sample) != nil, "\(line)")
      }
    }
  }
}
