internal import Glibc

/// A moment as a calendar says it, in local time or in UTC.
struct CivilTime {
  let year: Int
  /// 1 to 12.
  let month: Int
  /// 1 to 31.
  let day: Int
  let hour: Int
  /// Seconds east of UTC, so that the hour that comes twice in autumn is two hours.
  let offset: Int
  /// Days since 1 January, from 0.
  private let yearDay: Int
  /// Monday is 1, Sunday 7.
  private let weekDay: Int
  private let fields: tm
  private let isUTC: Bool

  /// `seconds` since 1970, UTC. Times outside of years 1 to 9999 are taken as the nearest in them.
  init(seconds: Double, isUTC: Bool) {
    let bounded = seconds.isFinite ? min(max(seconds, -62_135_596_800), 253_402_300_799) : 0
    var time = time_t(bounded.rounded(.down))
    var fields = tm()
    if isUTC { gmtime_r(&time, &fields) } else { localtime_r(&time, &fields) }
    year = Int(fields.tm_year) + 1900
    month = Int(fields.tm_mon) + 1
    day = Int(fields.tm_mday)
    hour = Int(fields.tm_hour)
    offset = fields.tm_gmtoff
    yearDay = Int(fields.tm_yday)
    weekDay = fields.tm_wday == 0 ? 7 : Int(fields.tm_wday)
    self.fields = fields
    self.isUTC = isUTC
  }

  /// The week and its year by ISO 8601: weeks begin on Monday, and the first has the year's first
  /// Thursday.
  var week: (year: Int, number: Int) {
    let number = (yearDay + 1 - weekDay + 10) / 7
    if number < 1 { return (year - 1, CivilTime.weeks(of: year - 1)) }
    if number > CivilTime.weeks(of: year) { return (year + 1, 1) }
    return (year, number)
  }

  /// 53 where the year begins on a Thursday, or on a Wednesday and is a leap year; else 52.
  private static func weeks(of year: Int) -> Int {
    func lastDay(_ year: Int) -> Int { (year + year / 4 - year / 100 + year / 400) % 7 }
    return lastDay(year) == 4 || lastDay(year - 1) == 3 ? 53 : 52
  }

  private static func days(inMonth month: Int, of year: Int) -> Int {
    switch month {
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  /// The moment so much earlier, in seconds since 1970: years and months first, to the last day of
  /// the month where it is shorter, then days by the calendar, then hours.
  func seconds(before span: CalendarSpan) -> Double {
    let months = (year - span.years) * 12 + month - 1 - span.months
    let (targetYear, targetMonth) = (max(1, months / 12), months < 12 ? 1 : months % 12 + 1)
    var target = fields
    target.tm_year = Int32(targetYear - 1900)
    target.tm_mon = Int32(targetMonth - 1)
    target.tm_mday = Int32(min(day, CivilTime.days(inMonth: targetMonth, of: targetYear)))
    target.tm_mday -= Int32(span.days)
    target.tm_isdst = -1
    let base = isUTC ? timegm(&target) : mktime(&target)
    return Double(base - span.hours * 3600)
  }
}

/// A length of time by the calendar: `1y6m`, `14d`, `36h`.
public struct CalendarSpan: Sendable, Equatable, CustomStringConvertible {
  public var years = 0
  public var months = 0
  public var days = 0
  public var hours = 0

  public init(years: Int = 0, months: Int = 0, days: Int = 0, hours: Int = 0) {
    (self.years, self.months, self.days, self.hours) = (years, months, days, hours)
  }

  /// Numbers with a unit each: `y` years, `m` months, `w` weeks, `d` days, `h` hours. Nil for
  /// anything else, for nothing, and for more than 9999 of a unit.
  public init?(_ text: String) {
    var rest = text[...]
    while !rest.isEmpty {
      let digits = rest.prefix { $0.isASCII && $0.isNumber }
      rest = rest.dropFirst(digits.count)
      guard let number = Int(digits), number <= 9999, let unit = rest.popFirst() else { return nil }
      switch unit {
      case "y": years += number
      case "m": months += number
      case "w": days += 7 * number
      case "d": days += number
      case "h": hours += number
      default: return nil
      }
    }
    let largest = max(years, months, days, hours)
    guard largest > 0, largest <= 99_999 else { return nil }
  }

  public var description: String {
    let parts = [(years, "y"), (months, "m"), (days, "d"), (hours, "h")]
    return parts.filter { $0.0 > 0 }.map { "\($0.0)\($0.1)" }.joined()
  }

  /// In seconds, with years of 365 days and months of 30.
  public var approximateSeconds: UInt64 {
    UInt64(max(0, (years * 365 + months * 30 + days) * 24 + hours)) * 3600
  }
}
