/// A rule of the commit protocol. The model obeys all of them; a test switches one off and expects
/// the exploration to find a state that must not be.
///
/// CommitProtocol.md names the same rules, in the same words.
enum Rule: String, CaseIterable, Sendable {
  /// A session's note is durable before it reads the journal.
  case registersBeforeReading
  /// A session does not deduplicate against what is condemned in the state that it read.
  case avoidsCondemned
  /// A container is durable before a record names it.
  case storesBeforeCommitting
  /// A commit asks again whether all that its snapshot needs is live.
  case revalidates
  /// What a commit needs and finds condemned, it rescues.
  case rescues
  /// A commit checks that its session is not fenced.
  case checksFence
  /// After an unclear answer nothing is deleted until the number is known to be another's.
  case settles
  /// A condemnation checks, in its commit, that no snapshot has the container.
  case condemnsByRecord
  /// Bytes of a container that was live are deleted only after `swept` is committed.
  case sweepsBeforeDeleting
  /// A sweep waits for the sessions that may not know the condemnation.
  case sweepWaits
  /// Sessions are listed after the condemnation is committed.
  case listsAfterCondemning
  /// A sweep checks, in its commit, that the container was not rescued, nor condemned anew.
  case sweepsByRecord
  /// Sweeping a container fences the session that wrote it.
  case sweepFences
  /// What a session did not commit is deleted only after the session is fenced.
  case fencesBeforeDeleting
  /// Adopting and fencing are one record, and what was fenced before is never adopted.
  case adoptsWithFence
  /// Repacking checks, in its commit, that it saw every snapshot that has the container.
  case repacksByRecord
  /// A repacking speaks of the snapshots before it, not of those that come after.
  case repackingLooksBack
}

/// The rules in force.
struct Rules: Sendable {
  private let off: UInt32

  static let all = Rules(off: 0)
  static func without(_ rule: Rule) -> Rules { Rules(off: Rules.bit(rule)) }

  private init(off: UInt32) { self.off = off }

  private static func bit(_ rule: Rule) -> UInt32 {
    var bit: UInt32 = 1
    for other in Rule.allCases {
      if other == rule { return bit }
      bit <<= 1
    }
    return 0
  }

  /// One word a rule, looked up once per exploration and not once per step.
  func holds(_ rule: Rule) -> Bool { off & Rules.bit(rule) == 0 }
}
