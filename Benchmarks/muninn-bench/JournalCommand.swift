import ArgumentParser

/// `muninn-bench journal`: opening a repository of very many snapshots.
struct JournalCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "journal",
    abstract: "Commit invented snapshots, then open the repository and list them.",
    discussion: """
      Each snapshot is a record of its own with two new containers, which are not written. Four \
      file systems take turns. Every commit syncs: a directory on a memory file system makes the \
      preparation quicker, and opening is measured warm anyhow.
      """)

  @OptionGroup var report: ReportOptions

  @Option(help: "Where a repository is made and removed again.")
  var directory = "/dev/shm"

  @Option(help: ArgumentHelp("Number of snapshots.", valueName: "n"))
  var snapshots = 10_000

  func validate() throws {
    guard (1...10_000_000).contains(snapshots) else {
      throw ValidationError("--snapshots is 1 to 10000000")
    }
  }

  func run() throws {
    let scratch = try Scratch(below: directory)
    defer { scratch.remove() }
    let journal = JournalMeasurements(count: snapshots, runs: report.runs, scratch: scratch)
    try MeasurementReport(report: report, parameters: "\(snapshots) snapshots").run { add in
      try journal.measure(add)
    }
  }
}
