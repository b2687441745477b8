/// An operation, running or over.
package struct OperationRecord: Sendable, Equatable {
  package enum Kind: String, Sendable, CaseIterable {
    case backup, restore, verify, prune, defrag

    /// As the wire has it: `Backup`.
    var name: String { rawValue.prefix(1).uppercased() + rawValue.dropFirst() }
  }
  package enum Outcome: String, Sendable { case running, completed, faulted, canceled }

  package let id: Int64
  package let kind: Kind
  /// Of the file system, and its name; both empty for an operation over a location.
  package let fileSystemID: String
  package let fileSystemName: String
  package let location: String
  package let started: Timestamp
  /// A restore's target; nil for all others.
  package let target: String?
  /// The snapshot that a restore reads; nil for all others.
  package let snapshot: String?
  /// Of a restore; nil for all others.
  package let resumption: Resumption?
  /// Whether an unfinished restore's files are still in the target.
  package var hasLeftovers: Bool
  package var completed: Timestamp?
  package var outcome: Outcome
  /// What went wrong, for the user.
  package var error: String?
  package var messages: [String]
  /// Progress as the wire has it.
  package var progress: JSONValue
}

/// What it takes to go on with an interrupted restore, or to clean up after it.
package struct Resumption: Sendable, Equatable, Codable {
  /// The directory of the restore's journal.
  package var journals: String
  /// The directories that this server made for it.
  package var made: [String]
  /// The paths that were asked for; empty means all.
  package var paths: [String]

  package init(journals: String, made: [String] = [], paths: [String] = []) {
    self.journals = journals
    self.made = made
    self.paths = paths
  }
}
