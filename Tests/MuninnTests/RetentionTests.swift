import Foundation
import Muninn
import MuninnTestSupport
import Testing

/// What a retention policy keeps, held against a second reckoning of the calendar.
@Suite struct RetentionTests {
  private static func snapshot(
    _ seconds: Double, id: Int, host: String = "host", tags: [String] = [], isHeld: Bool = false
  ) -> Snapshot {
    let text = String(id, radix: 16)
    return Snapshot(
      id: String(repeating: "0", count: 32 - text.count) + text, parent: nil, kind: .full,
      started: seconds, completed: seconds + 60, host: host, user: "user",
      programVersion: "0", paths: ["/tree"], tags: tags, fileSystemID: nil, fileSystemName: nil,
      document: nil, statistics: BackupStatistics(), isHeld: isHeld)
  }

  /// 2001-09-09 and up to six years later, many close together.
  private static func snapshots(_ generator: inout SeededGenerator, count: Int) -> [Snapshot] {
    var time = 1_000_000_000.0
    return (0..<count).map { id in
      let steps: [Double] = [600, 3600, 40_000, 86_400, 500_000, 4_000_000]
      time += Double(generator.next() % 1000) / 1000 * steps[Int(generator.next() % 6)]
      return snapshot(
        time, id: id, tags: generator.next() % 5 == 0 ? ["keep"] : [],
        isHeld: generator.next() % 20 == 0)
    }
  }

  private static func policy(_ generator: inout SeededGenerator) -> RetentionPolicy {
    var policy = RetentionPolicy()
    policy.isUTC = true
    func count() -> Int { generator.next() % 2 == 0 ? 0 : Int(generator.next() % 12) }
    (policy.last, policy.hourly, policy.daily) = (count(), count(), count())
    (policy.weekly, policy.monthly, policy.yearly) = (count(), count(), count())
    if generator.next() % 3 == 0 { policy.within = CalendarSpan(months: count(), hours: 1) }
    if generator.next() % 3 == 0 { policy.tags = ["keep"] }
    if policy.isEmpty { policy.last = 1 }
    return policy
  }

  private static func kept(_ policy: RetentionPolicy, _ snapshots: [Snapshot]) -> Set<String> {
    let decisions = policy.plan(for: snapshots).flatMap(\.decisions)
    return Set(decisions.filter(\.isKept).map(\.snapshot.id))
  }

  /// Days since 1970 to year and month: Howard Hinnant's `civil_from_days`.
  private static func month(ofDay day: Int) -> (year: Int, month: Int) {
    let shifted = day + 719_468
    let era = shifted / 146_097
    let dayOfEra = shifted - era * 146_097
    let year = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * year + year / 4 - year / 100)
    let month = (5 * dayOfYear + 2) / 153
    let isNext = month >= 10
    return (year + era * 400 + (isNext ? 1 : 0), isNext ? month - 9 : month + 3)
  }

  private struct Rule: Sendable {
    let name: String
    let path: any WritableKeyPath<RetentionPolicy, Int> & Sendable
    let bucket: @Sendable (Int) -> Int
  }

  private static let rules = [
    Rule(name: "hourly", path: \.hourly) { $0 / 3600 },
    Rule(name: "daily", path: \.daily) { $0 / 86_400 },
    // 1970-01-01 was a Thursday.
    Rule(name: "weekly", path: \.weekly) { ($0 / 86_400 + 3) / 7 },
    Rule(name: "monthly", path: \.monthly) {
      let (year, month) = month(ofDay: $0 / 86_400)
      return year * 12 + month
    },
    Rule(name: "yearly", path: \.yearly) { month(ofDay: $0 / 86_400).year },
  ]

  @Test func aRuleKeepsTheNewestOfEachOfTheNewestPeriods() {
    var generator = SeededGenerator.printed()
    for _ in 0..<40 {
      let snapshots = Self.snapshots(&generator, count: Int(generator.next() % 120) + 1)
      for rule in Self.rules {
        let count = Int(generator.next() % 10) + 1
        var policy = RetentionPolicy()
        policy.isUTC = true
        policy[keyPath: rule.path] = count
        var newest: [Int: Snapshot] = [:]
        for snapshot in snapshots { newest[rule.bucket(Int(snapshot.started))] = snapshot }
        let wanted = newest.sorted { $0.key > $1.key }.prefix(count).map(\.value.id)
        let held = snapshots.filter(\.isHeld).map(\.id)
        #expect(Self.kept(policy, snapshots) == Set(wanted + held), "\(rule.name) \(count)")
      }
    }
  }

  @Test func rulesAddUpAndForgettingTwiceForgetsNothingMore() {
    var generator = SeededGenerator.printed()
    for _ in 0..<60 {
      let snapshots = Self.snapshots(&generator, count: Int(generator.next() % 100) + 1)
      let policy = Self.policy(&generator)
      let kept = Self.kept(policy, snapshots)
      #expect(!kept.isEmpty)
      #expect(Set(snapshots.filter(\.isHeld).map(\.id)).isSubset(of: kept))
      let left = snapshots.filter { kept.contains($0.id) }
      #expect(Self.kept(policy, left) == kept)
      // A rule more keeps no snapshot less.
      var more = policy
      more.last += 3
      more.weekly += 1
      #expect(kept.isSubset(of: Self.kept(more, snapshots)))
      // The order in which they come does not matter.
      #expect(Self.kept(policy, snapshots.shuffled(using: &generator)) == kept)
    }
  }

  @Test func groupsAreKeptApart() {
    let snapshots = (0..<6).map { number in
      Self.snapshot(1e9 + Double(number), id: number, host: number % 2 == 0 ? "a" : "b")
    }
    var policy = RetentionPolicy()
    policy.last = 1
    #expect(Self.kept(policy, snapshots).count == 2)
    let all = policy.plan(for: snapshots, grouping: .none)
    #expect(all.flatMap(\.decisions).filter(\.isKept).map(\.snapshot.id) == [snapshots[5].id])
  }

  @Test func aGroupThatNoRuleKeepsKeepsItsNewest() {
    let snapshots = (0..<3).map { Self.snapshot(1e9 + Double($0), id: $0) }
    var policy = RetentionPolicy()
    policy.tags = ["none"]
    let decisions = policy.plan(for: snapshots).flatMap(\.decisions)
    #expect(decisions.map(\.reasons) == [[], [], ["newest of its group"]])
  }

  /// The cases of ISO 8601 in which the week's year is not the day's.
  @Test(arguments: [
    (1_609_632_000.0, "weekly 2020-W53"), (1_546_214_400.0, "weekly 2019-W01"),
    (1_795_392_000.0, "weekly 2026-W48"), (1_230_768_000.0, "weekly 2009-W01"),
  ])
  func weeksAreThoseOfISO8601(_ seconds: Double, _ name: String) {
    var policy = RetentionPolicy()
    policy.weekly = 1
    policy.isUTC = true
    let decisions = policy.plan(for: [Self.snapshot(seconds, id: 1)]).flatMap(\.decisions)
    #expect(decisions.map(\.reasons) == [[name]])
  }

  @Test func aMonthBeforeTheEndOfMarchIsTheEndOfFebruary() {
    let end = 1_711_843_200.0  // 2024-03-31 00:00 UTC
    let leapDay = 1_709_164_800.0  // 2024-02-29 00:00 UTC
    var policy = RetentionPolicy()
    policy.within = CalendarSpan("1m")
    policy.isUTC = true
    let snapshots = [leapDay - 1, leapDay, end].enumerated().map {
      Self.snapshot($1, id: $0)
    }
    #expect(Self.kept(policy, snapshots) == Set(snapshots.dropFirst().map(\.id)))
  }

  @Test(arguments: ["", "0d", "5", "d", "1x", "-1d", "1d ", "99999d", "1.5d"])
  func whatIsNoSpanIsRefused(_ text: String) { #expect(CalendarSpan(text) == nil) }

  @Test func spansAddUp() {
    #expect(CalendarSpan("1y2m3w4d5h") == CalendarSpan(years: 1, months: 2, days: 25, hours: 5))
    #expect(CalendarSpan("7d")?.description == "7d")
  }
}
