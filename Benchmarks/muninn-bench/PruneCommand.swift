import ArgumentParser

/// `muninn-bench prune`: a collection over very many containers.
struct PruneCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "prune",
    abstract: "Commit invented snapshots, forget half of them, and collect.",
    discussion: """
      Each snapshot adds containers and drops half as many of its parent's; four file systems take \
      turns. The containers are empty files, so that they are listed and deleted as others are. \
      Every commit syncs: on a memory file system the preparation is quicker, and a collection \
      does the same work but for its syncs.
      """)

  @OptionGroup var report: ReportOptions

  @Option(help: "Where a repository is made and removed again.")
  var directory = "/dev/shm"

  @Option(help: ArgumentHelp("Number of snapshots.", valueName: "n"))
  var snapshots = 1000

  @Option(help: ArgumentHelp("Containers that each of them adds.", valueName: "n"))
  var containers = 100

  func validate() throws {
    guard (2...1_000_000).contains(snapshots), (2...100_000).contains(containers) else {
      throw ValidationError("--snapshots is 2 to 1000000, --containers 2 to 100000")
    }
  }

  func run() throws {
    let scratch = try Scratch(below: directory)
    defer { scratch.remove() }
    let prune = PruneMeasurements(
      snapshots: snapshots, containers: containers, runs: report.runs, scratch: scratch)
    let parameters = "\(snapshots) snapshots, \(snapshots * containers) containers"
    try MeasurementReport(report: report, parameters: parameters).run { add in
      try prune.measure(add)
    }
  }
}
