import ArgumentParser
import MuninnStore

/// `muninn-bench index`: the chunk index alone, with invented fingerprints.
struct IndexCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "index",
    abstract: "Insert invented fingerprints, commit, open again, and look them up.",
    discussion: """
      Fingerprints and tags follow from numbers, and containers are never written: when a lookup \
      is to be confirmed, the container's directory is made from its number and then read, checked \
      and decoded as if it came from disk. So the disk's share of a hit is not in the figures; a \
      miss has none. Everything else is real: a session's tables and claims in batches of 64, \
      segments written, synced, merged in the background and committed. With chunks of 32 KiB a \
      repository of N entries holds N x 32 KiB of unique data.
      """)

  @OptionGroup var report: ReportOptions

  @Option(help: "Where a repository is made and removed again.")
  var directory = "/tmp"

  @Option(help: ArgumentHelp("Number of fingerprints.", valueName: "n"))
  var entries = 200_000

  @Option(help: ArgumentHelp("Chunks a container.", valueName: "n"))
  var perContainer = 1024

  @Option(help: ArgumentHelp("Lookups of each kind.", valueName: "n"))
  var lookups = 10_000

  @Option(help: "Sessions that the fingerprints come in, each committed.")
  var sessions = 2

  @Option(help: ArgumentHelp("Memory that filters may take.", valueName: "mib"))
  var filterMemory: UInt64 = 4096

  @Option(help: "Seed of the fingerprints.")
  var seed: UInt64 = 1

  func validate() throws {
    guard (1...1_000_000_000).contains(entries) else {
      throw ValidationError("--entries is 1 to 1000000000")
    }
    guard (1...1_000_000).contains(perContainer) else {
      throw ValidationError("--per-container is 1 to 1000000")
    }
    guard (1...entries).contains(sessions) else {
      throw ValidationError("--sessions is 1 to the count")
    }
    guard lookups >= 1 else { throw ValidationError("--lookups is 1 or more") }
  }

  func run() throws {
    let scratch = try Scratch(below: directory)
    defer { scratch.remove() }
    let parameters =
      "\(entries) fingerprints, \(perContainer) a container, \(sessions) sessions, \(lookups) "
      + "lookups, seed \(seed), \(report.runs) runs"
    var limits = IndexLimits()
    limits.filterBytes = filterMemory << 20
    let index = IndexMeasurements(
      count: entries, perContainer: perContainer, lookups: lookups, sessions: sessions,
      runs: report.runs, chunks: InventedChunks(seed: seed, perContainer: perContainer),
      limits: limits, scratch: scratch)
    try MeasurementReport(report: report, parameters: parameters).run { add in
      try index.measure(add)
    }
  }
}
