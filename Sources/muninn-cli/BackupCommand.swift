import ArgumentParser
import Muninn

struct BackupCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "backup",
    abstract: "Back up one or more paths as a new snapshot.",
    discussion: """
      One directory becomes the snapshot's root; several paths keep their absolute names. What has \
      not changed since the last backup of the same paths from this host is not read again.

      \(ExitStatus.discussion)
      """)

  @OptionGroup var target: RepositoryArgument
  @Argument(help: "What to back up.")
  var paths: [String]
  @Flag(help: "Read every byte again instead of trusting inode, size and times.")
  var full = false
  @Option(name: .customLong("tag"), help: "A tag for the snapshot; may be given several times.")
  var tags: [String] = []
  @Option(
    name: .customLong("exclude"),
    help: "A pattern as in .gitignore, of what to leave out; may be given several times.")
  var excludes: [String] = []
  @OptionGroup var threads: ThreadOptions
  @OptionGroup var report: ReportOptions

  func run() async throws {
    var request = BackupRequest(paths: paths.map { PathText.encode(Paths.absoluteBytes($0)) })
    request.isFull = full
    request.tags = tags
    request.excludes = excludes
    request.threads = threads.threads
    let line = ProgressLine()
    defer { line.end() }
    let result = try await Interruption.cancelling { [request, target] in
      let repository = try await target.open()
      return try await repository.backup(request, progress: line.handler)
    }
    line.end()
    if report.isJSON { try JSONOutput.print(result) } else { summarise(result) }
    let errors = max(result.snapshot.statistics.errors, UInt64(result.problems.count))
    if errors > 0 {
      ProblemList.complain(result.problems, of: errors, "read")
      throw ExitStatus.partial
    }
  }

  private func summarise(_ result: BackupReport) {
    let counts = result.snapshot.statistics
    let rate = result.seconds > 0 ? Double(counts.bytes) / result.seconds : 0
    Terminal.print(
      "snapshot \(result.snapshot.shortID)  \(result.snapshot.kind.rawValue)"
        + "  \(Quantity.elapsed(result.seconds))  \(Quantity.rate(rate))")
    Terminal.print(
      "files    \(Quantity.count(counts.files))  new \(Quantity.count(counts.filesNew))"
        + "  changed \(Quantity.count(counts.filesChanged))"
        + "  unchanged \(Quantity.count(counts.filesUnchanged))")
    Terminal.print(
      "bytes    \(Quantity.size(counts.bytes))  read \(Quantity.size(counts.bytesRead))"
        + "  new \(Quantity.size(counts.bytesNew))  stored \(Quantity.size(counts.bytesStored))")
  }
}
