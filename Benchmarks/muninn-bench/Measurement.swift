import Glibc
import MuninnDisk

/// Several repetitions of one thing, in the unit of its column.
struct Measurement: Encodable {
  let name: String
  let unit: String
  let values: [Double]
  /// The same if every thread had a core to itself: of the processor's time, not the wall's. Other
  /// programs' turns do not count in it. Empty where it was not taken.
  var processorValues: [Double] = []
  /// Of the work's result: equal hashes mean that the same was computed.
  let resultHash: String

  var median: Double { Measurement.median(of: values) }

  /// Of the processor's time where that was taken.
  var processorMedian: Double {
    processorValues.isEmpty ? median : Measurement.median(of: processorValues)
  }

  static func median(of values: [Double]) -> Double {
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
    case name, unit, values, processorValues, resultHash, median, spread, processorMedian
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(name, forKey: .name)
    try container.encode(unit, forKey: .unit)
    try container.encode(values, forKey: .values)
    try container.encode(processorValues, forKey: .processorValues)
    try container.encode(processorMedian, forKey: .processorMedian)
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
    /// The processor time of all threads of this process together.
    case process

    func nanoseconds() -> UInt64 {
      switch self {
      case .wall: return Machine.monotonicNanoseconds()
      case .thread: return Clock.read(CLOCK_THREAD_CPUTIME_ID)
      case .process: return Clock.read(CLOCK_PROCESS_CPUTIME_ID)
      }
    }

    private static func read(_ id: clockid_t) -> UInt64 {
      var time = timespec()
      clock_gettime(id, &time)
      return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
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

  /// Seconds on the wall, seconds of the processor over all threads, and what `work` returns.
  static func both<Result>(
    _ work: () throws -> Result
  ) rethrows -> (wall: Double, processor: Double, result: Result) {
    let start = Clock.process.nanoseconds()
    let (wall, result) = try seconds(.wall, work)
    return (wall, Double(Clock.process.nanoseconds() - start) / 1e9, result)
  }

  /// `runs` repetitions of work on `threads` threads that returns how much it did, in units of
  /// `scale`, and a hash. `before` prepares each and does not count.
  static func throughput(
    _ name: String, unit: String = "GB/s", scale: Double = 1e9, runs: Int, threads: Int,
    before: () throws -> Void, _ work: () throws -> (amount: Int, hash: UInt64)
  ) rethrows -> Measurement {
    var values: [Double] = []
    var processorValues: [Double] = []
    var hash: UInt64 = 0
    for _ in 0..<runs {
      try before()
      let (wall, processor, result) = try both(work)
      let amount = Double(result.amount) / scale
      values.append(amount / max(wall, 1e-9))
      processorValues.append(amount * Double(threads) / max(processor, 1e-9))
      hash = result.hash
    }
    return Measurement(
      name: name, unit: unit, values: values, processorValues: processorValues,
      resultHash: String(hash, radix: 16))
  }

  /// The same with nothing to prepare.
  static func throughput(
    _ name: String, unit: String = "GB/s", scale: Double = 1e9, runs: Int, threads: Int,
    _ work: () throws -> (amount: Int, hash: UInt64)
  ) rethrows -> Measurement {
    try throughput(
      name, unit: unit, scale: scale, runs: runs, threads: threads, before: {}, work)
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
