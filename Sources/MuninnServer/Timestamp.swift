import Glibc

/// A moment in UTC, to 100 nanoseconds: what seven fractional digits can carry.
package struct Timestamp: Sendable, Equatable, Comparable {
  /// Units of 100 nanoseconds since 1970.
  package let ticks: Int64

  package init(ticks: Int64) { self.ticks = ticks }

  /// Seconds since 1970; a value outside of what a calendar can show is moved to its nearest end.
  package init(seconds: Double) {
    let bounded = min(max(seconds.isNaN ? 0 : seconds, 0), 253_402_300_799)
    ticks = Int64((bounded * 10_000_000).rounded())
  }

  package static var now: Timestamp {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Timestamp(ticks: Int64(time.tv_sec) * 10_000_000 + Int64(time.tv_nsec) / 100)
  }

  package var seconds: Double { Double(ticks) / 10_000_000 }

  package static func < (left: Timestamp, right: Timestamp) -> Bool { left.ticks < right.ticks }
}

extension Timestamp {
  /// ISO 8601 in UTC with seven fractional digits: `2026-11-23T10:15:00.1234567Z`.
  package var text: String {
    var whole = time_t(ticks / 10_000_000)
    var parts = tm()
    gmtime_r(&whole, &parts)
    func digits(_ value: Int64, _ count: Int) -> String {
      let text = String(value)
      return String(repeating: "0", count: max(0, count - text.count)) + text
    }
    let date = [digits(Int64(parts.tm_year) + 1900, 4), digits(Int64(parts.tm_mon) + 1, 2)]
    let day = digits(Int64(parts.tm_mday), 2)
    let clock = [parts.tm_hour, parts.tm_min, parts.tm_sec].map { digits(Int64($0), 2) }
    let fraction = digits(ticks % 10_000_000, 7)
    return "\(date.joined(separator: "-"))-\(day)T\(clock.joined(separator: ":")).\(fraction)Z"
  }

  /// As HTTP headers have it (RFC 9110, 5.6.7): `Mon, 23 Nov 2026 10:15:00 GMT`.
  package var httpText: String {
    var whole = time_t(ticks / 10_000_000)
    var parts = tm()
    gmtime_r(&whole, &parts)
    let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    let months = [
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
    func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
    let date = "\(two(parts.tm_mday)) \(months[Int(parts.tm_mon)]) \(parts.tm_year + 1900)"
    let clock = [parts.tm_hour, parts.tm_min, parts.tm_sec].map(two).joined(separator: ":")
    return "\(days[Int(parts.tm_wday)]), \(date) \(clock) GMT"
  }

  /// Reads `2026-11-23`, `2026-11-23T10:15`, `…:00`, with up to nine fractional digits and an
  /// optional `Z`; a time without a zone is UTC as well.
  package init?(text: String) {
    var rest = Substring(text)
    if rest.last == "Z" || rest.last == "z" { rest.removeLast() }
    var fraction: Int64 = 0
    if let dot = rest.firstIndex(of: ".") {
      let digits = rest[rest.index(after: dot)...]
      guard (1...9).contains(digits.count), digits.allSatisfy({ $0.isASCII && $0.isNumber }),
        let value = Int64((digits + "0000000").prefix(7))
      else { return nil }
      fraction = value
      rest = rest[..<dot]
    }
    let halves = rest.split(omittingEmptySubsequences: false) { "Tt ".contains($0) }
    guard halves.count <= 2, let day = halves.first,
      let date = Self.fields(day, separator: "-", widths: [4, 2, 2])
    else { return nil }
    var clock = [0, 0, 0]
    if halves.count == 2 {
      guard
        let parsed = Self.fields(halves[1], separator: ":", widths: [2, 2, 2])
          ?? Self.fields(halves[1], separator: ":", widths: [2, 2])
      else { return nil }
      clock = Array((parsed + [0]).prefix(3))
    }
    guard (1970...9999).contains(date[0]), (1...12).contains(date[1]), (1...31).contains(date[2]),
      clock[0] < 24, clock[1] < 60, clock[2] < 61
    else { return nil }
    var parts = tm()
    parts.tm_year = Int32(date[0] - 1900)
    parts.tm_mon = Int32(date[1] - 1)
    parts.tm_mday = Int32(date[2])
    parts.tm_hour = Int32(clock[0])
    parts.tm_min = Int32(clock[1])
    parts.tm_sec = Int32(clock[2])
    self.init(ticks: Int64(timegm(&parts)) * 10_000_000 + fraction)
  }

  /// Whole numbers of exactly these widths.
  private static func fields(
    _ text: Substring, separator: Character, widths: [Int]
  ) -> [Int]? {
    let parts = text.split(separator: separator, omittingEmptySubsequences: false)
    guard parts.count == widths.count else { return nil }
    var values: [Int] = []
    for (part, width) in zip(parts, widths) {
      guard part.utf8.count == width, part.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
        let value = Int(part)
      else { return nil }
      values.append(value)
    }
    return values
  }
}
