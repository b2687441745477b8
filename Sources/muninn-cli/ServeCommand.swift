import ArgumentParser
import Logging
import MuninnServer

struct ServeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve", abstract: "Serve backup and restore over HTTP.",
    discussion: """
      SIGTERM or Ctrl-C cancels what runs, writes down how it ended, and stops.

      \(ExitStatus.discussion)
      """)

  @Option(help: "The directory that ~ means in locations; made if it is absent.")
  var base: String?
  @Option(help: "Address and port to listen on; port 0 picks a free one and prints it.")
  var listen = "127.0.0.1:8080"
  @Option(
    name: .customLong("allow-root"),
    help: "A directory below which locations may lie beside the base; anywhere if not given.")
  var allowedRoots: [String] = []
  @Option(help: "What to log: trace, debug, info, notice, warning, error or critical.")
  var logLevel = "info"

  func run() async throws {
    guard let address = ListenAddress.parse(listen) else {
      throw ValidationError("--listen must be HOST:PORT, not '\(listen)'")
    }
    guard let level = Logger.Level(rawValue: logLevel) else {
      throw ValidationError("--log-level cannot be '\(logLevel)'")
    }
    var options = ServerOptions(base: Paths.absolute(base ?? Paths.dataHome + "/muninn"))
    options.host = address.host
    options.port = address.port
    options.allowedRoots = allowedRoots.map(Paths.absolute)
    LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
    var logger = Logger(label: "muninn")
    logger.logLevel = level
    let server = try await Server(options: options, logger: logger)
    try await server.run { url in Terminal.print("listening on \(url)") }
  }
}
