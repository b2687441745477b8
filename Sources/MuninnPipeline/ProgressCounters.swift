internal import MuninnDisk
package import Synchronization

/// Counts that the stages add to and a watcher reads: no lock on the way of a byte.
package final class ProgressCounters: Sendable {
  package enum Phase: Int, Sendable {
    case starting, scanning, reading, committing, planning, restoring, metadata, checking, done
  }

  package let entries = Atomic<UInt64>(0)
  package let bytes = Atomic<UInt64>(0)
  package let bytesStored = Atomic<UInt64>(0)
  package let chunksNew = Atomic<UInt64>(0)
  package let chunksDuplicate = Atomic<UInt64>(0)
  /// Totals where they are known, else 0.
  package let entriesTotal = Atomic<UInt64>(0)
  package let bytesTotal = Atomic<UInt64>(0)
  private let phaseValue = Atomic<Int>(0)
  private let path = Monitor<[UInt8]>([])

  package init() {}

  package var phase: Phase {
    get { Phase(rawValue: phaseValue.load(ordering: .relaxed)) ?? .starting }
    set { phaseValue.store(newValue.rawValue, ordering: .relaxed) }
  }

  /// Called once a batch at most.
  package func setCurrentPath(_ current: [UInt8]) { path.withLock { $0 = current } }

  package var currentPath: [UInt8] { path.withLock { $0 } }

  package func add(entries count: UInt64) { entries.add(count, ordering: .relaxed) }
  package func add(bytes count: UInt64) { bytes.add(count, ordering: .relaxed) }
}
