import ArgumentParser
import Muninn

struct TagCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tag", abstract: "Add and remove tags of snapshots.",
    discussion: ExitStatus.discussion)

  @OptionGroup var target: RepositoryArgument
  @Argument(help: "Ids of snapshots, or their beginnings.")
  var ids: [String]
  @Option(name: .customLong("add"), help: "A tag to add; may be given several times.")
  var added: [String] = []
  @Option(name: .customLong("remove"), help: "A tag to remove; may be given several times.")
  var removed: [String] = []
  @OptionGroup var report: ReportOptions

  func validate() throws {
    if added.isEmpty, removed.isEmpty { throw ValidationError("give --add or --remove") }
  }

  func run() async throws {
    let snapshots = try await Interruption.cancelling { [target, ids, added, removed] in
      try await target.open().tag(ids, adding: added, removing: removed)
    }
    try AnnotatedSnapshots(snapshots: snapshots).show(report)
  }
}

struct HoldCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hold",
    abstract: "Protect snapshots from being forgotten, until the hold is lifted.",
    discussion: ExitStatus.discussion)

  @OptionGroup var target: RepositoryArgument
  @Argument(help: "Ids of snapshots, or their beginnings.")
  var ids: [String]
  @Option(help: "Why, for people.")
  var reason = ""
  @Flag(help: "Lift the hold.")
  var lift = false
  @OptionGroup var report: ReportOptions

  func run() async throws {
    let snapshots = try await Interruption.cancelling { [target, ids, reason, lift] in
      let repository = try await target.open()
      return lift
        ? try await repository.liftHold(ids) : try await repository.hold(ids, reason: reason)
    }
    try AnnotatedSnapshots(snapshots: snapshots).show(report)
  }
}

/// What is said of snapshots after a change of it.
private struct AnnotatedSnapshots: Encodable {
  let snapshots: [Snapshot]

  func show(_ report: ReportOptions) throws {
    if report.isJSON { return try JSONOutput.print(self) }
    for snapshot in snapshots {
      var words = [snapshot.shortID, Quantity.localTime(snapshot.started)]
      if !snapshot.tags.isEmpty { words.append("tags \(snapshot.tags.joined(separator: ","))") }
      if snapshot.isHeld {
        words.append("held" + (snapshot.holdReason.map { " (\($0))" } ?? ""))
      }
      Terminal.print(Terminal.safe(words.joined(separator: "  ")))
    }
  }
}

struct SettingsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "settings",
    abstract: "Show or change what is decided for all who use a repository.",
    discussion: ExitStatus.discussion)

  @OptionGroup var target: RepositoryArgument
  @Option(
    name: .customLong("minimum-age"),
    help: ArgumentHelp(
      "How long `prune` leaves alone what a forgotten snapshot needed: 14d, 36h, 0 for no time.",
      valueName: "span"))
  var minimumAge: MinimumAge?
  @OptionGroup var report: ReportOptions

  func run() async throws {
    let options = try await Interruption.cancelling { [target, minimumAge] in
      let repository = try await target.open()
      guard let minimumAge else { return try await repository.options() }
      return try await repository.changeOptions { $0.minimumAgeSeconds = minimumAge.seconds }
    }
    if report.isJSON { return try JSONOutput.print(options) }
    let hours = options.minimumAgeSeconds / 3600
    Terminal.print("minimum age  \(hours % 24 == 0 ? "\(hours / 24) days" : "\(hours) hours")")
  }
}

/// A length of time that does not depend on the day: years of 365 days, months of 30.
struct MinimumAge: ExpressibleByArgument {
  let seconds: UInt64

  init?(argument: String) {
    if argument == "0" {
      seconds = 0
    } else {
      guard let span = CalendarSpan(argument) else { return nil }
      seconds = span.approximateSeconds
    }
  }
}
