import ArgumentParser
import Muninn

struct DumpCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dump",
    abstract: "Write a snapshot, or some paths of it, to standard output as a tar archive.",
    discussion: """
      The archive is in pax format. Extract it with GNU tar so: \
      tar -x --xattrs --xattrs-include='*' --numeric-owner. Sockets are left out.

      \(ExitStatus.discussion)
      """)

  @OptionGroup var source: RepositoryArgument
  @Argument(help: "A snapshot's id or its beginning, or latest.")
  var snapshot: String
  @Argument(help: "Paths as ls shows them; everything if there is none.")
  var paths: [String] = []
  @Flag(help: "The archive's format: tar is the only one, and the default.")
  var tar = false
  @Option(
    name: .customLong("include"),
    help: "A pattern as in .gitignore, of what alone to take; may be given several times.")
  var includes: [String] = []
  @Option(
    name: .customLong("exclude"),
    help: "A pattern as in .gitignore, of what to leave out; may be given several times.")
  var excludes: [String] = []

  func run() async throws {
    var request = RestoreRequest(snapshot: SnapshotSelector(argument: snapshot), target: "/")
    request.paths = paths
    request.includes = includes
    request.excludes = excludes
    let output = BinaryOutput()
    let problems: [PathProblem]
    do {
      problems = try await Interruption.cancelling { [source, request] in
        let repository = try await source.open()
        return try await repository.archive(request) { output.write($0) }
      }
    } catch let error as MuninnError where error.code == .cancelled && output.isClosed {
      return
    } catch {
      try output.check()
      throw error
    }
    if !problems.isEmpty {
      ProblemList.complain(problems, of: UInt64(problems.count), "archived")
      throw ExitStatus.partial
    }
  }
}
