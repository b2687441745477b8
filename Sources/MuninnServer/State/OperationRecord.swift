/// A backup or restore, running or over.
package struct OperationRecord: Sendable, Equatable {
  package enum Kind: String, Sendable { case backup, restore }
  package enum Outcome: String, Sendable { case running, completed, faulted, canceled }

  package let id: Int64
  package let kind: Kind
  package let fileSystemID: String
  package let fileSystemName: String
  package let location: String
  package let started: Timestamp
  /// A restore's target; nil for a backup.
  package let target: String?
  /// The snapshot that a restore reads; nil for a backup.
  package let snapshot: String?
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
