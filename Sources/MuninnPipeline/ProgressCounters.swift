internal import MuninnDisk
package import MuninnFormat
package import Synchronization

/// Counts that the stages add to and a watcher reads: no lock on the way of a byte.
package final class ProgressCounters: Sendable {
  package enum Phase: Int, Sendable {
    case starting, scanning, reading, committing, planning, restoring, metadata, checking
    case collecting, rewriting, done
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
  private let partial = Monitor<Identifier?>(nil)
  private let failures = Monitor((count: UInt64(0), new: [PathFailure]()))

  package init() {}

  package var phase: Phase {
    get { Phase(rawValue: phaseValue.load(ordering: .relaxed)) ?? .starting }
    set { phaseValue.store(newValue.rawValue, ordering: .relaxed) }
  }

  /// Called once a batch at most.
  package func setCurrentPath(_ current: [UInt8]) { path.withLock { $0 = current } }

  package var currentPath: [UInt8] { path.withLock { $0 } }

  /// The newest partial snapshot that a running backup has committed.
  package var partialSnapshot: Identifier? { partial.withLock { $0 } }

  package func setPartial(_ id: Identifier) { partial.withLock { $0 = id } }

  /// Notes a path that could not be read, for whoever watches.
  package func note(_ failure: PathFailure) {
    failures.withLock { failures in
      failures.count += 1
      if failures.new.count < 100 { failures.new.append(failure) }
    }
  }

  /// How many there are, and those that were noted since the last time.
  package func takeFailures() -> (count: UInt64, new: [PathFailure]) {
    failures.withLock { failures in
      defer { failures.new = [] }
      return failures
    }
  }

  package func add(entries count: UInt64) { entries.add(count, ordering: .relaxed) }
  package func add(bytes count: UInt64) { bytes.add(count, ordering: .relaxed) }
}
