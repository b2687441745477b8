import Synchronization

/// The part of the settings that a reload may change, as requests see it.
final class LiveSettings: Sendable {
  struct Values: Sendable {
    /// Directories below which locations must lie, the base among them; empty means anywhere.
    var roots: [String] = []
    /// Nil where the server has no key file.
    var keys: KeyRing?
    var credentials = RepositoryCredentials()
  }

  /// What the server listens on.
  let host: String
  let hasClientCertificates: Bool
  private let values: Mutex<Values>

  init(host: String, hasClientCertificates: Bool, _ values: Values) {
    self.host = host
    self.hasClientCertificates = hasClientCertificates
    self.values = Mutex(values)
  }

  var roots: [String] { values.withLock { $0.roots } }
  var keys: KeyRing? { values.withLock { $0.keys } }
  var credentials: RepositoryCredentials { values.withLock { $0.credentials } }

  func replace(_ new: Values) { values.withLock { $0 = new } }
}

extension LiveSettings.Values {
  /// What options mean on a base directory. Throws for a key file that was named and is not there,
  /// and where what listens for other machines would have neither keys nor client certificates.
  init(_ options: ServerOptions, base: String) throws(Refusal) {
    let keys = try KeyFile(path: options.keyFile ?? base + "/api-keys.json").keys()
    if keys == nil, let named = options.keyFile {
      throw Refusal(
        .badRequest, "The key file '\(named)' does not exist; muninn serve key add makes it.")
    }
    let isLoopback = ListenAddress.isLoopback(options.host)
    let isOpen = keys == nil && options.tls?.clientAuthorities == nil
    if isOpen, !isLoopback {
      throw Refusal(
        .badRequest,
        "'\(options.host)' can be reached by other machines, and there are neither API keys nor TLS"
          + " client certificates: make a key with muninn serve key add, or listen on 127.0.0.1.")
    }
    self.keys = keys.map(KeyRing.init)
    credentials = options.credentials.withLinksFollowed()
    var roots: [String] = []
    for root in options.allowedRoots { roots.append(try Directory.resolved(root)) }
    // Whoever is on this machine could read and write there without a server as well.
    self.roots = isOpen && roots.isEmpty ? [] : [base] + roots
  }
}
