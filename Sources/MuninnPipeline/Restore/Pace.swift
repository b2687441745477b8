import MuninnDisk

/// Holds work back so that it takes no more bytes in a second than are granted, on average.
///
/// Each piece of work is given the moment at which it may begin: after all that was granted before.
/// What was not used is not saved up for longer than a second.
final class Pace: Sendable {
  private static let credit: UInt64 = 1_000_000_000

  private let bytesPerSecond: UInt64
  /// When everything that was granted is paid for, by the monotonic clock.
  private let paid = Monitor<UInt64>(0)
  private let never = Monitor(false)

  init(bytesPerSecond: UInt64) { self.bytesPerSecond = max(1, bytesPerSecond) }

  /// Returns when `count` bytes may be worked on, or `shouldStop` holds.
  func wait(for count: UInt64, unless shouldStop: () -> Bool) {
    let cost = count.multipliedFullWidth(by: 1_000_000_000)
    let nanoseconds =
      cost.high < bytesPerSecond ? bytesPerSecond.dividingFullWidth(cost).quotient : UInt64.max / 4
    let start = paid.withLock { paid in
      let now = Machine.monotonicNanoseconds()
      let start = max(paid, now > Pace.credit ? now - Pace.credit : 0)
      paid = start.addingReportingOverflow(nanoseconds).partialValue
      return start
    }
    while !shouldStop() {
      let now = Machine.monotonicNanoseconds()
      guard start > now else { return }
      _ = never.wait(
        nanoseconds: Int64(clamping: min(start - now, 200_000_000)), until: { $0 })
    }
  }
}
