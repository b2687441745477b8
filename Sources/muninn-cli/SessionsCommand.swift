import ArgumentParser
import Muninn

struct SessionsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sessions", abstract: "Say who is at work on a repository.",
    discussion: """
      A prune leaves to the next one what the sessions at work may still need. One that seems dead \
      is in nobody's way: the next backup adopts what it stored, or the next prune deletes it.

      \(ExitStatus.discussion)
      """)

  @OptionGroup var target: RepositoryArgument
  @OptionGroup var report: ReportOptions

  private struct Report: Encodable { let sessions: [SessionReport] }

  func run() async throws {
    let sessions = try await Interruption.cancelling { [target] in
      try await target.open().sessions()
    }
    if report.isJSON { return try JSONOutput.print(Report(sessions: sessions)) }
    var table = Table([
      ("ID", .left), ("WORK", .left), ("STATE", .left), ("HOST", .left), ("PROCESS", .right),
      ("SINCE", .left), ("SEEN", .left),
    ])
    for session in sessions {
      table.add([
        session.id, Terminal.safe(session.work), session.state.rawValue,
        Terminal.safe(session.host), String(session.process), time(session.began),
        time(session.renewed),
      ])
    }
    if sessions.isEmpty {
      Terminal.print("nobody is at work")
    } else {
      for line in table.lines { Terminal.print(line) }
    }
  }

  private func time(_ seconds: Double?) -> String { seconds.map(Quantity.localTime) ?? "-" }
}
