import ArgumentParser
import Muninn
import Synchronization

struct ListCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ls", abstract: "List what a snapshot holds.",
    discussion: ExitStatus.discussion)

  @OptionGroup var target: RepositoryArgument
  @Argument(help: "A snapshot's id or its beginning, or latest.")
  var snapshot: String
  @Argument(help: "A path as ls shows it; everything if not given.")
  var path: String?
  @Flag(inversion: .prefixedNo, help: "List what is in directories below too.")
  var recursive = true
  @OptionGroup var report: ReportOptions

  func run() async throws {
    let output = EntryOutput(isJSON: report.isJSON)
    let selector = SnapshotSelector(argument: snapshot)
    try await Interruption.cancelling { [target, path, recursive] in
      let repository = try await target.open()
      let found = try await repository.snapshot(selector)
      try output.begin(found)
      try await repository.list(.id(found.id), path: path, isRecursive: recursive) { entry in
        output.write(entry)
        return !Interruption.wasRequested
      }
    }
    output.end()
    if Interruption.wasRequested { throw CancellationError() }
  }
}

/// Writes entries as they come, so that memory does not grow with the snapshot.
private final class EntryOutput: Sendable {
  private let isJSON: Bool
  private let pending = Mutex((text: "", count: 0))

  init(isJSON: Bool) { self.isJSON = isJSON }

  func begin(_ snapshot: Snapshot) throws {
    guard isJSON else { return }
    let id = try JSONOutput.text(snapshot.id)
    pending.withLock { $0.text = "{\"snapshot\":\(id),\"entries\":[" }
  }

  func write(_ entry: Entry) {
    let line = isJSON ? (try? JSONOutput.text(entry)) ?? "null" : Self.line(entry) + "\n"
    pending.withLock { pending in
      if isJSON, pending.count > 0 { pending.text += ",\n" }
      pending.text += line
      pending.count += 1
      if pending.text.utf8.count > 1 << 16 { Self.flush(&pending.text) }
    }
  }

  func end() {
    pending.withLock { pending in
      if isJSON { pending.text += "]}\n" }
      Self.flush(&pending.text)
    }
  }

  private static func flush(_ text: inout String) {
    Terminal.write(text, to: 1)
    text = ""
  }

  private static func line(_ entry: Entry) -> String {
    let user = entry.userName.isEmpty ? String(entry.userID) : entry.userName
    let group = entry.groupName.isEmpty ? String(entry.groupID) : entry.groupName
    let size = String(entry.size)
    let time = Quantity.localTime(Double(entry.modifiedNanoseconds) / 1e9)
    let link = entry.linkTarget.map { " -> \(Terminal.safe($0))" } ?? ""
    let mark = entry.isUnstable ? "  [changed while it was backed up]" : ""
    return [
      mode(entry), padded(user, 8), padded(group, 8),
      String(repeating: " ", count: max(0, 12 - size.count)) + size, time,
      Terminal.safe(entry.path) + link + mark,
    ].joined(separator: " ")
  }

  /// `-rwxr-sr-x`, as `ls -l` has it.
  private static func mode(_ entry: Entry) -> String {
    let kind: Character =
      switch entry.kind {
      case .file: "-"
      case .directory: "d"
      case .symlink: "l"
      case .fifo: "p"
      case .socket: "s"
      case .characterDevice: "c"
      case .blockDevice: "b"
      }
    var text = String(kind)
    for (shift, special, letter) in [(6, 0o4000, "s"), (3, 0o2000, "s"), (0, 0o1000, "t")] {
      let bits = Int(entry.mode) >> shift
      text += bits & 4 != 0 ? "r" : "-"
      text += bits & 2 != 0 ? "w" : "-"
      let isSpecial = Int(entry.mode) & special != 0
      text += bits & 1 != 0 ? (isSpecial ? letter : "x") : (isSpecial ? letter.uppercased() : "-")
    }
    return text
  }

  private static func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }
}
