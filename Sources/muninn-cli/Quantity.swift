import Glibc

/// Sizes, rates, counts, times and durations as people read them.
enum Quantity {
  /// `1.5 GiB`: binary units, at most three digits before the point.
  static func size(_ bytes: UInt64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    var value = Double(bytes)
    var unit = 0
    while value >= 1023.95, unit < units.count - 1 {
      value /= 1024
      unit += 1
    }
    return unit == 0 ? "\(bytes) B" : "\(oneDecimal(value)) \(units[unit])"
  }

  static func rate(_ bytesPerSecond: Double) -> String {
    let bounded = bytesPerSecond.isFinite ? min(max(bytesPerSecond, 0), 1e18) : 0
    return size(UInt64(bounded)) + "/s"
  }

  /// `1,234,567`.
  static func count(_ value: UInt64) -> String {
    var groups: [Substring] = []
    var rest = String(value)[...]
    while rest.count > 3 {
      groups.insert(rest.suffix(3), at: 0)
      rest = rest.dropLast(3)
    }
    groups.insert(rest, at: 0)
    return groups.joined(separator: ",")
  }

  /// `0:07`, `12:34`, `1:02:03`.
  static func duration(_ seconds: Double) -> String {
    let whole = Int(min(max(seconds.isFinite ? seconds : 0, 0), 3_599_999).rounded())
    let rest = "\(padded(whole % 60))"
    if whole < 3600 { return "\(whole / 60):\(rest)" }
    return "\(whole / 3600):\(padded(whole / 60 % 60)):\(rest)"
  }

  /// Seconds that something took: `0.42 s`, `12.3 s`, then as `duration`.
  static func elapsed(_ seconds: Double) -> String {
    if seconds >= 60 { return duration(seconds) }
    let hundredths = Int((max(seconds, 0) * 100).rounded())
    return "\(hundredths / 100).\(padded(hundredths % 100)) s"
  }

  /// Local time: `2026-11-23 10:15:00`.
  static func localTime(_ seconds: Double) -> String {
    let bounded = seconds.isFinite ? min(max(seconds, -62_135_596_800), 253_402_300_799) : 0
    var whole = time_t(bounded.rounded(.down))
    var parts = tm()
    localtime_r(&whole, &parts)
    let monthAndDay = "\(padded(Int(parts.tm_mon) + 1))-\(padded(Int(parts.tm_mday)))"
    let clock = [parts.tm_hour, parts.tm_min, parts.tm_sec].map { padded(Int($0)) }
    return "\(parts.tm_year + 1900)-\(monthAndDay) \(clock.joined(separator: ":"))"
  }

  /// `3.4:1`.
  static func ratio(_ value: Double) -> String { oneDecimal(min(max(value, 0), 1e12)) + ":1" }

  /// `1.07`.
  static func hundredths(_ value: Double) -> String {
    let whole = Int((min(max(value, 0), 1e12) * 100).rounded())
    return "\(whole / 100).\(padded(whole % 100))"
  }

  private static func padded(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }

  private static func oneDecimal(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }
}
