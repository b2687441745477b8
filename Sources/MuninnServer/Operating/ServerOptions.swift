package import Logging

/// How the server is started: settings, checked, with every default filled in.
package struct ServerOptions: Sendable {
  /// The directory that `~` means in locations; made if it is absent.
  package var base: String
  package var host = "127.0.0.1"
  /// 0 picks a free port.
  package var port = 8080
  /// Directories below which locations may lie beside the base.
  package var allowedRoots: [String] = []
  /// The key file; nil takes `BASE/api-keys.json` where that exists.
  package var keyFile: String?
  package var tls: TLSFiles?
  package var auditLog: String?
  package var logLevel = Logger.Level.info
  package var maximumOperations = 16
  /// By how much the threads of operations are nicer than those that answer requests.
  package var operationNiceness = 10
  package var maximumConnections = 1024
  /// Seconds until a connection on which nothing moves is closed.
  package var idleSeconds = 60
  package var credentials = RepositoryCredentials()

  package init(base: String) { self.base = base }

  /// Checks settings. `absolute` makes a path of the command line or the file absolute.
  package init(
    _ settings: ServerSettings, defaultBase: String, absolute: (String) -> String
  ) throws(Refusal) {
    func refused(_ what: String) -> Refusal { Refusal(.badRequest, what) }
    base = absolute(settings.base ?? defaultBase)
    if let listen = settings.listen {
      guard let address = ListenAddress.parse(listen) else {
        throw refused("listen must be HOST:PORT, not '\(listen)'.")
      }
      (host, port) = address
    }
    allowedRoots = (settings.allowRoot ?? []).map(absolute)
    keyFile = settings.apiKeys.map(absolute)
    auditLog = settings.auditLog.map(absolute)
    if let level = settings.logLevel {
      guard let level = Logger.Level(rawValue: level) else {
        throw refused("log-level cannot be '\(level)'.")
      }
      logLevel = level
    }
    func bounded(_ value: Int?, _ name: String, _ range: ClosedRange<Int>) throws(Refusal) -> Int? {
      guard let value else { return nil }
      guard range.contains(value) else {
        throw refused("\(name) must be \(range.lowerBound) to \(range.upperBound), not \(value).")
      }
      return value
    }
    maximumOperations =
      try bounded(settings.maxOperations, "max-operations", 1...10_000) ?? maximumOperations
    operationNiceness =
      try bounded(settings.operationNice, "operation-nice", 0...19) ?? operationNiceness
    maximumConnections =
      try bounded(settings.maxConnections, "max-connections", 1...1_000_000) ?? maximumConnections
    idleSeconds = try bounded(settings.idleTimeout, "idle-timeout", 1...86_400) ?? idleSeconds
    switch (settings.tlsCertificate, settings.tlsKey) {
    case (nil, nil):
      if settings.tlsClientCA != nil {
        throw refused("tls-client-ca needs tls-certificate and tls-key.")
      }
    case (let certificate?, let key?):
      tls = TLSFiles(
        certificate: absolute(certificate), key: absolute(key),
        clientAuthorities: settings.tlsClientCA.map(absolute))
    default: throw refused("tls-certificate and tls-key belong together; one is missing.")
    }
    credentials = try RepositoryCredentials(settings, absolute: absolute)
  }
}
