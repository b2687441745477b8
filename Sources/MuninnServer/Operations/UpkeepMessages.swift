import Muninn

/// What an upkeep of a location has to say once it is over.
extension ServerCore {
  static func messages(_ report: PruneReport) -> [BackupStatus.Message] {
    let verb = report.isDryRun ? "would be" : "were"
    var texts = [
      "\(report.containersCondemned) containers that no snapshot needs, \(report.bytesCondemned)"
        + " bytes, were found.",
      "\(report.containersRewritten) containers, \(report.bytesReplaced) bytes, \(verb) rewritten"
        + " as \(report.bytesRewritten) bytes.",
      "\(report.objectsDeleted) objects, \(report.bytesFreed) bytes, \(verb) deleted;"
        + " \(report.containersLeft) containers, \(report.bytesLeft) bytes, are left.",
    ]
    if report.objectsWaiting > 0 {
      texts.append(waiting(report.bytesWaiting, report.waitingFor))
    }
    return texts.map { .init(.informational, $0) } + messages(report.problems)
  }

  static func messages(_ report: DefragmentReport) -> [BackupStatus.Message] {
    let verb = report.isDryRun ? "would be" : "were"
    var texts = [
      "\(report.containersRewritten) containers, \(report.bytesReplaced) bytes, \(verb) rewritten"
        + " as \(report.bytesRewritten) bytes.",
      "The newest snapshots needed \(report.before.bytesNeeded) of \(report.before.bytesHeld) bytes"
        + " in \(report.before.containers) containers.",
    ]
    if !report.isDryRun {
      texts.append(
        "They need \(report.after.bytesNeeded) of \(report.after.bytesHeld) bytes in"
          + " \(report.after.containers) containers now.")
    }
    if report.bytesWaiting > 0 { texts.append(waiting(report.bytesWaiting, report.waitingFor)) }
    if report.isHeldBack {
      texts.append("No more is rewritten before that: defragment again then.")
    }
    return texts.map { .init(.informational, $0) } + messages(report.problems)
  }

  private static func waiting(_ byteCount: UInt64, _ sessions: [String]) -> String {
    "\(byteCount) bytes wait for the next time, until these end: "
      + sessions.joined(separator: "; ") + "."
  }

  private static func messages(_ problems: [PathProblem]) -> [BackupStatus.Message] {
    problems.prefix(1000).map {
      .init(.error, "'\($0.path)' stays as it is: \($0.message)", details: $0.path)
    }
  }
}
