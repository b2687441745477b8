/// Which snapshots are kept. A snapshot is kept if any rule keeps it, or if it is held.
///
/// The rules by calendar keep the newest snapshot of each of so many hours, days, weeks, months or
/// years that have any; those without a snapshot do not count. A snapshot belongs to the moment at
/// which its backup began.
public struct RetentionPolicy: Sendable, Equatable {
  /// The newest ones.
  public var last = 0
  public var hourly = 0
  public var daily = 0
  /// Weeks from Monday to Sunday, as ISO 8601 numbers them.
  public var weekly = 0
  public var monthly = 0
  public var yearly = 0
  /// All that are at most so much older than the newest one of their group. Today's date plays no
  /// part: a machine that is off for a year loses nothing.
  public var within: CalendarSpan?
  /// All that have any of these tags.
  public var tags: [String] = []
  /// Whether days and the like are those of UTC instead of local time.
  public var isUTC = false

  public init() {}

  /// Whether no rule was set.
  public var isEmpty: Bool {
    last == 0 && hourly == 0 && daily == 0 && weekly == 0 && monthly == 0 && yearly == 0
      && within == nil && tags.isEmpty
  }

  /// What is kept of each group, and why. Partial snapshots are left alone. Groups come in the
  /// order of their oldest snapshots, snapshots oldest first. A group of which no rule keeps
  /// anything keeps its newest snapshot.
  public func plan(
    for snapshots: [Snapshot], grouping: RetentionGrouping = .source
  ) -> [RetentionGroup] {
    let ordered = snapshots.filter { $0.kind != .partial }
      .sorted { ($0.started, $0.id) < ($1.started, $1.id) }
    var order: [RetentionGrouping.Key] = []
    var members: [RetentionGrouping.Key: [Snapshot]] = [:]
    for snapshot in ordered {
      let key = grouping.key(of: snapshot)
      if members[key] == nil { order.append(key) }
      members[key, default: []].append(snapshot)
    }
    return order.map { key in
      RetentionGroup(
        host: key.host, paths: key.paths, fileSystemID: key.fileSystemID,
        decisions: decisions(on: members[key] ?? []))
    }
  }

  /// `snapshots` are one group's, oldest first.
  private func decisions(on snapshots: [Snapshot]) -> [RetentionDecision] {
    var reasons = [[String]](repeating: [], count: snapshots.count)
    let times = snapshots.map { CivilTime(seconds: $0.started, isUTC: isUTC) }
    for (place, snapshot) in snapshots.enumerated() {
      if snapshot.isHeld { reasons[place].append("held") }
      if place >= snapshots.count - last { reasons[place].append("last") }
      for tag in tags where snapshot.tags.contains(tag) { reasons[place].append("tag \(tag)") }
    }
    if let within, let newest = snapshots.last, let time = times.last {
      // The fraction of a second that the calendar does not know.
      let cutoff = time.seconds(before: within) + newest.started - newest.started.rounded(.down)
      for (place, snapshot) in snapshots.enumerated() where snapshot.started >= cutoff {
        reasons[place].append("within \(within)")
      }
    }
    for (count, name) in calendarRules where count > 0 {
      var left = count
      var bucket = ""
      for place in times.indices.reversed() where left > 0 {
        let next = name(times[place])
        if next != bucket {
          bucket = next
          left -= 1
          reasons[place].append(next)
        }
      }
    }
    if reasons.allSatisfy(\.isEmpty), let newest = reasons.indices.last {
      reasons[newest].append("newest of its group")
    }
    return zip(snapshots, reasons).map { RetentionDecision(snapshot: $0, reasons: $1) }
  }

  /// Each rule's count, and the name of the hour, day and so on of a moment.
  private var calendarRules: [(Int, (CivilTime) -> String)] {
    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    func date(_ time: CivilTime) -> String { "\(time.year)-\(two(time.month))-\(two(time.day))" }
    return [
      (
        hourly,
        { time in
          let minutes = abs(time.offset) / 60
          let zone = "\(time.offset < 0 ? "-" : "+")\(two(minutes / 60)):\(two(minutes % 60))"
          return "hourly \(date(time)) \(two(time.hour))h\(zone)"
        }
      ),
      (daily, { "daily \(date($0))" }),
      (weekly, { "weekly \($0.week.year)-W\(two($0.week.number))" }),
      (monthly, { "monthly \($0.year)-\(two($0.month))" }),
      (yearly, { "yearly \($0.year)" }),
    ]
  }
}

/// Which snapshots the rules look at together.
public enum RetentionGrouping: String, Sendable, CaseIterable {
  /// Those of one file system, or else of the same host and paths.
  case source
  /// Those of one host.
  case host
  /// All.
  case none

  struct Key: Hashable {
    var host: String?
    var paths: [String] = []
    var fileSystemID: String?
  }

  func key(of snapshot: Snapshot) -> Key {
    switch self {
    case .source:
      if let fileSystem = snapshot.fileSystemID { return Key(fileSystemID: fileSystem) }
      return Key(host: snapshot.host, paths: snapshot.paths)
    case .host: return Key(host: snapshot.host)
    case .none: return Key()
    }
  }
}

/// Snapshots that a policy looked at together.
public struct RetentionGroup: Sendable, Codable, Equatable {
  public let host: String?
  public let paths: [String]
  public let fileSystemID: String?
  /// Oldest snapshot first.
  public let decisions: [RetentionDecision]
}

/// What becomes of a snapshot.
public struct RetentionDecision: Sendable, Codable, Equatable {
  public let snapshot: Snapshot
  /// Why it is kept; empty where it is to be forgotten.
  public let reasons: [String]
  public var isKept: Bool { !reasons.isEmpty }
}
