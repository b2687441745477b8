import ArgumentParser
import Muninn

struct ForgetCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "forget",
    abstract: "Forget snapshots: those that are named, or those that no rule keeps.",
    discussion: """
      A snapshot is kept if any rule keeps it, or if it is held. The rules by calendar keep the \
      newest snapshot of each of so many hours, days, weeks, months or years that have any, in \
      local time. Of a group of which no rule keeps anything, the newest is kept.

      What forgotten snapshots alone needed stays on the disk until `muninn prune`.

      \(ExitStatus.discussion)
      """)

  @OptionGroup var target: RepositoryArgument
  @Argument(help: "Ids of snapshots to forget, or their beginnings. Then rules cannot be given.")
  var ids: [String] = []
  @OptionGroup var rules: RetentionOptions
  @Flag(name: .customLong("dry-run"), help: "Say what would be forgotten, and forget nothing.")
  var isDryRun = false
  @OptionGroup var report: ReportOptions

  func validate() throws {
    if ids.isEmpty, rules.policy.isEmpty {
      throw ValidationError(
        "nothing says what to keep: give a --keep rule, or the ids of what to forget")
    }
    if !ids.isEmpty, !rules.policy.isEmpty {
      throw ValidationError("give rules or ids, not both")
    }
  }

  func run() async throws {
    var request = ForgetRequest()
    request.ids = ids
    request.policy = rules.policy
    request.grouping = rules.grouping.value
    request.host = rules.host
    request.isDryRun = isDryRun
    let result = try await Interruption.cancelling { [target, request] in
      try await target.open().forget(request)
    }
    if report.isJSON { return try JSONOutput.print(result) }
    for group in result.groups { show(group) }
    if result.groups.isEmpty {
      for snapshot in result.forgotten {
        Terminal.print("\(snapshot.shortID)  \(Quantity.localTime(snapshot.started))")
      }
    }
    let verb = isDryRun ? "would be forgotten" : "forgotten"
    Terminal.print("\(result.forgotten.count) \(verb), \(result.snapshotsLeft) left")
  }

  private func show(_ group: RetentionGroup) {
    var title: [String] = []
    if let fileSystem = group.fileSystemID { title.append("file system \(fileSystem)") }
    if let host = group.host { title.append(host) }
    title += group.paths
    if !title.isEmpty { Terminal.print(Terminal.safe(title.joined(separator: "  "))) }
    var table = Table([("ID", .left), ("TIME", .left), ("TAGS", .left), ("KEPT BECAUSE", .left)])
    for decision in group.decisions {
      let snapshot = decision.snapshot
      table.add([
        snapshot.shortID, Quantity.localTime(snapshot.started),
        Terminal.safe(snapshot.tags.joined(separator: ",")),
        decision.isKept ? Terminal.safe(decision.reasons.joined(separator: ", ")) : "- (forget)",
      ])
    }
    for line in table.lines { Terminal.print(line) }
    Terminal.print("")
  }
}

/// Rules of what to keep.
struct RetentionOptions: ParsableArguments {
  @Option(name: .customLong("keep-last"), help: "Keep the newest N.")
  var last: Int?
  @Option(name: .customLong("keep-hourly"), help: "Keep the newest of each of N hours.")
  var hourly: Int?
  @Option(name: .customLong("keep-daily"), help: "Keep the newest of each of N days.")
  var daily: Int?
  @Option(name: .customLong("keep-weekly"), help: "Keep the newest of each of N weeks.")
  var weekly: Int?
  @Option(name: .customLong("keep-monthly"), help: "Keep the newest of each of N months.")
  var monthly: Int?
  @Option(name: .customLong("keep-yearly"), help: "Keep the newest of each of N years.")
  var yearly: Int?
  @Option(
    name: .customLong("keep-within"),
    help: ArgumentHelp(
      "Keep what is at most so much older than the newest: 2y, 6m, 3w, 14d, 36h, or together.",
      valueName: "span"))
  var within: Span?
  @Option(
    name: .customLong("keep-tag"),
    help: "Keep what has this tag; may be given several times.")
  var tags: [String] = []
  @Option(
    name: .customLong("group-by"),
    help: "What the rules look at together: source (file system, or host and paths), host, none.")
  var grouping = Grouping.source
  @Option(help: "Look at the snapshots of this host alone.")
  var host: String?
  @Flag(name: .customLong("utc"), help: "Take days and the like in UTC instead of local time.")
  var isUTC = false

  func validate() throws {
    let counts = [last, hourly, daily, weekly, monthly, yearly].compactMap { $0 }
    guard counts.allSatisfy({ (1...1_000_000).contains($0) }) else {
      throw ValidationError("the number of a --keep rule must be 1 to 1000000")
    }
  }

  var policy: RetentionPolicy {
    var policy = RetentionPolicy()
    policy.last = last ?? 0
    policy.hourly = hourly ?? 0
    policy.daily = daily ?? 0
    policy.weekly = weekly ?? 0
    policy.monthly = monthly ?? 0
    policy.yearly = yearly ?? 0
    policy.within = within?.value
    policy.tags = tags
    policy.isUTC = isUTC
    return policy
  }
}

/// A length of time by the calendar, as an argument.
struct Span: ExpressibleByArgument {
  let value: CalendarSpan

  init?(argument: String) {
    guard let value = CalendarSpan(argument) else { return nil }
    self.value = value
  }
}

/// What the rules look at together, as an argument.
enum Grouping: String, ExpressibleByArgument, CaseIterable {
  case source
  case host
  case none

  var value: RetentionGrouping {
    switch self {
    case .source: .source
    case .host: .host
    case .none: .none
    }
  }
}
