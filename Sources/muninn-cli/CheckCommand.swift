import ArgumentParser
import Muninn

struct CheckCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Verify a repository: its structure, or every byte.",
    discussion: ExitStatus.discussion)

  @OptionGroup var target: RepositoryArgument
  @Flag(help: "Read and verify every byte, not only the structure.")
  var readData = false
  @OptionGroup var report: ReportOptions

  func run() async throws {
    let line = ProgressLine()
    defer { line.end() }
    let options = CheckOptions(readData: readData)
    let result = try await Interruption.cancelling { [target] in
      let repository = try await target.open()
      return try await repository.check(options, progress: line.handler)
    }
    line.end()
    if report.isJSON {
      try JSONOutput.print(result)
    } else {
      Terminal.print(
        "checked  \(Quantity.count(result.snapshots)) snapshots,"
          + " \(Quantity.count(result.containers)) containers,"
          + " \(Quantity.count(result.chunks)) chunks, read \(Quantity.size(result.bytesRead))"
          + " in \(Quantity.elapsed(result.seconds))")
      if result.isClean { Terminal.print("no problems found") }
    }
    guard !result.isClean else { return }
    for problem in result.problems {
      Terminal.complain("\(Terminal.safe(problem.path)): \(Terminal.safe(problem.message))")
    }
    Terminal.complain("\(Quantity.count(UInt64(result.problems.count))) problems found")
    throw ExitStatus.damaged
  }
}
