import ArgumentParser
import Muninn
import Synchronization

/// Which part of a snapshot is meant.
struct SelectionOptions: ParsableArguments {
  @Option(
    name: .customLong("path"),
    help: "A path as ls shows it, to take only that; may be given several times.")
  var paths: [String] = []
  @Option(
    name: .customLong("include"),
    help: "A pattern as in .gitignore, of what alone to take; may be given several times.")
  var includes: [String] = []
  @Option(
    name: .customLong("exclude"),
    help: "A pattern as in .gitignore, of what to leave out; may be given several times.")
  var excludes: [String] = []
}

/// What happens to what is in the target already.
struct ExistingOptions: ParsableArguments {
  @Option(
    help: """
      Restore onto an existing tree: leave files that are there (never), replace those of another \
      size or time (changed), or compare all contents (always).
      """)
  var overwrite: OverwriteArgument?
  @Flag(help: "With --overwrite, remove what the snapshot does not have.")
  var delete = false
  @Flag(
    inversion: .prefixedNo,
    help: "Write only what differs into large files, instead of replacing them.")
  var inPlace = true

  func validate() throws {
    if delete, overwrite == nil { throw ValidationError("--delete needs --overwrite") }
  }
}

enum OverwriteArgument: String, ExpressibleByArgument, CaseIterable {
  case never, changed, always

  var policy: OverwritePolicy? { OverwritePolicy(rawValue: rawValue) }
}

/// Prints what a restore would do: a line a path, its sign first.
final class RestorePlanOutput: Sendable {
  private struct State {
    var text = ""
    var counts: [RestoreChange: UInt64] = [:]
    var entries = 0
  }

  private let isJSON: Bool
  private let state = Mutex(State())

  init(isJSON: Bool) { self.isJSON = isJSON }

  func run(_ source: RepositoryArgument, _ request: RestoreRequest) async throws {
    if isJSON { state.withLock { $0.text = "{\"changes\":[" } }
    let problems = try await Interruption.cancelling { [self] in
      let repository = try await source.open()
      return try await repository.planRestore(request) { path, _, change in
        self.write(path, change)
        return !Interruption.wasRequested
      }
    }
    state.withLock { state in
      if isJSON { state.text += "]}\n" }
      Terminal.write(state.text, to: 1)
    }
    if !isJSON { summarise() }
    if !problems.isEmpty {
      ProblemList.complain(problems, of: UInt64(problems.count), "looked at")
      throw ExitStatus.partial
    }
  }

  private func write(_ path: String, _ change: RestoreChange) {
    state.withLock { state in
      state.counts[change, default: 0] += 1
      if isJSON {
        let item = ["path": path, "change": change.rawValue]
        if state.entries > 0 { state.text += ",\n" }
        state.text += (try? JSONOutput.text(item)) ?? "null"
        state.entries += 1
      } else if change != .keep, change != .leave {
        state.text += "\(Self.sign(of: change)) \(Terminal.safe(path))\n"
      }
      if state.text.utf8.count > 1 << 16 {
        Terminal.write(state.text, to: 1)
        state.text = ""
      }
    }
  }

  private static func sign(of change: RestoreChange) -> String {
    switch change {
    case .create: "+"
    case .replace: "*"
    case .update: "~"
    case .delete: "-"
    case .keep, .leave: "="
    }
  }

  private func summarise() {
    let counts = state.withLock { $0.counts }
    let parts: [(RestoreChange, String)] = [
      (.create, "to make"), (.replace, "to replace"), (.update, "to compare and update"),
      (.keep, "kept"), (.leave, "left alone"), (.delete, "to delete"),
    ]
    let text = parts.compactMap { change, words in
      counts[change].map { "\(Quantity.count($0)) \(words)" }
    }
    Terminal.print(text.isEmpty ? "nothing to do" : text.joined(separator: ", "))
  }
}
