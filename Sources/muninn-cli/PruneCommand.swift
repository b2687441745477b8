import ArgumentParser
import Muninn

struct PruneCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "prune",
    abstract: "Give the space back that no snapshot needs.",
    discussion: """
      Backups and restores go on meanwhile. What a running one may still need is left to the next \
      prune. Interrupted at any point, the next one goes on.

      \(ExitStatus.discussion)
      """)

  @OptionGroup var target: RepositoryArgument
  @Flag(name: .customLong("dry-run"), help: "Say what would be done, and do nothing.")
  var isDryRun = false
  @Option(
    name: .customLong("max-unused"),
    help: """
      Rewrite containers of which only a part is needed, until no more than this is left that \
      nobody needs: 5% of all for instance, 10GiB, or unlimited.
      """)
  var maximumUnused = UnusedArgument(limit: .fraction(0.05), text: "5%")
  @Option(
    name: .customLong("max-rewrite"), help: "Copy no more than this: 50GiB for instance.")
  var maximumRewrite: DataSize?
  @OptionGroup var rate: RewriteRate
  @OptionGroup var threads: ThreadOptions
  @OptionGroup var report: ReportOptions

  func run() async throws {
    var options = PruneOptions()
    options.isDryRun = isDryRun
    options.maximumUnused = maximumUnused.limit
    options.maximumRewrite = maximumRewrite?.bytes
    options.bytesPerSecond = rate.limit?.bytes
    options.threads = threads.threads
    let line = ProgressLine()
    defer { line.end() }
    let result = try await Interruption.cancelling { [target, options] in
      try await target.open().prune(options, progress: line.handler)
    }
    line.end()
    if report.isJSON { try JSONOutput.print(result) } else { summarise(result) }
    for problem in result.problems {
      Terminal.complain("\(Terminal.safe(problem.path)): \(Terminal.safe(problem.message))")
    }
    if !result.problems.isEmpty { throw ExitStatus.partial }
  }

  private func summarise(_ result: PruneReport) {
    let wouldBe = isDryRun ? "would be " : ""
    let condemned =
      "\(Quantity.size(result.bytesCondemned)) in \(Quantity.count(result.containersCondemned))"
      + " containers"
    Terminal.print("unneeded  \(condemned)")
    if result.containersRewritten > 0 {
      Terminal.print(
        "rewritten \(Quantity.size(result.bytesReplaced)) in"
          + " \(Quantity.count(result.containersRewritten)) containers \(wouldBe)replaced by"
          + " \(Quantity.size(result.bytesRewritten))")
    }
    Terminal.print(
      "freed     \(Quantity.size(result.bytesFreed)) in \(Quantity.count(result.objectsDeleted))"
        + " objects \(wouldBe)deleted  \(Quantity.elapsed(result.seconds))")
    if result.objectsWaiting > 0 {
      Terminal.print(
        "waiting   \(Quantity.size(result.bytesWaiting)) in"
          + " \(Quantity.count(result.objectsWaiting)) objects, until these end:")
      for session in result.waitingFor { Terminal.print("          \(Terminal.safe(session))") }
    }
    if result.isHeldBack {
      Terminal.print("          no more is rewritten before that: prune again then")
    }
    let unused = result.bytesUnused.map { ", \(Quantity.size($0)) of it unneeded" } ?? ""
    Terminal.print(
      "left      \(Quantity.size(result.bytesLeft)) in \(Quantity.count(result.containersLeft))"
        + " containers\(unused)")
  }
}

/// How fast containers are rewritten.
struct RewriteRate: ParsableArguments {
  @Option(
    name: .customLong("limit-rate"),
    help: "Read no more than this in a second for what is copied: 50MiB for instance.")
  var limit: DataSize?
}

/// Bytes: `65536`, `64K`, `500MiB`, `5GiB`, `1T`.
struct DataSize: ExpressibleByArgument {
  let bytes: UInt64

  init?(argument: String) {
    let digits = argument.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    guard let number = Double(digits), number >= 0 else { return nil }
    let unit = argument.dropFirst(digits.count).lowercased()
    let shifts: [String: UInt64] = [
      "": 0, "b": 0, "k": 10, "kib": 10, "m": 20, "mib": 20, "g": 30, "gib": 30, "t": 40,
      "tib": 40,
    ]
    guard let shift = shifts[unit] else { return nil }
    let bytes = number * Double(UInt64(1) << shift)
    guard bytes < 1e18 else { return nil }
    self.bytes = UInt64(bytes)
  }
}

/// A percentage, a size, or `unlimited`.
struct UnusedArgument: ExpressibleByArgument {
  let limit: UnusedLimit
  let text: String

  var defaultValueDescription: String { text }

  init(limit: UnusedLimit, text: String) {
    self.limit = limit
    self.text = text
  }

  init?(argument: String) {
    text = argument
    if argument == "unlimited" {
      limit = .unlimited
    } else if argument.hasSuffix("%") {
      guard let part = Double(argument.dropLast()), (0...100).contains(part) else { return nil }
      limit = .fraction(part / 100)
    } else {
      guard let size = DataSize(argument: argument) else { return nil }
      limit = .bytes(size.bytes)
    }
  }
}
