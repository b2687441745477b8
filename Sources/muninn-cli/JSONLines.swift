import Muninn
import Synchronization

/// Progress, problems and the report of a backup as JSON objects on standard output, one a line:
/// `{"progress":…}` about once a second, `{"problem":…}` as they come, `{"report":…}` at the end.
enum JSONLines {
  private struct ProgressObject: Encodable { let progress: TimedProgress }

  /// Progress with what it can tell of the time to come.
  private struct TimedProgress: Encodable {
    let progress: Progress

    private enum Key: CodingKey { case secondsLeft }

    func encode(to encoder: any Encoder) throws {
      try progress.encode(to: encoder)
      var container = encoder.container(keyedBy: Key.self)
      try container.encodeIfPresent(progress.secondsLeft, forKey: .secondsLeft)
    }
  }

  private struct ProblemObject: Encodable { let problem: PathProblem }

  private struct ReportObject: Encodable { let report: BackupReport }

  static func handler() -> ProgressHandler {
    let last = Mutex(-1.0)
    return { progress in
      for problem in progress.newProblems { write(ProblemObject(problem: problem)) }
      let isDue = last.withLock { last in
        guard last < 0 || progress.phase == .done || progress.secondsElapsed - last >= 1 else {
          return false
        }
        last = progress.secondsElapsed
        return true
      }
      guard isDue else { return }
      var progress = progress
      progress.newProblems = []
      write(ProgressObject(progress: TimedProgress(progress: progress)))
    }
  }

  static func write(report: BackupReport) { write(ReportObject(report: report)) }

  private static func write(_ value: some Encodable) {
    if let text = try? JSONOutput.text(value) { Terminal.print(text) }
  }
}
