package import MuninnFormat

/// What the journal's records say beside what is live: what is on its way out, who may commit
/// nothing more, and what was decided about snapshots.
package struct UpkeepState: Sendable {
  /// Not live any more, and live again if a commit rescues them.
  package internal(set) var condemned: [Identifier: CondemnedContainer] = [:]
  /// Segments that left the live ones and whose bytes were not swept.
  package internal(set) var retired: [Identifier: RetiredSegment] = [:]
  /// The sessions that commit nothing any more: the halves of their ids that begin the names of
  /// all that they wrote.
  package internal(set) var fenced: Set<UInt64> = []
  /// Snapshots that are not to be forgotten, and why.
  package internal(set) var holds: [Identifier: [UInt8]] = [:]
  package internal(set) var settings = RepositorySettings()
  /// When snapshots were forgotten whose containers the minimum age protects.
  package internal(set) var forgottenTimes: [Identifier: Int64] = [:]

  init() {}

  /// Whether what a session stored and did not commit belongs to nobody.
  package func isFenced(_ session: Identifier) -> Bool { fenced.contains(session.high) }

  mutating func sweep(containers: [Identifier], segments: [Identifier]) {
    for id in containers {
      condemned[id] = nil
      // Or an adopter could take it for something that was never committed.
      fenced.insert(id.high)
    }
    for id in segments {
      retired[id] = nil
      fenced.insert(id.high)
    }
  }

  mutating func forget(_ id: Identifier, at nanoseconds: Int64) {
    holds[id] = nil
    if settings.minimumAge > 0 { forgottenTimes[id] = nanoseconds }
  }

  /// Lets go of the moments that protect nothing at a moment that is told.
  mutating func expire(at nanoseconds: Int64) {
    guard !forgottenTimes.isEmpty else { return }
    forgottenTimes = forgottenTimes.filter { isProtected($0.value, at: nanoseconds) }
  }

  /// Whether the minimum age protects what a snapshot had that was forgotten at `forgotten`.
  func isProtected(_ forgotten: Int64, at nanoseconds: Int64) -> Bool {
    let age = nanoseconds.subtractingReportingOverflow(forgotten)
    let seconds = age.overflow ? Int64.max : age.partialValue / 1_000_000_000
    return seconds < 0 || UInt64(seconds) < settings.minimumAge
  }

  /// The forgotten snapshots whose containers may not be condemned yet.
  package func protectedSnapshots(at nanoseconds: Int64) -> [Identifier] {
    forgottenTimes.filter { isProtected($0.value, at: nanoseconds) }.map(\.key)
  }
}

// To and from a checkpoint.
extension UpkeepState {
  init(_ checkpoint: Checkpoint) {
    for item in checkpoint.condemned { condemned[item.container.id] = item }
    for item in checkpoint.retired { retired[item.id] = item }
    fenced = Set(checkpoint.fenced.map(\.high))
    for item in checkpoint.holds { holds[item.snapshot] = item.reason }
    settings = checkpoint.settings
    for item in checkpoint.forgottenTimes { forgottenTimes[item.snapshot] = item.nanoseconds }
  }

  func write(into checkpoint: inout Checkpoint) {
    checkpoint.condemned = condemned.values.sorted { $0.container.id < $1.container.id }
    checkpoint.retired = retired.values.sorted { $0.id < $1.id }
    checkpoint.fenced = fenced.sorted().map { Identifier(high: $0, low: 0) }
    checkpoint.holds = holds.map { HeldSnapshot(snapshot: $0.key, reason: $0.value) }
      .sorted { $0.snapshot < $1.snapshot }
    checkpoint.settings = settings
    checkpoint.forgottenTimes =
      forgottenTimes.map { ForgottenTime(snapshot: $0.key, nanoseconds: $0.value) }
      .sorted { $0.snapshot < $1.snapshot }
  }
}
