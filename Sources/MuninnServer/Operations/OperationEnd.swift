import Muninn

/// How an operation's work ended.
struct OperationEnd: Sendable {
  var outcome: OperationRecord.Outcome
  var error: String?
  var messages: [BackupStatus.Message] = []
  var change = OperationChange()
  /// Whether a restore's unfinished files are still in its target.
  var hasLeftovers = false

  /// The end that an error means.
  init(_ error: any Error) {
    if error is CancellationError || (error as? MuninnError)?.code == .cancelled {
      outcome = .canceled
      self.error = OperationText.canceled
    } else {
      outcome = .faulted
      self.error = (error as? MuninnError)?.message ?? String(describing: error)
    }
    messages = [.init(.error, self.error ?? "", details: (error as? MuninnError)?.path)]
  }

  init(_ outcome: OperationRecord.Outcome) { self.outcome = outcome }
}
