import ArgumentParser
import Muninn

struct RepairCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "repair", abstract: "Make a damaged repository whole as far as its bytes allow.",
    discussion: """
      Rebuilds index and directories, copies all readable blocks of damaged containers into new \
      ones, and marks what is lost in new snapshots that stand for the damaged ones. Damaged \
      objects are moved to damaged/ inside the repository; nothing is deleted.

      """ + ExitStatus.discussion)

  @OptionGroup var target: RepositoryArgument
  @Flag(help: "Print what would be done, and change nothing.")
  var dryRun = false
  @Flag(help: "Read every block to find damaged ones, not only those that check has found.")
  var readData = false
  @OptionGroup var threads: ThreadOptions
  @OptionGroup var report: ReportOptions

  func run() async throws {
    let line = ProgressLine()
    defer { line.end() }
    var request = RepairRequest()
    request.isDryRun = dryRun
    request.readData = readData
    request.threads = threads.threads
    let result = try await Interruption.cancelling { [target, request] in
      let repository = try await target.open()
      return try await repository.repair(request, progress: line.handler)
    }
    line.end()
    if report.isJSON { try JSONOutput.print(result) } else { summarise(result) }
    for loss in result.lost {
      Terminal.complain(
        "snapshot \(loss.snapshot.prefix(8)): \(Terminal.safe(loss.path)): "
          + Terminal.safe(loss.message))
    }
    for problem in result.unrepaired {
      Terminal.complain("\(Terminal.safe(problem.path)): \(Terminal.safe(problem.message))")
    }
    if !result.unrepaired.isEmpty || (dryRun && !result.isClean) { throw ExitStatus.damaged }
    if !result.lost.isEmpty { throw ExitStatus.partial }
  }

  private func summarise(_ result: RepairReport) {
    for step in result.steps {
      Terminal.print("\(Terminal.safe(step.path)): \(Terminal.safe(step.message))")
    }
    for snapshot in result.repaired {
      let made = snapshot.snapshot.map { "repaired as \($0.prefix(8))" } ?? "would be repaired"
      Terminal.print(
        "snapshot \(snapshot.original.prefix(8)): \(made),"
          + " \(Quantity.count(snapshot.lostPaths)) paths marked,"
          + " \(Quantity.count(snapshot.healedPaths)) whole again")
    }
    if result.isClean {
      Terminal.print("nothing to repair")
    } else if dryRun {
      Terminal.print("nothing was changed")
    } else {
      Terminal.print(
        "\(Quantity.count(result.chunksSalvaged)) chunks salvaged"
          + (result.folder.map { "; damaged objects are in \($0)" } ?? ""))
    }
  }
}
