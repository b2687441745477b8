import ArgumentParser

/// `muninn-bench index`: the chunk index alone, with invented fingerprints.
struct IndexCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "index",
    abstract: "Insert invented fingerprints, commit, open again, and look them up.",
    discussion: """
      The chunks have one byte each, so that containers cost little: what is measured is the table \
      of a session, the segments, and the containers' directories. With N chunks of 32 KiB a \
      repository holds N x 32 KiB unique data.
      """)

  @OptionGroup var report: ReportOptions

  @Option(help: "Where a repository is made and removed again.")
  var directory = "/tmp"

  @Option(help: ArgumentHelp("Number of fingerprints.", valueName: "n"))
  var count = 20_000

  @Option(help: ArgumentHelp("Chunks a container.", valueName: "n"))
  var perContainer = 512

  @Option(help: ArgumentHelp("Lookups of each kind.", valueName: "n"))
  var lookups = 10_000

  @Option(help: "Sessions that the fingerprints come in, each committed.")
  var sessions = 2

  @Option(help: "Seed of the fingerprints.")
  var seed: UInt64 = 1

  func validate() throws {
    guard (1...1_000_000_000).contains(count) else {
      throw ValidationError("--count is 1 to 1000000000")
    }
    guard (1...1_000_000).contains(perContainer) else {
      throw ValidationError("--per-container is 1 to 1000000")
    }
    guard (1...count).contains(sessions) else {
      throw ValidationError("--sessions is 1 to the count")
    }
    guard lookups >= 1 else { throw ValidationError("--lookups is 1 or more") }
  }

  func run() throws {
    let scratch = try Scratch(below: directory)
    defer { scratch.remove() }
    let parameters =
      "\(count) fingerprints, \(perContainer) a container, \(sessions) sessions, \(lookups) "
      + "lookups, seed \(seed), \(report.runs) runs"
    let index = IndexMeasurements(
      count: count, perContainer: perContainer, lookups: min(lookups, count),
      sessions: sessions, seed: seed, runs: report.runs, scratch: scratch)
    try MeasurementReport(report: report, parameters: parameters).run { add in
      try index.measure(add)
    }
  }
}
