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
  @OptionGroup var report: ReportOptions

  func run() async throws {
    var options = PruneOptions()
    options.isDryRun = isDryRun
    let result = try await Interruption.cancelling { [target, options] in
      try await target.open().prune(options)
    }
    if report.isJSON { return try JSONOutput.print(result) }
    let wouldBe = isDryRun ? "would be " : ""
    let condemned =
      "\(Quantity.size(result.bytesCondemned)) in \(Quantity.count(result.containersCondemned))"
      + " containers"
    Terminal.print("unneeded  \(condemned)")
    Terminal.print(
      "freed     \(Quantity.size(result.bytesFreed)) in \(Quantity.count(result.objectsDeleted))"
        + " objects \(wouldBe)deleted  \(Quantity.elapsed(result.seconds))")
    if result.objectsWaiting > 0 {
      Terminal.print(
        "waiting   \(Quantity.size(result.bytesWaiting)) in"
          + " \(Quantity.count(result.objectsWaiting)) objects, until these end:")
      for session in result.waitingFor { Terminal.print("          \(Terminal.safe(session))") }
    }
    Terminal.print(
      "left      \(Quantity.size(result.bytesLeft)) in \(Quantity.count(result.containersLeft))"
        + " containers")
  }
}
