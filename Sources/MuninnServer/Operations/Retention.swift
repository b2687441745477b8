import Muninn

extension FileSystemDocument {
  private static let retention = "Retention"
  /// The most that a rule may keep, as on the command line.
  private static let largestCount = 1_000_000

  /// The rules of what to keep after each backup; nil where the document has none.
  ///
  /// Throws 400 for rules that cannot be used. Unlike everywhere else an unknown name is one of
  /// them: a rule that was mistyped must not be one that is not there.
  static func retention(in document: [String: JSONValue]) throws(Refusal) -> RetentionPolicy? {
    guard let members = try RequestObject(document).object(retention) else { return nil }
    let known = [
      "KeepLast", "KeepHourly", "KeepDaily", "KeepWeekly", "KeepMonthly", "KeepYearly",
      "KeepWithin", "KeepTags", "Utc",
    ]
    for name in members.keys.sorted()
    where !known.contains(where: { $0.lowercased() == name.lowercased() }) {
      throw Refusal(
        .badRequest,
        "Retention has no rule '\(name.prefix(100))': it takes \(known.joined(separator: ", ")).")
    }
    let rules = RequestObject(members)
    var policy = RetentionPolicy()
    policy.last = try count("KeepLast", rules)
    policy.hourly = try count("KeepHourly", rules)
    policy.daily = try count("KeepDaily", rules)
    policy.weekly = try count("KeepWeekly", rules)
    policy.monthly = try count("KeepMonthly", rules)
    policy.yearly = try count("KeepYearly", rules)
    policy.tags = try rules.strings("KeepTags")
    policy.isUTC = try rules.bool("Utc") ?? false
    if let text = try rules.string("KeepWithin") {
      guard let span = CalendarSpan(text) else {
        throw Refusal(
          .badRequest,
          "KeepWithin of Retention cannot be '\(text.prefix(100))': it is a span such as 2y, 6m,"
            + " 3w, 14d, 36h, or several together.")
      }
      policy.within = span
    }
    guard !policy.isEmpty else {
      throw Refusal(
        .badRequest,
        "Retention says nothing to keep: give a rule, or leave Retention out to keep everything.")
    }
    return policy
  }

  /// A rule's count, 0 where it is not given.
  private static func count(_ name: String, _ rules: RequestObject) throws(Refusal) -> Int {
    let value: Int?
    switch rules[name] {
    case nil: return 0
    case .integer(let number): value = Int(exactly: number)
    case .string(let text): value = Int(text)
    default: value = nil
    }
    guard let value, (1...largestCount).contains(value) else {
      throw Refusal(
        .badRequest, "\(name) of Retention must be a whole number from 1 to \(largestCount).")
    }
    return value
  }
}

extension BackupPlan {
  /// Forgets the snapshots of this file system that its rules do not keep, and says what came of
  /// it. The backup stands whatever that is.
  func applyRetention() async -> [BackupStatus.Message] {
    do {
      guard let policy = try retention.get() else { return [] }
      var forgetting = ForgetRequest()
      forgetting.policy = policy
      forgetting.fileSystemID = fileSystem.id
      let report = try await repository.forget(forgetting)
      let kept = report.groups.reduce(0) { $0 + $1.decisions.count { $0.isKept } }
      return [
        .init(
          .informational,
          "Retention: \(report.forgotten.count) snapshots were forgotten, \(kept) are kept.")
      ]
    } catch {
      let reason = (error as? Refusal)?.message ?? (error as? MuninnError)?.message ?? "\(error)"
      return [
        .init(.error, "The rules of retention were not applied, nothing was forgotten: \(reason)")
      ]
    }
  }
}
