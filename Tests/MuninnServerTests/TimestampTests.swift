import MuninnServer
import Testing

@Suite struct TimestampTests {
  @Test(
    arguments: [
      (0, "1970-01-01T00:00:00.0000000Z"),
      (1, "1970-01-01T00:00:00.0000001Z"),
      (17_951_157_001_234_567, "2026-11-19T19:15:00.1234567Z"),
      (9_513_935_999_999_999, "2000-02-24T11:59:59.9999999Z"),
    ] as [(Int64, String)])
  func writesSevenDigitsAndZ(_ ticks: Int64, _ text: String) {
    #expect(Timestamp(ticks: ticks).text == text)
    #expect(Timestamp(text: text)?.ticks == ticks)
  }

  @Test(arguments: [
    ("2026-11-23", "2026-11-23T00:00:00.0000000Z"),
    ("2026-11-23T10:15", "2026-11-23T10:15:00.0000000Z"),
    ("2026-11-23 10:15:59", "2026-11-23T10:15:59.0000000Z"),
    ("2026-11-23T10:15:59.5Z", "2026-11-23T10:15:59.5000000Z"),
    ("2026-11-23T10:15:59.123456789Z", "2026-11-23T10:15:59.1234567Z"),
  ])
  func readsShorterForms(_ text: String, _ whole: String) {
    #expect(Timestamp(text: text)?.text == whole)
  }

  @Test(arguments: [
    "", "now", "2026", "2026-13-01", "2026-00-01", "2026-11-23T25:00", "2026-11-23T10:15:59.Z",
    "2026-11-23T10:15:59.x", "20261123", "2026-11-23T10", "1969-12-31", "2026-11-23T10:15:59+01:00",
  ])
  func refuses(_ text: String) { #expect(Timestamp(text: text) == nil) }

  @Test func anySecondsCanBeShown() {
    for seconds in [-1, .infinity, -.infinity, .nan, 1e300, 0, 1.7e9] {
      #expect(Timestamp(seconds: seconds).text.utf8.count == 28)
    }
  }
}
