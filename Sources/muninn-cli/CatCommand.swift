import ArgumentParser
import Muninn

struct CatCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cat", abstract: "Write one file of a snapshot to standard output.",
    discussion: ExitStatus.discussion)

  @OptionGroup var source: RepositoryArgument
  @Argument(help: "A snapshot's id or its beginning, or latest.")
  var snapshot: String
  @Argument(help: "The file's path, as ls shows it.")
  var path: String

  func run() async throws {
    let selector = SnapshotSelector(argument: snapshot)
    let output = BinaryOutput()
    try await Interruption.cancelling { [source, path] in
      let repository = try await source.open()
      _ = try await repository.read(selector, path: path) { output.write($0) }
    }
    try output.check()
  }
}
