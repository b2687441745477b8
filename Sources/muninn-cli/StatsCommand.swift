import ArgumentParser
import Muninn

struct StatsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stats", abstract: "Say what a repository holds and what it takes.",
    discussion: ExitStatus.discussion)

  @OptionGroup var target: RepositoryArgument
  @Flag(
    name: .customLong("fragmentation"),
    help: "Say how the content of a snapshot lies in the repository, and what a restore reads.")
  var showsFragmentation = false
  @Argument(help: "With --fragmentation: a snapshot's id or its beginning; latest if not given.")
  var snapshot: String?
  @OptionGroup var report: ReportOptions

  func validate() throws {
    if snapshot != nil, !showsFragmentation {
      throw ValidationError("a snapshot is named with --fragmentation alone")
    }
  }

  func run() async throws {
    if showsFragmentation { return try await printFragmentation() }
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

  private func printFragmentation() async throws {
    let selector = SnapshotSelector(argument: snapshot ?? "latest")
    let result = try await Interruption.cancelling { [target] in
      try await target.open().fragmentation(of: selector)
    }
    if report.isJSON { return try JSONOutput.print(result) }
    var table = Table([("content", .left), (Quantity.size(result.contentBytes), .left)])
    table.add(["needs", "\(Quantity.size(result.neededBytes)) of chunks, each counted once"])
    table.add([
      "containers",
      "\(Quantity.count(result.containers)), of which"
        + " \(Quantity.count(result.sparseContainers)) sparse",
    ])
    table.add(["utilisation", "\(Int((result.utilisation * 100).rounded())) %"])
    table.add([
      "speed factor", "\(Quantity.size(UInt64(result.speedFactor * 1_048_576))) a container",
    ])
    if let plan = result.plan {
      table.add([
        "a restore reads",
        "\(Quantity.size(plan.bytesRead)) in \(Quantity.count(plan.requests)) requests to"
          + " \(Quantity.count(plan.containerReads)) containers",
      ])
      table.add([
        "amplification",
        "\(Quantity.hundredths(plan.readAmplification)), as"
          + " \(Quantity.size(plan.bytesNeeded)) of it are needed",
      ])
    }
    for line in table.lines { Terminal.print(line) }
  }
}
