import Muninn

/// How an operation's work ended.
package struct OperationEnd: Sendable {
  package var outcome: OperationRecord.Outcome
  package var error: String?
  package var messages: [BackupStatus.Message] = []
  package var change = OperationChange()
  /// Whether a restore's unfinished files are still in its target.
  package var hasLeftovers = false

  /// The end that an error means.
  package init(_ error: any Error) {
    if error is CancellationError || (error as? MuninnError)?.code == .cancelled {
      outcome = .canceled
      self.error = OperationText.canceled
    } else {
      outcome = .faulted
      self.error = (error as? MuninnError)?.message ?? String(describing: error)
    }
    messages = [.init(.error, self.error ?? "", details: (error as? MuninnError)?.path)]
  }

  package init(_ outcome: OperationRecord.Outcome) { self.outcome = outcome }
}
