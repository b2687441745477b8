import AsyncHTTPClient
import Foundation
import HTTPTypes
import NIOCore
import NIOHTTP1
import Synchronization

/// `muninn serve` as a process of its own, and an HTTP client for it.
final class ServerProcess: Sendable {
  /// `http://127.0.0.1:PORT`, or https.
  let url: String
  var port: Int { Int(url.split(separator: ":").last ?? "") ?? 0 }
  let identifier: Int32
  private let ended: Ended

  /// Where SwiftPM puts every product of this build.
  static var program: String {
    let tests = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return (tests as NSString).deletingLastPathComponent + "/muninn"
  }

  private init(url: String, identifier: Int32, ended: Ended) {
    self.url = url
    self.identifier = identifier
    self.ended = ended
  }

  /// Starts it on a free port, and returns when it listens. Its log goes to the file `log`.
  static func start(
    base: String, log: String, _ arguments: [String] = [], environment: [String: String] = [:]
  ) async throws -> ServerProcess {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments =
      ["serve", "--base", base, "--listen", "127.0.0.1:0", "--log-level", "notice"] + arguments
    process.environment = [
      "HOME": base, "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin",
      "LANG": "C.UTF-8", "TZ": "UTC",
    ].merging(environment) { $1 }
    let output = Pipe()
    process.standardOutput = output
    _ = FileManager.default.createFile(atPath: log, contents: nil)
    process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: log))
    let ended = Ended()
    process.terminationHandler = { process in
      let isSignal = process.terminationReason == .uncaughtSignal
      ended.set(isSignal ? 128 + process.terminationStatus : process.terminationStatus)
    }
    try process.run()
    let line = await firstLine(of: output.fileHandleForReading)
    guard let start = line.firstRange(of: "http") else {
      let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
      throw TestFailure(text: "the server does not listen: \(line) \(text)")
    }
    return ServerProcess(
      url: String(line[start.lowerBound...]), identifier: process.processIdentifier, ended: ended)
  }

  private static func firstLine(of handle: FileHandle) async -> String {
    await withCheckedContinuation { continuation in
      DispatchQueue.global().async {
        var bytes = Data()
        while !bytes.contains(0x0A) {
          let more = handle.availableData
          if more.isEmpty { break }
          bytes.append(more)
        }
        let line = bytes.prefix { $0 != 0x0A }
        continuation.resume(returning: String(decoding: line, as: UTF8.self))
      }
    }
  }

  func signal(_ number: Int32) { kill(identifier, number) }

  /// Asks it to stop and returns its exit status, 128 and the signal where one ended it.
  func stop() async throws -> Int32 {
    signal(SIGTERM)
    return try await status()
  }

  /// The exit status once it ended; gives up after half a minute.
  func status() async throws -> Int32 {
    for _ in 0..<1500 {
      if let status = ended.value { return status }
      try await Task.sleep(for: .milliseconds(20))
    }
    signal(SIGKILL)
    throw TestFailure(text: "the server does not end")
  }

  func send(
    _ method: HTTPRequest.Method, _ uri: String, _ headers: HTTPFields, _ body: String?
  ) async throws -> Reply {
    var request = HTTPClientRequest(url: url + uri)
    request.method = NIOHTTP1.HTTPMethod(rawValue: method.rawValue)
    for field in headers { request.headers.add(name: field.name.rawName, value: field.value) }
    if let body { request.body = .bytes(ByteBuffer(string: body)) }
    let response = try await HTTPClient.shared.execute(request, timeout: .seconds(120))
    let bytes = try await response.body.collect(upTo: 256 << 20)
    var fields = HTTPFields()
    for (name, value) in response.headers {
      if let name = HTTPField.Name(name) { fields.append(HTTPField(name: name, value: value)) }
    }
    return Reply(
      status: Int(response.status.code), headers: fields, body: String(buffer: bytes))
  }
}

/// Set once, by the thread that waits for the process.
private final class Ended: Sendable {
  private let status = Mutex<Int32?>(nil)
  var value: Int32? { status.withLock { $0 } }
  func set(_ value: Int32) { status.withLock { $0 = value } }
}
