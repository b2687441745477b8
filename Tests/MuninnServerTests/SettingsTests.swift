import Foundation
import Glibc
import HTTPTypes
import MuninnServer
import MuninnTestSupport
import Testing

/// The configuration file, secured settings at rest, and what a service manager is told.
@Suite struct SettingsTests {
  @Test func everyKeyIsAFlagAndTheFlagHasPrecedence() throws {
    let help = try runProgram([ServerProcess.program, "serve", "--help"])
    #expect(help.status == 0)
    for key in ServerSettings.CodingKeys.allCases {
      #expect(help.output.contains("--\(key.rawValue) <"), "\(key.rawValue)")
    }
    var flags = ServerSettings()
    flags.listen = "127.0.0.1:1"
    var file = ServerSettings()
    file.listen = "127.0.0.1:2"
    file.maxOperations = 3
    let both = try ServerOptions(flags.over(file), defaultBase: "/base") { $0 }
    #expect(both.port == 1)
    #expect(both.maximumOperations == 3)
    #expect(both.base == "/base")
  }

  @Test func theFileIsReadAndReloaded() async throws {
    try await withScratch { scratch in
      let config = scratch + "/muninn.yaml"
      @Sendable func write(_ text: String) throws {
        try text.write(toFile: config, atomically: true, encoding: .utf8)
      }
      try FileManager.default.createDirectory(
        atPath: scratch + "/root", withIntermediateDirectories: true)
      try write("allow-root: [\(scratch)/nowhere]\nmax-operations: 4\n")
      try FileManager.default.createDirectory(
        atPath: scratch + "/nowhere", withIntermediateDirectories: true)
      try await withServer(in: scratch, arguments: ["--config", config]) { server in
        try await server.send(.put, "/admin/fs/A", "{}", expecting: 201)
        let list = "/fs/A/admin/backups?location=\(scratch)/root"
        try await server.send(.get, list, expecting: 403)
        try write("allow-root:\n  - \(scratch)/root\n")
        server.process?.signal(SIGHUP)
        try await server.until("the root is allowed") {
          try await server.send(.get, list).status == 422
        }
        // What cannot be read changes nothing.
        try write("alow-root: []\n")
        server.process?.signal(SIGHUP)
        try await Task.sleep(for: .milliseconds(300))
        try await server.send(.get, list, expecting: 422)
        try write("allow-root:\n  - \(scratch)/root\n")
      }
    }
  }

  @Test(arguments: [
    ("alow-root: []", "alow-root"), ("listen: here:x", "HOST:PORT"), ("- a", "keys and values"),
    ("max-operations: 0", "max-operations"), ("tls-key: x", "belong together"),
    ("listen: [", "cannot be read"), ("max-operations: many", "cannot be read"),
    ("key-file: [x]", "LOCATION=FILE"), ("log-level: loud", "log-level"),
    ("fs-key-file: [x]", "NAME=FILE"), ("fs-key-file: [/x=y]", "file system name"),
    ("fs-key-file: [a=x, A=y]", "more than one"), ("operation-nice: 20", "operation-nice"),
  ])
  func badFilesAreRefused(_ text: String, _ word: String) async throws {
    try await withScratch { scratch in
      let config = scratch + "/muninn.yaml"
      try text.write(toFile: config, atomically: true, encoding: .utf8)
      let result = try runProgram([
        ServerProcess.program, "serve", "--base", scratch + "/base", "--config", config,
      ])
      #expect(result.status == 1)
      #expect(result.errors.contains(word), "\(result.errors)")
    }
  }

  @Test func securedSettingsAreSealedAtRestAndTravelOpen() async throws {
    try await withScratch { scratch in
      let secret = "correct-horse-battery-staple"
      let base = scratch + "/base"
      try await withServer(in: scratch) { server in
        let tree = try server.makeTree()
        try await server.send(
          .put, "/admin/fs/A",
          "{'Settings':{'Raven/FileSystem/DataDir':'\(tree)'},'SecuredSettings':{'p':'\(secret)'}}",
          expecting: 201)
        let status = try await server.backUp("A", to: "~/b")
        #expect(status.body.contains("not encrypted"))
        try await server.restore("{'BackupLocation':'~/b','FilesystemName':'R'}")
      }
      let key = base + "/secret.key"
      let attributes = try FileManager.default.attributesOfItem(atPath: key)
      #expect(attributes[.posixPermissions] as? Int == 0o600)
      #expect(attributes[.size] as? Int == 32)
      for name in try FileManager.default.contentsOfDirectory(atPath: base)
      where name.hasPrefix("muninn.sqlite") {
        let bytes = try Data(contentsOf: URL(fileURLWithPath: base + "/" + name))
        #expect(bytes.firstRange(of: Data(secret.utf8)) == nil, "\(name)")
      }
      #expect(
        try !String(contentsOfFile: scratch + "/server.log", encoding: .utf8).contains(secret))
      // The restored one has them again, and hands them on.
      try await withServer(in: scratch) { server in
        try await server.backUp("R", to: "~/c")
      }
      // Without its key the document cannot be backed up, and says why.
      try FileManager.default.removeItem(atPath: key)
      try await withServer(in: scratch) { server in
        let reply = try await server.send(
          .post, "/fs/A/admin/backup", "{'BackupLocation':'~/b'}", expecting: 409)
        #expect(reply.body.contains("secret.key"))
        #expect(!reply.body.contains(secret))
      }
    }
  }

  @Test func aServiceManagerIsToldWhatHappens() async throws {
    try await withScratch { scratch in
      let path = "/tmp/muninn-notify-\(UUID().uuidString.prefix(8))"
      let inbox = try NoticeInbox(path: path)
      defer { try? FileManager.default.removeItem(atPath: path) }
      let process = try await ServerProcess.start(
        base: scratch + "/base", log: scratch + "/log", [],
        environment: ["NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"])
      #expect(try inbox.wait(for: "READY=1"))
      #expect(try inbox.wait(for: "WATCHDOG=1"))
      process.signal(SIGHUP)
      #expect(try inbox.wait(for: "RELOADING=1"))
      #expect(try inbox.wait(for: "READY=1"))
      #expect(try await process.stop() == 0)
      #expect(try inbox.wait(for: "STOPPING=1"))
    }
  }
}

/// The socket that a service manager listens on.
private final class NoticeInbox {
  private let descriptor: Int32

  init(path: String) throws {
    descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
    let result = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard result == 0 else { throw TestFailure(text: "cannot listen on \(path)") }
    var limit = timeval(tv_sec: 10, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
  }

  deinit { close(descriptor) }

  /// Whether such a notice comes within ten seconds of silence.
  func wait(for text: String) throws -> Bool {
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      if count <= 0 { return false }
      if String(decoding: buffer[..<count], as: UTF8.self).contains(text) { return true }
    }
  }
}
