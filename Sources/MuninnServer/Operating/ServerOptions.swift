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
  package var credentials = LocationCredentials()

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
    credentials = try LocationCredentials(
      passphraseFiles: settings.passphraseFile ?? [], keyFiles: settings.keyFile ?? [],
      absolute: absolute)
  }
}

/// Which file opens the repository at which location.
package struct LocationCredentials: Sendable, Equatable {
  package enum Source: Sendable, Equatable {
    case passphraseFile(String)
    case keyFile(String)
  }

  private var sources: [String: Source] = [:]

  package init() {}

  /// Each of the texts is `LOCATION=FILE`.
  init(
    passphraseFiles: [String], keyFiles: [String], absolute: (String) -> String
  ) throws(Refusal) {
    let all =
      passphraseFiles.map { ("passphrase-file", $0) } + keyFiles.map { ("key-file", $0) }
    for (name, text) in all {
      // A location may have an equals sign in it, a file's name is ours to choose.
      guard let sign = text.lastIndex(of: "="), sign != text.startIndex else {
        throw Refusal(.badRequest, "\(name) must be LOCATION=FILE, not '\(text)'.")
      }
      let location = absolute(String(text[..<sign]))
      let file = absolute(String(text[text.index(after: sign)...]))
      guard sources[location] == nil else {
        throw Refusal(.badRequest, "The location '\(location)' has more than one credential.")
      }
      sources[location] = name == "key-file" ? .keyFile(file) : .passphraseFile(file)
    }
  }

  /// The same, and every location under the name that it has with all links followed as well.
  func withLinksFollowed() -> LocationCredentials {
    var all = self
    for (location, source) in sources {
      guard let real = try? Directory.resolved(location), all.sources[real] == nil else { continue }
      all.sources[real] = source
    }
    return all
  }

  /// The source for a location, or the nearest one above it.
  package func source(for location: String) -> Source? {
    var path = location
    while !path.isEmpty {
      if let source = sources[path] { return source }
      guard let slash = path.lastIndex(of: "/") else { return nil }
      path = String(path[..<slash])
    }
    return sources["/"]
  }
}
