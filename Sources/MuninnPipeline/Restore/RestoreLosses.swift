import MuninnDisk

/// What of a file could not be had, as the threads that restore it find it out. The file is left in
/// the target with holes there.
final class RestoreLosses: Sendable {
  private let lost = Monitor(LostRanges())

  func add(_ offset: UInt64, count: UInt64, reason: String) {
    lost.withLock { $0.add(offset, count: count, reason: reason) }
  }

  var isEmpty: Bool { lost.withLock { $0.isEmpty } }

  var description: String { lost.withLock { $0.description } }
}
