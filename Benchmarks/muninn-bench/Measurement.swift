import Glibc
import MuninnDisk

/// Several repetitions of one thing, in the unit of its column.
struct Measurement: Encodable {
  let name: String
  let unit: String
  let values: [Double]
  /// Of the work's result: equal hashes mean that the same was computed.
  let resultHash: String

  var median: Double {
    let sorted = values.sorted()
    guard !sorted.isEmpty else { return 0 }
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  }

  /// Largest less smallest, as a share of the median.
  var spread: Double {
    guard let low = values.min(), let high = values.max(), median > 0 else { return 0 }
    return (high - low) / median
  }

  private enum CodingKeys: String, CodingKey {
    case name, unit, values, resultHash, median, spread
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(name, forKey: .name)
    try container.encode(unit, forKey: .unit)
    try container.encode(values, forKey: .values)
    try container.encode(resultHash, forKey: .resultHash)
    try container.encode(median, forKey: .median)
    try container.encode(spread, forKey: .spread)
  }
}

enum Timing {
  /// What counts as time.
  enum Clock {
    /// The clock on the wall: for everything that waits or has several threads.
    case wall
    /// This thread's processor time: for work on one core, so that other programs' turns don't
    /// count.
    case thread

    func nanoseconds() -> UInt64 {
      switch self {
      case .wall: return Machine.monotonicNanoseconds()
      case .thread:
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
      }
    }
  }

  /// Seconds that `work` takes, and what it returns.
  static func seconds<Result>(
    _ clock: Clock = .wall, _ work: () throws -> Result
  ) rethrows -> (Double, Result) {
    let start = clock.nanoseconds()
    let result = try work()
    return (Double(clock.nanoseconds() - start) / 1e9, result)
  }

  /// GB/s of `runs` repetitions of work over `byteCount` bytes, each at least 50 ms long.
  static func rates(
    _ name: String, byteCount: Int, runs: Int, clock: Clock, _ work: () -> UInt64
  ) -> Measurement {
    _ = work()
    // The first call has paid for page faults and clock rates.
    var (single, hash) = seconds(clock, work)
    let repeats = max(1, Int(0.05 / max(single, 1e-7)))
    let values = (0..<runs).map { _ in
      (single, _) = seconds(clock) { for _ in 0..<repeats { hash = work() } }
      return Double(byteCount) * Double(repeats) / single / 1e9
    }
    return Measurement(
      name: name, unit: "GB/s", values: values, resultHash: String(hash, radix: 16))
  }
}

/// Numbers as reports have them.
enum Figure {
  static func fixed(_ value: Double, _ decimals: Int) -> String {
    guard value.isFinite else { return "-" }
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    let scaled = (abs(value) * scale).rounded()
    guard scaled < 1e18 else { return "\(value)" }
    let whole = Int(scaled)
    let divisor = Int(scale)
    var fraction = decimals > 0 ? String(whole % divisor) : ""
    while fraction.count < decimals { fraction = "0" + fraction }
    let sign = value < 0 && whole > 0 ? "-" : ""
    return sign + String(whole / divisor) + (decimals > 0 ? "." + fraction : "")
  }

  static func percent(_ share: Double, _ decimals: Int = 1) -> String {
    fixed(share * 100, decimals) + " %"
  }
}
