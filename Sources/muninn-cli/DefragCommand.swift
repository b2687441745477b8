import ArgumentParser
import Muninn

struct DefragCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "defrag",
    abstract: "Lay the newest snapshots out in path order, for quick restores.",
    discussion: """
      What older snapshots alone use is grouped by who uses it. Backups and restores go on \
      meanwhile. Interrupted at any point, the next one goes on.

      \(ExitStatus.discussion)
      """)

  @OptionGroup var target: RepositoryArgument
  @Flag(name: .customLong("dry-run"), help: "Say what would be done, and do nothing.")
  var isDryRun = false
  @Flag(name: .customLong("recompress"), help: "Compress what is rewritten with LZ4-HC.")
  var recompresses = false
  @OptionGroup var rate: RewriteRate
  @OptionGroup var threads: ThreadOptions
  @OptionGroup var report: ReportOptions

  func run() async throws {
    var options = DefragmentOptions()
    options.isDryRun = isDryRun
    options.recompresses = recompresses
    options.bytesPerSecond = rate.limit?.bytes
    options.threads = threads.threads
    let line = ProgressLine()
    defer { line.end() }
    let result = try await Interruption.cancelling { [target, options] in
      try await target.open().defragment(options, progress: line.handler)
    }
    line.end()
    if report.isJSON { try JSONOutput.print(result) } else { summarise(result) }
    for problem in result.problems {
      Terminal.complain("\(Terminal.safe(problem.path)): \(Terminal.safe(problem.message))")
    }
    if !result.problems.isEmpty { throw ExitStatus.partial }
  }

  private func summarise(_ result: DefragmentReport) {
    let wouldBe = isDryRun ? "would be " : ""
    Terminal.print(
      "rewritten \(Quantity.size(result.bytesReplaced)) in"
        + " \(Quantity.count(result.containersRewritten)) containers \(wouldBe)replaced by"
        + " \(Quantity.size(result.bytesRewritten))  \(Quantity.elapsed(result.seconds))")
    for (name, layout) in [("before   ", result.before), ("after    ", result.after)] {
      let share =
        layout.bytesHeld > 0
        ? Double(layout.bytesNeeded) / Double(layout.bytesHeld) * 100 : 100
      Terminal.print(
        "\(name) the newest snapshots need \(Int(share)) % of"
          + " \(Quantity.count(layout.containers)) containers")
      if isDryRun { break }
    }
    if result.bytesWaiting > 0 {
      Terminal.print("waiting   \(Quantity.size(result.bytesWaiting)), until these end:")
      for session in result.waitingFor { Terminal.print("          \(Terminal.safe(session))") }
    }
    if result.isHeldBack {
      Terminal.print("          no more is rewritten before that: defragment again then")
    }
    Terminal.print(
      "left      \(Quantity.size(result.bytesLeft)) in \(Quantity.count(result.containersLeft))"
        + " containers")
  }
}
