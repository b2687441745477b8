internal import MuninnDisk
internal import Synchronization

/// What other committers cost the commits of one store: nobody waits for anybody, but whoever is
/// second prepares its record anew.
package final class Contention: Sendable {
  private let count = Atomic<UInt64>(0)
  private let nanoseconds = Atomic<UInt64>(0)

  package init() {}

  /// Numbers that another had taken.
  package var conflicts: UInt64 { count.load(ordering: .relaxed) }

  /// From the first conflict of each commit to its end.
  package var waitedNanoseconds: UInt64 { nanoseconds.load(ordering: .relaxed) }

  func noteConflict() { count.add(1, ordering: .relaxed) }

  func endWait(since start: UInt64) {
    let now = Machine.monotonicNanoseconds()
    nanoseconds.add(now > start ? now - start : 0, ordering: .relaxed)
  }
}
