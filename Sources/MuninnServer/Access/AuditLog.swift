import Glibc
import HTTPTypes
import Hummingbird
import Logging
import MuninnDisk
import NIOCore
import Synchronization

/// Who asked for what, and what was answered: a line of JSON for every administrative request and
/// every one that was refused entry, in a file that is only appended to.
final class AuditLog: Sendable {
  private let path: String
  private let logger: Logger
  private let file: Mutex<FileTree.Handle?>

  init(path: String, logger: Logger) throws(Refusal) {
    self.path = path
    self.logger = logger
    file = Mutex(try Self.open(path))
  }

  private static func open(_ path: String) throws(Refusal) -> FileTree.Handle {
    do throws(DiskError) {
      return FileTree.Handle(
        try FileCalls.open(
          at: AT_FDCWD, path, flags: O_WRONLY | O_CREAT | O_APPEND, mode: 0o600, path: path))
    } catch {
      throw Directory.refusal(error.errno, "cannot be opened", path)
    }
  }

  /// Opens the file by its name again, so that it can be moved away and a new one begun.
  func reopen() {
    do {
      let fresh = try Self.open(path)
      file.withLock { $0 = fresh }
    } catch {
      logger.error("the audit log stays as it was: \(error)")
    }
  }

  func append(_ entry: JSONValue) async {
    let bytes: [UInt8]
    do {
      bytes = try entry.bytes() + [0x0A]
    } catch {
      logger.error("an audit entry cannot be written: \(error)")
      return
    }
    guard let file = file.withLock({ $0 }) else { return }
    do {
      try await Blocking.run { [path] () throws(Refusal) in
        try onFile(path) { () throws(DiskError) in
          // One call a line, so that lines of requests at the same time do not mix.
          try ByteBuffer(bytes: bytes).withUnsafeReadableBytes { bytes throws(DiskError) in
            try FileCalls.write(file.descriptor, bytes, path: path)
          }
        }
      }
    } catch {
      logger.error("an audit entry cannot be written: \(error)")
    }
  }
}

/// Writes the audit log, outside of everything that may refuse a request.
struct Audit: RouterMiddleware {
  let log: AuditLog
  let logger: Logger

  @concurrent func handle(
    _ request: Request, context: ServerContext,
    next: @concurrent (Request, ServerContext) async throws -> Response
  ) async throws -> Response {
    let response = try await next(request, context)
    let isRefused = response.status == .unauthorized || response.status == .forbidden
    guard isRefused || Self.isAdministrative(request) else { return response }
    let who = context.client.name
    let remote = context.remoteAddress?.ipAddress
    await log.append(
      .object([
        "Time": .time(.now),
        "Client": .text(who),
        "Address": .text(remote),
        "Method": .string(request.method.rawValue),
        "Url": .string(String(request.uri.string.prefix(2000))),
        "Status": .integer(Int64(response.status.code)),
      ]))
    logger.info(
      "administrative request",
      metadata: [
        "client": "\(who ?? "none")", "address": "\(remote ?? "none")",
        "method": "\(request.method.rawValue)", "path": "\(request.uri.path.prefix(2000))",
        "status": "\(response.status.code)",
      ])
    return response
  }

  private static func isAdministrative(_ request: Request) -> Bool {
    AccessControl.changesSomething(request)
      || request.uri.path.split(separator: "/").contains("admin")
  }
}

/// Who sent a request, once it is known: set within the request, read outside of it.
final class ClientName: Sendable {
  private let value = Mutex<String?>(nil)
  var name: String? { value.withLock { $0 } }
  func set(_ name: String) { value.withLock { $0 = name } }
}
