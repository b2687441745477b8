import ArgumentParser
import Muninn

struct InitCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "init", abstract: "Make a repository in a new or empty directory.",
    discussion: ExitStatus.discussion)

  @OptionGroup var target: RepositoryArgument
  @Flag(
    inversion: .prefixedNo,
    help: "Whether several file systems of a server may use it.")
  var shared = true
  @Option(help: "Average size of a chunk, such as 32K or 64K; it cannot be changed later.")
  var averageChunkSize: ByteCount?
  @OptionGroup var report: ReportOptions

  private struct Report: Encodable {
    let repository: String
    let location: String
    let isShared: Bool
  }

  func run() async throws {
    var options = CreateOptions()
    options.averageChunkSize = averageChunkSize?.bytes
    options.isShared = shared
    let location = target.location
    let repository = try await Interruption.cancelling { [options] in
      try await Repository.create(at: location, options: options)
    }
    if report.isJSON {
      try JSONOutput.print(
        Report(
          repository: repository.id, location: repository.location, isShared: repository.isShared))
    } else {
      Terminal.print("made repository \(repository.id) in \(Terminal.safe(repository.location))")
    }
  }
}
