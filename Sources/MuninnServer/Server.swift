package import Hummingbird
package import Logging
import Muninn
import NIOCore

/// How the server is started.
package struct ServerOptions: Sendable {
  /// The directory that `~` means in locations; made if it is absent.
  package var base: String
  package var host = "127.0.0.1"
  /// 0 picks a free port.
  package var port = 8080
  /// Directories below which locations may lie beside the base; empty means anywhere.
  package var allowedRoots: [String] = []

  package init(base: String) { self.base = base }
}

/// The HTTP server: RavenFS's backup and restore over Muninn repositories.
package struct Server {
  package let core: ServerCore
  private let options: ServerOptions

  /// Prepares the base directory and its database, and puts right what an earlier process left
  /// undone.
  package init(options: ServerOptions, logger: Logger) async throws {
    guard ListenAddress.isLoopback(options.host) else {
      throw Refusal(
        .badRequest,
        "'\(options.host)' can be reached by other machines, and this build has no API keys yet:"
          + " listen on 127.0.0.1, ::1 or localhost.")
    }
    self.options = options
    let wanted = options.base
    let roots = options.allowedRoots
    let (base, allowedRoots) = try await Blocking.run { () throws(Refusal) in
      try Directory.make(wanted, mode: 0o700)
      var resolved: [String] = []
      for root in roots { resolved.append(try Directory.resolved(root)) }
      let base = try Directory.resolved(wanted)
      try Directory.make(base + "/state", mode: 0o700)
      return (base, resolved)
    }
    let lock = try BaseLock(base: base)
    let path = ServerCore.databasePath(base: base)
    try PrivateFile.make(path)
    let database = try StateDatabase(path: path)
    try await Recovery.run(database: database, logger: logger)
    core = ServerCore(
      base: base, allowedRoots: allowedRoots, database: database,
      operations: Operations(database: database, logger: logger), lock: lock, logger: logger)
  }

  /// The application, to run or to test. `onListening` gets the server's URL.
  package func application(
    onListening: @escaping @Sendable (String) async -> Void = { _ in }
  ) -> Application<RouterResponder<ServerContext>> {
    let host = options.host
    return Application(
      router: Routes(core: core).router(),
      configuration: ApplicationConfiguration(
        address: .hostname(host, port: options.port), serverName: "Muninn"),
      services: [core.operations],
      onServerRunning: { channel in
        let port = channel.localAddress?.port ?? 0
        await onListening("http://\(host.contains(":") ? "[\(host)]" : host):\(port)")
      },
      logger: core.logger)
  }

  /// Serves until SIGTERM or SIGINT; then running operations are cancelled and their ends written
  /// down.
  package func run(onListening: @escaping @Sendable (String) async -> Void) async throws {
    try await application(onListening: onListening).runService()
    try core.database.close()
  }
}

/// `HOST:PORT`, `[IPv6]:PORT`, or one of them alone.
package enum ListenAddress {
  package static func parse(_ text: String) -> (host: String, port: Int)? {
    var host = Substring(text)
    var port = 8080
    if let colon = text.lastIndex(of: ":"), !text.hasSuffix("]") {
      host = text[..<colon]
      guard let number = UInt16(text[text.index(after: colon)...]) else { return nil }
      port = Int(number)
    }
    if host.first == "[", host.last == "]" {
      host = host.dropFirst().dropLast()
    } else if host.contains(":") {
      return nil
    }
    return (host.isEmpty ? "127.0.0.1" : String(host), port)
  }

  package static func isLoopback(_ host: String) -> Bool {
    if host == "localhost" || host == "::1" { return true }
    let parts = host.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts.first == "127" && parts.allSatisfy { UInt8($0) != nil }
  }
}
