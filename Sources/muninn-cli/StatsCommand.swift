import ArgumentParser
import Muninn

struct StatsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stats", abstract: "Say what a repository holds and what it takes.",
    discussion: ExitStatus.discussion)

  @OptionGroup var target: RepositoryArgument
  @OptionGroup var report: ReportOptions

  func run() async throws {
    let result = try await Interruption.cancelling { [target] in
      try await target.open().statistics()
    }
    if report.isJSON { return try JSONOutput.print(result) }
    let stored = result.containerBytes + result.segmentBytes + result.journalBytes
    var table = Table([("repository", .left), (result.repositoryID, .left)])
    table.add(["format", "version \(result.formatVersion)"])
    table.add(["encrypted", result.isEncrypted ? "yes" : "no"])
    table.add(["snapshots", Quantity.count(result.snapshots)])
    table.add(["content", "\(Quantity.size(result.logicalBytes)) in all snapshots"])
    table.add([
      "unique",
      "\(Quantity.size(result.uniqueBytes)) in \(Quantity.count(result.chunks)) chunks",
    ])
    table.add([
      "containers",
      "\(Quantity.size(result.containerBytes)) in \(Quantity.count(result.containers))",
    ])
    table.add(["index", Quantity.size(result.segmentBytes)])
    table.add([
      "journal",
      "\(Quantity.size(result.journalBytes)) in \(Quantity.count(result.journalRecords)) records",
    ])
    table.add(["on disk", Quantity.size(stored)])
    for line in table.lines { Terminal.print(line) }
  }
}
