import ArgumentParser
import Muninn

struct FindCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "find", abstract: "Find paths in all snapshots, or in some.",
    discussion: """
      A pattern is as in .gitignore: *.tex matches at any depth, /etc/*.conf from the root. Newest \
      snapshot first.

      \(ExitStatus.discussion)
      """)

  @OptionGroup var source: RepositoryArgument
  @Argument(help: "Patterns; what matches one of them is shown.")
  var patterns: [String]
  @Option(
    name: .customLong("snapshot"),
    help: "A snapshot to search; may be given several times. All if not given.")
  var snapshots: [String] = []
  @OptionGroup var report: ReportOptions

  private struct Found: Encodable {
    let snapshot: String
    let completed: Double
    let entry: Entry
  }

  func run() async throws {
    let output = LineOutput(isJSON: report.isJSON, key: "found")
    let selectors = snapshots.map { SnapshotSelector(argument: $0) }
    let problems = try await Interruption.cancelling { [source, patterns] in
      let repository = try await source.open()
      return try await repository.find(patterns, in: selectors) { snapshot, entry in
        output.add(Found(snapshot: snapshot.id, completed: snapshot.completed, entry: entry)) {
          let time = Quantity.localTime(Double(entry.modifiedNanoseconds) / 1e9)
          return "\(snapshot.shortID)  \(time)  \(Terminal.safe(entry.path))"
        }
        return !Interruption.wasRequested
      }
    }
    output.end()
    if !problems.isEmpty {
      ProblemList.complain(problems, of: UInt64(problems.count), "searched")
      throw ExitStatus.partial
    }
  }
}
