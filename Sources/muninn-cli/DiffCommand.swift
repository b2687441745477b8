import ArgumentParser
import Muninn

struct DiffCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "diff",
    abstract: "Show how a snapshot differs from another one, or from a directory.",
    discussion: """
      A line a path: + is only in the second, - only in the first, M in both. For M it says in \
      what they differ: kind, content, mode, owner, modified (the time), attributes, linkTarget, \
      device, flags. Attributes and flags of a directory's entries are not looked at.

      \(ExitStatus.discussion)
      """)

  @OptionGroup var source: RepositoryArgument
  @Argument(help: "A snapshot's id or its beginning, or latest.")
  var first: String
  @Argument(
    help: "Another snapshot, or a directory: what has a slash, or is . or .., is a directory.")
  var second: String
  @Flag(name: .customLong("content"), help: "Read and compare the contents of a directory's files.")
  var readsContent = false
  @OptionGroup var report: ReportOptions

  func run() async throws {
    let output = LineOutput(isJSON: report.isJSON, key: "differences")
    let from = SnapshotSelector(argument: first)
    let isDirectory = second.contains("/") || second == "." || second == ".."
    let directory = PathText.encode(Paths.absoluteBytes(second))
    let write: @Sendable (Difference) -> Bool = { difference in
      output.add(difference) { Self.line(difference) }
      return !Interruption.wasRequested
    }
    let problems = try await Interruption.cancelling { [source, second, readsContent] in
      let repository = try await source.open()
      return isDirectory
        ? try await repository.differences(
          from: from, toDirectory: directory, readsContent: readsContent, write)
        : try await repository.differences(
          from: from, to: SnapshotSelector(argument: second), write)
    }
    output.end()
    if !problems.isEmpty {
      ProblemList.complain(problems, of: UInt64(problems.count), "compared")
      throw ExitStatus.partial
    }
  }

  private static func line(_ difference: Difference) -> String {
    let path = Terminal.safe(difference.path.isEmpty ? "." : difference.path)
    switch difference.change {
    case .added: return "+ \(path)"
    case .removed: return "- \(path)"
    case .changed:
      return "M \(path)  (\(difference.aspects.map(\.rawValue).joined(separator: ", ")))"
    }
  }
}
