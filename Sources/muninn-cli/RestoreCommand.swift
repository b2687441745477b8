import ArgumentParser
import Muninn

struct RestoreCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "restore", abstract: "Restore a snapshot, or some paths of it.",
    discussion: """
      A restore that was stopped, killed or cut off by a power loss goes on where it was when the \
      same command is given again.

      \(ExitStatus.discussion)
      """)

  @OptionGroup var source: RepositoryArgument
  @Argument(help: "A snapshot's id or its beginning, or latest.")
  var snapshot: String
  @Option(help: "The directory to restore to: new or empty, or see --overwrite.")
  var target: String
  @OptionGroup var selection: SelectionOptions
  @OptionGroup var existing: ExistingOptions
  @Flag(name: .customLong("defrag"), help: "Lay files out in path order in contiguous extents.")
  var defragment = false
  @Flag(name: .customLong("extents"), help: "Report the extents of the files, as --defrag does.")
  var countsExtents = false
  @Flag(name: .customLong("verify"), help: "Read everything back from the disk and compare it.")
  var verifies = false
  @Flag(name: .customLong("sync"), help: "Be done when everything is on stable storage.")
  var syncs = false
  @Flag(inversion: .prefixedNo, help: "Make character and block devices.")
  var devices = true
  @Option(
    name: [.customLong("limit-rate"), .customLong("limit")],
    help: "Bytes restored in a second at most, such as 50M.")
  var limit: ByteCount?
  @Flag(help: "Change nothing; print what would happen to each path.")
  var dryRun = false
  @Flag(help: "Remove what an unfinished restore has written to the target, and forget it.")
  var clean = false
  @Flag(
    name: .customLong("partial"),
    help: "Keep files whose content is partly lost, with holes for what is.")
  var keepsPartialFiles = false
  @OptionGroup var threads: ThreadOptions
  @OptionGroup var report: ReportOptions

  func run() async throws {
    let target = PathText.encode(Paths.absoluteBytes(target))
    if clean { return try await removeUnfinished(target) }
    let request = request(target)
    if dryRun { return try await RestorePlanOutput(isJSON: report.isJSON).run(source, request) }
    let line = ProgressLine()
    defer { line.end() }
    let result = try await Interruption.cancelling { [source] in
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

  private func request(_ target: String) -> RestoreRequest {
    var request = RestoreRequest(snapshot: SnapshotSelector(argument: snapshot), target: target)
    request.paths = selection.paths
    request.includes = selection.includes
    request.excludes = selection.excludes
    request.overwrite = existing.overwrite?.policy
    request.deletesOthers = existing.delete
    request.updatesInPlace = existing.inPlace
    request.makesDevices = devices
    request.verifies = verifies
    request.syncs = syncs
    request.bytesPerSecond = limit.map { UInt64($0.bytes) }
    request.defragment = defragment
    request.countsExtents = countsExtents
    request.keepsPartialFiles = keepsPartialFiles
    request.threads = threads.threads
    return request
  }

  private func removeUnfinished(_ target: String) async throws {
    let count = try await Interruption.cancelling {
      try await UnfinishedRestore.clean(target: target)
    }
    if report.isJSON {
      try JSONOutput.print(["entriesDeleted": count])
    } else {
      Terminal.print("removed  \(Quantity.count(count)) entries; the restore is forgotten")
    }
  }

  private func summarise(_ result: RestoreReport) {
    let rate = result.seconds > 0 ? Double(result.bytes) / result.seconds : 0
    Terminal.print(
      "restored \(Quantity.count(result.files)) files, \(Quantity.count(result.entries)) entries,"
        + " \(Quantity.size(result.bytes)) in \(Quantity.elapsed(result.seconds))"
        + "  \(Quantity.rate(rate))")
    if result.isResumed || result.entriesKept > 0 || result.entriesDeleted > 0 {
      Terminal.print(
        "kept     \(Quantity.count(result.entriesKept)) entries, wrote"
          + " \(Quantity.size(result.bytesWritten)), deleted"
          + " \(Quantity.count(result.entriesDeleted)) entries")
    }
    if result.isResumed {
      Terminal.print(
        "resumed  an interrupted restore; \(Quantity.size(result.bytesRewritten)) written twice")
    }
    if verifies {
      Terminal.print("verified \(Quantity.count(result.filesVerified)) files, read from the disk")
    }
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
