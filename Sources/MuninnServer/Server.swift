package import Hummingbird
import HummingbirdCore
import HummingbirdTLS
package import Logging
import Muninn
import MuninnDisk
import NIOCore
package import ServiceLifecycle

/// The HTTP server: RavenFS's backup and restore over Muninn repositories.
package struct Server {
  package let core: ServerCore
  private let options: ServerOptions
  private let identity: TLSIdentity?

  /// Prepares the base directory and its database, and puts right what an earlier process left
  /// undone.
  package init(options: ServerOptions, logger: Logger) async throws {
    self.options = options
    let (base, box) = try await Self.prepare(options.base)
    let values = try LiveSettings.Values(options, base: base)
    identity = try options.tls.map(TLSIdentity.init)
    if values.keys != nil, identity == nil, !ListenAddress.isLoopback(options.host) {
      logger.warning("API keys cross the network readable: set tls-certificate and tls-key")
    }
    let lock = try await Blocking.run { () throws(Refusal) in try BaseLock(base: base) }
    let path = ServerCore.databasePath(base: base)
    try PrivateFile.make(path)
    let database = try StateDatabase(path: path)
    try await Recovery.run(database: database, box: box, logger: logger)
    ProcessMetrics.begin()
    core = ServerCore(
      base: base,
      settings: LiveSettings(
        host: options.host, hasClientCertificates: options.tls?.clientAuthorities != nil, values),
      box: box, audit: try AuditLog(path: options.auditLog ?? base + "/audit.log", logger: logger),
      database: database,
      operations: Operations(
        database: database, logger: logger, limit: options.maximumOperations),
      lock: lock, logger: logger)
  }

  private static func prepare(_ wanted: String) async throws -> (String, SecretBox) {
    try await Blocking.run { () throws(Refusal) in
      try Directory.make(wanted, mode: 0o700)
      let base = try Directory.resolved(wanted)
      try Directory.make(base + "/state", mode: 0o700)
      return (base, try SecretBox(path: base + "/secret.key"))
    }
  }

  /// The application, to run or to test. `onListening` gets the server's URL.
  package func application(
    services: [any Service] = [],
    onListening: @escaping @Sendable (String) async -> Void = { _ in }
  ) throws -> Application<RouterResponder<ServerContext>> {
    let host = options.host
    let scheme = identity == nil ? "http" : "https"
    return Application(
      router: Routes(core: core).router(), server: try channels(),
      configuration: ApplicationConfiguration(
        address: .hostname(host, port: options.port), serverName: "Muninn",
        availableConnectionsDelegate: MaximumAvailableConnections(options.maximumConnections)),
      services: services + [core.operations],
      onServerRunning: { channel in
        let port = channel.localAddress?.port ?? 0
        await onListening("\(scheme)://\(host.contains(":") ? "[\(host)]" : host):\(port)")
        ServiceNotice.send("READY=1")
      },
      logger: core.logger)
  }

  /// How connections are served: bounded heads, no connection that does not get on, TLS where there
  /// is a certificate.
  private func channels() throws -> HTTPServerBuilder {
    let idle = Int64(options.idleSeconds)
    let plain = HTTPServerBuilder.http1(
      configuration: .init(
        additionalChannelHandlers: [PaceGuard(window: .seconds(max(1, idle / 6)))],
        idleTimeout: .seconds(idle),
        httpDecoderConfiguration: .init(
          maxHeaderFieldSize: 16 << 10, maxHeaderListSize: 32 << 10, maxHeaderFieldCount: 128)))
    guard let identity else { return plain }
    return try .tls(plain, tlsConfiguration: identity.configuration())
  }

  /// Serves until SIGTERM or SIGINT; then running operations are cancelled and their ends written
  /// down. On SIGHUP `settings` are read again.
  package func run(
    settings: @escaping @Sendable () throws -> ServerOptions,
    onListening: @escaping @Sendable (String) async -> Void
  ) async throws {
    Engine.niceness = options.operationNiceness
    Machine.returnFreedMemory()
    let upkeep = Upkeep { await reload(settings) }
    try await application(services: [upkeep], onListening: onListening).runService()
    try core.database.close()
  }

  /// Takes over what may change while the server runs. What cannot be used leaves everything as it
  /// is.
  package func reload(_ settings: () throws -> ServerOptions) async {
    do {
      let fresh = try settings()
      let values = try LiveSettings.Values(fresh, base: core.base)
      try identity?.reload()
      core.settings.replace(values)
      await core.operations.setLimit(fresh.maximumOperations)
      Engine.niceness = fresh.operationNiceness
      core.audit.reopen()
      core.logger.notice("the settings were read again")
      if fresh.base != options.base || fresh.host != options.host || fresh.port != options.port
        || fresh.tls != options.tls || fresh.auditLog != options.auditLog
        || fresh.idleSeconds != options.idleSeconds || fresh.logLevel != options.logLevel
        || fresh.maximumConnections != options.maximumConnections
      {
        core.logger.warning(
          "a restart is needed for what changed of base, listen, tls, audit-log and limits")
      }
    } catch {
      core.logger.error("the settings stay as they were: \(error)")
    }
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
