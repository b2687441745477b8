#if DEBUG
  internal import MuninnDisk
#endif

/// Places at which a test may hold an operation and let others go first. In a release build there
/// are none.
package enum SyncPoint: Sendable, Hashable {
  /// A session's note is there, and the journal not read yet.
  case registered
  /// A session has read the journal, and not opened the index.
  case joined
  /// A backup's record is prepared and not sent.
  case commitPrepared
  /// A collection has marked what nobody needs, and not committed.
  case marked
  /// A collection has committed what it condemns, and not listed sessions.
  case condemned
  /// A collection has listed sessions, and not committed what it sweeps.
  case listed
  /// A collection has committed what it sweeps, and deleted nothing.
  case swept
  /// A checkpoint's object is there, and no record names it yet.
  case checkpointed
  /// An adopter has looked at what a dead session left, and not committed.
  case inspected
}

#if DEBUG
  /// What happens at a store's sync points.
  package final class SyncPoints: Sendable {
    private let actions = Monitor<[SyncPoint: @Sendable () -> Void]>([:])

    package init() {}

    /// Does `action` once, the next time that the point is reached.
    package func once(at point: SyncPoint, _ action: @escaping @Sendable () -> Void) {
      actions.withLock { $0[point] = action }
    }

    func reach(_ point: SyncPoint) {
      actions.withLock { $0.removeValue(forKey: point) }?()
    }
  }
#endif

extension Store {
  func reach(_ point: SyncPoint) {
    #if DEBUG
      syncPoints.reach(point)
    #endif
  }
}
