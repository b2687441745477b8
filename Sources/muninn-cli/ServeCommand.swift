import ArgumentParser
import CoreMetrics
import Glibc
import Logging
import MuninnServer

struct ServeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve", abstract: "Serve backup and restore over HTTP.",
    discussion: """
      Every option but --config can be a key of the configuration file as well; the command line
      has precedence. SIGHUP reads file, API keys and TLS certificate again. SIGTERM or Ctrl-C
      cancels what runs, writes down how it ended, and stops.

      \(ExitStatus.discussion)
      """,
    subcommands: [ServeKeyCommand.self])

  @Option(help: "A configuration file in YAML.", completion: .file(extensions: ["yaml", "yml"]))
  var config: String?
  @OptionGroup var files: ServerFiles
  @OptionGroup var options: ServeOptions

  func run() async throws {
    let (file, flags) = (config.map(Paths.absolute), options.settings(files))
    let read: @Sendable () throws -> ServerOptions = {
      let kept = try file.map { (path) throws(Refusal) in try ServerSettings(file: path) }
      return try ServerOptions(
        flags.over(kept ?? ServerSettings()), defaultBase: Paths.dataHome + "/muninn",
        absolute: Paths.absolute)
    }
    let options = try read()
    LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
    MetricsSystem.bootstrap(PrometheusMetrics.shared)
    var logger = Logger(label: "muninn")
    logger.logLevel = options.logLevel
    let server = try await Server(options: options, logger: logger)
    try await server.run(settings: read) { url in Terminal.print("listening on \(url)") }
  }
}

/// Where a server keeps its things. `serve` and `serve key` share this type: the parser gives what
/// follows a subcommand to its parents first, and hands a group of the same type on.
struct ServerFiles: ParsableArguments {
  @Option(
    help: "The directory that ~ means in locations; made if it is absent.",
    completion: .directory)
  var base: String?
  @Option(
    help: "The file of API keys; BASE/api-keys.json where that exists.", completion: .file())
  var apiKeys: String?

  var keys: KeyFile {
    let base = Paths.absolute(base ?? Paths.dataHome + "/muninn")
    return KeyFile(path: apiKeys.map(Paths.absolute) ?? base + "/api-keys.json")
  }
}

/// The other options of `serve`; each is a key of the configuration file, under the same name.
struct ServeOptions: ParsableArguments {
  @Option(help: "Address and port to listen on (127.0.0.1:8080); port 0 picks a free one.")
  var listen: String?
  @Option(
    help: "A directory below which locations may lie beside the base; may come several times.",
    completion: .directory)
  var allowRoot: [String] = []
  @Option(help: "The server's TLS certificate and its chain, PEM.", completion: .file())
  var tlsCertificate: String?
  @Option(help: "The private key of the certificate, PEM.", completion: .file())
  var tlsKey: String?
  @Option(
    name: .customLong("tls-client-ca"),
    help: "Authorities, PEM, whose clients alone are let in.", completion: .file())
  var tlsClientCA: String?
  @Option(help: "The audit log; BASE/audit.log if not given.", completion: .file())
  var auditLog: String?
  @Option(
    help: "What to log: trace, debug, info (the default), notice, warning, error or critical.",
    completion: .list(Logger.Level.allCases.map(\.rawValue)))
  var logLevel: String?
  @Option(help: "How many operations run at the same time (16).")
  var maxOperations: Int?
  @Option(
    help: "By how much operations are nicer than the answering of requests, 0 to 19 (10).")
  var operationNice: Int?
  @Option(help: "How many connections are open at the same time (1024).")
  var maxConnections: Int?
  @Option(help: "Seconds until a connection on which nothing moves is closed (60).")
  var idleTimeout: Int?
  @Option(help: "LOCATION=FILE: the passphrase of the repositories at or below a location.")
  var passphraseFile: [String] = []
  @Option(help: "LOCATION=FILE: the key file of the repositories at or below a location.")
  var keyFile: [String] = []
  @Option(help: "NAME=FILE: the passphrase of the repositories that hold a file system's backups.")
  var fsPassphraseFile: [String] = []
  @Option(help: "NAME=FILE: the key file of the repositories that hold a file system's backups.")
  var fsKeyFile: [String] = []

  func validate() throws {
    if let listen, ListenAddress.parse(listen) == nil {
      throw ValidationError("--listen must be HOST:PORT, not '\(listen)'")
    }
    if let logLevel, Logger.Level(rawValue: logLevel) == nil {
      throw ValidationError("--log-level cannot be '\(logLevel)'")
    }
  }

  func settings(_ files: ServerFiles) -> ServerSettings {
    var settings = ServerSettings()
    settings.base = files.base
    settings.listen = listen
    settings.allowRoot = allowRoot.isEmpty ? nil : allowRoot
    settings.apiKeys = files.apiKeys
    settings.tlsCertificate = tlsCertificate
    settings.tlsKey = tlsKey
    settings.tlsClientCA = tlsClientCA
    settings.auditLog = auditLog
    settings.logLevel = logLevel
    settings.maxOperations = maxOperations
    settings.operationNice = operationNice
    settings.maxConnections = maxConnections
    settings.idleTimeout = idleTimeout
    settings.passphraseFile = passphraseFile.isEmpty ? nil : passphraseFile
    settings.keyFile = keyFile.isEmpty ? nil : keyFile
    settings.fileSystemPassphraseFile = fsPassphraseFile.isEmpty ? nil : fsPassphraseFile
    settings.fileSystemKeyFile = fsKeyFile.isEmpty ? nil : fsKeyFile
    return settings
  }
}
