import ArgumentParser
import Muninn

struct RestoreCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "restore", abstract: "Restore a snapshot, or some paths of it.",
    discussion: ExitStatus.discussion)

  @OptionGroup var source: RepositoryArgument
  @Argument(help: "A snapshot's id or its beginning, or latest.")
  var snapshot: String
  @Option(help: "The directory to restore to: new or empty.")
  var target: String
  @Option(
    name: .customLong("path"),
    help: "A path as ls shows it, to restore only that; may be given several times.")
  var paths: [String] = []
  @Flag(name: .customLong("defrag"), help: "Lay files out in path order in contiguous extents.")
  var defragment = false
  @Flag(name: .customLong("extents"), help: "Report the extents of the files, as --defrag does.")
  var countsExtents = false
  @OptionGroup var threads: ThreadOptions
  @OptionGroup var report: ReportOptions

  func run() async throws {
    var request = RestoreRequest(
      snapshot: SnapshotSelector(argument: snapshot),
      target: PathText.encode(Paths.absoluteBytes(target)))
    request.paths = paths
    request.defragment = defragment
    request.countsExtents = countsExtents
    request.threads = threads.threads
    let line = ProgressLine()
    defer { line.end() }
    let result = try await Interruption.cancelling { [request, source] in
      let repository = try await source.open()
      return try await repository.restore(request, progress: line.handler)
    }
    line.end()
    if report.isJSON { try JSONOutput.print(result) } else { summarise(result) }
    let problems = max(result.problemCount, UInt64(result.problems.count))
    if problems > 0 {
      ProblemList.complain(result.problems, of: problems, "restored")
      throw ExitStatus.partial
    }
  }

  private func summarise(_ result: RestoreReport) {
    let rate = result.seconds > 0 ? Double(result.bytes) / result.seconds : 0
    Terminal.print(
      "restored \(Quantity.count(result.files)) files, \(Quantity.count(result.entries)) entries,"
        + " \(Quantity.size(result.bytes)) in \(Quantity.elapsed(result.seconds))"
        + "  \(Quantity.rate(rate))")
    Terminal.print(
      "read     \(Quantity.count(result.containersRead)) containers,"
        + " \(Quantity.size(result.containerBytesRead))")
    if let before = result.sourceExtents { extents("source ", before) }
    if let after = result.extents { extents("extents", after) }
  }

  private func extents(_ label: String, _ counts: ExtentStatistics) {
    let each = counts.files > 0 ? Double(counts.total) / Double(counts.files) : 0
    let hundredths = Int((each * 100).rounded())
    Terminal.print(
      "\(label)  \(Quantity.count(counts.total)) extents in \(Quantity.count(counts.files)) files:"
        + " \(hundredths / 100).\(hundredths % 100 / 10)\(hundredths % 10) a file,"
        + " median \(counts.median), 99th percentile \(counts.percentile99),"
        + " most \(counts.maximum)")
  }
}
