import Foundation
import HTTPTypes
import HummingbirdTesting
import Logging
import MuninnServer
import NIOCore
import Testing

/// A directory of a test's own, removed at its end.
func withScratch<Value>(_ body: (String) async throws -> Value) async throws -> Value {
  let path = NSTemporaryDirectory() + "muninn-server-test-" + UUID().uuidString
  try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  // Trees may hold directories that are not writable; nothing here makes such ones.
  defer { try? FileManager.default.removeItem(atPath: path) }
  return try await body(path)
}

/// What a request was answered with.
struct Reply: Sendable {
  let status: Int
  let headers: HTTPFields
  let body: String

  var json: JSONValue { get throws { try JSONValue(text: body) } }

  /// A member of the JSON object that was answered; nil where it is null or missing.
  subscript(name: String) -> JSONValue? {
    guard let value = (try? json)?.object?[name], value != .null else { return nil }
    return value
  }
}

/// How a server is reached.
enum Setup: Sendable {
  /// The `muninn` program as a process of its own, over the wire.
  case wire
  /// In this process, so that a test can look inside.
  case inside
}

/// A server on a base directory, and a client that talks to it.
struct ServerUnderTest: Sendable {
  typealias Client =
    @Sendable (HTTPRequest.Method, String, HTTPFields, String?) async throws -> Reply

  let scratch: String
  /// The server itself, where it runs in this process.
  let inner: Server?
  /// The process, where it runs in one of its own.
  let process: ServerProcess?
  let client: Client

  var base: String { scratch + "/base" }

  /// Only with `Setup.inside`.
  var server: Server {
    guard let inner else { preconditionFailure("the server runs in another process") }
    return inner
  }

  func send(
    _ method: HTTPRequest.Method, _ uri: String, _ body: String? = nil,
    headers: HTTPFields = [:]
  ) async throws -> Reply {
    let reply = try await client(method, uri, headers, body)
    // Whatever a test is about: no answer has a status that the description does not have.
    let path = String(uri.prefix { $0 != "?" })
    let known =
      APIDescription.operation(method.rawValue, path)?.statuses ?? [400, 401, 403, 404, 405]
    #expect(known.contains(reply.status), "\(method) \(path): \(reply.status) is undocumented")
    return reply
  }

  /// Sends, and expects `status`.
  @discardableResult
  func send(
    _ method: HTTPRequest.Method, _ uri: String, _ body: String? = nil,
    headers: HTTPFields = [:], expecting status: Int,
    sourceLocation: SourceLocation = #_sourceLocation
  ) async throws -> Reply {
    let reply = try await send(method, uri, body, headers: headers)
    #expect(reply.status == status, "\(reply.body)", sourceLocation: sourceLocation)
    return reply
  }
}

/// Runs a server in `scratch` for `body`. `arguments` are more ones of `muninn serve`.
@discardableResult
func withServer<Value: Sendable>(
  in scratch: String, _ setup: Setup = .wire, allowedRoots: [String] = [],
  arguments: [String] = [],
  _ body: @Sendable (ServerUnderTest) async throws -> Value
) async throws -> Value {
  if setup == .wire {
    let roots = allowedRoots.flatMap { ["--allow-root", $0] }
    let process = try await ServerProcess.start(
      base: scratch + "/base", log: scratch + "/server.log", arguments + roots)
    let server = ServerUnderTest(scratch: scratch, inner: nil, process: process) {
      try await process.send($0, $1, $2, $3)
    }
    do {
      let value = try await body(server)
      let status = try await process.stop()
      #expect(status == 0, "the server ended with \(status)")
      return value
    } catch {
      _ = try? await process.stop()
      throw error
    }
  }
  var options = ServerOptions(base: scratch + "/base")
  options.port = 0
  options.allowedRoots = allowedRoots
  var logger = Logger(label: "test")
  logger.logLevel = .critical
  let server = try await Server(options: options, logger: logger)
  return try await server.application().test(.router) { client in
    let server = ServerUnderTest(scratch: scratch, inner: server, process: nil) {
      method, uri, headers, body in
      try await client.execute(
        uri: uri, method: method, headers: headers, body: body.map { ByteBuffer(string: $0) }
      ) { response in
        Reply(
          status: Int(response.status.code), headers: response.headers,
          body: String(buffer: response.body))
      }
    }
    return try await body(server)
  }
}

/// Runs a server in a directory of its own for `body`.
func withServer(
  _ setup: Setup = .wire, allowedRoots: [String] = [], arguments: [String] = [],
  _ body: @Sendable (ServerUnderTest) async throws -> Void
) async throws {
  try await withScratch { scratch in
    try await withServer(
      in: scratch, setup, allowedRoots: allowedRoots, arguments: arguments, body)
  }
}

// MARK: - File systems and operations

extension ServerUnderTest {
  /// Writes a small tree below the scratch directory, and returns its path.
  func makeTree(_ name: String = "tree", files: [String: String]? = nil) throws -> String {
    let root = scratch + "/" + name
    let files =
      files ?? [
        "a.txt": "alpha", "b/c.txt": "gamma", "b/d/e.bin": String(repeating: "e", count: 99),
      ]
    for (path, text) in files {
      let whole = root + "/" + path
      let parent = (whole as NSString).deletingLastPathComponent
      try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
      try text.write(toFile: whole, atomically: false, encoding: .utf8)
    }
    return root
  }

  /// Makes a file system over `tree`.
  func register(_ name: String, over tree: String) async throws {
    try await send(
      .put, "/admin/fs/\(name)", "{'Settings':{'Raven/FileSystem/DataDir':'\(tree)'}}",
      expecting: 201)
  }

  /// Backs up and waits for the end; returns the final status.
  @discardableResult
  func backUp(
    _ name: String, to location: String, incremental: Bool = false, _ more: String = "",
    sourceLocation: SourceLocation = #_sourceLocation
  ) async throws -> Reply {
    try await send(
      .post, "/fs/\(name)/admin/backup?incremental=\(incremental)",
      "{'BackupLocation':'\(location)'\(more)}", expecting: 201, sourceLocation: sourceLocation)
    let status = try await finalStatus(of: name)
    #expect(status["Success"] == .bool(true), "\(status.body)", sourceLocation: sourceLocation)
    return status
  }

  /// The backup status once nothing runs any more.
  func finalStatus(of name: String) async throws -> Reply {
    try await until {
      let reply = try await send(
        .get, "/fs/\(name)/config?name=Raven/Backup/Status", expecting: 200)
      return reply["IsRunning"] == .bool(false) ? reply : nil
    }
  }

  /// The operation's status once it is over.
  func finalStatus(operation id: Int64) async throws -> Reply {
    try await until {
      let reply = try await send(.get, "/operation/status?id=\(id)", expecting: 200)
      return reply["Completed"] == .bool(true) ? reply : nil
    }
  }

  /// Restores and waits for the end; returns the operation's id and final status.
  @discardableResult
  func restore(
    _ body: String, sourceLocation: SourceLocation = #_sourceLocation
  ) async throws -> (id: Int64, status: Reply) {
    let reply = try await send(
      .post, "/admin/fs/restore", body, expecting: 200, sourceLocation: sourceLocation)
    guard case .integer(let id) = reply["OperationId"] else {
      throw TestFailure(text: "no OperationId in \(reply.body)")
    }
    return (id, try await finalStatus(operation: id))
  }

  /// Asks again until it is so; gives up after half a minute.
  func until(_ what: String, _ isSo: () async throws -> Bool) async throws {
    for _ in 0..<600 {
      if try await isSo() { return }
      try await Task.sleep(for: .milliseconds(50))
    }
    throw TestFailure(text: "in vain: \(what)")
  }

  /// Asks again until there is an answer; gives up after a minute.
  private func until(_ ask: () async throws -> Reply?) async throws -> Reply {
    for _ in 0..<3000 {
      if let reply = try await ask() { return reply }
      try await Task.sleep(for: .milliseconds(20))
    }
    throw TestFailure(text: "the operation does not end")
  }

  /// The regular files below `path`, with their content.
  func contents(of path: String) throws -> [String: String] {
    var found: [String: String] = [:]
    guard let enumerator = FileManager.default.enumerator(atPath: path) else { return [:] }
    while let name = enumerator.nextObject() as? String {
      let whole = path + "/" + name
      let kind = try FileManager.default.attributesOfItem(atPath: whole)[.type]
      if kind as? FileAttributeType == .typeRegular {
        found[name] = try String(contentsOfFile: whole, encoding: .utf8)
      }
    }
    return found
  }
}

struct TestFailure: Error { let text: String }
