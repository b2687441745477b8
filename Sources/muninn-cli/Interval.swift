import ArgumentParser

/// How often something is done: `30s`, `5m`, `1h`, or a number of seconds; `never`.
struct Interval: ExpressibleByArgument {
  /// Nil for never.
  let seconds: Double?

  init?(argument: String) {
    if argument == "never" {
      seconds = nil
      return
    }
    let digits = argument.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    let units = ["": 1.0, "s": 1, "m": 60, "h": 3600]
    guard let unit = units[argument.dropFirst(digits.count).lowercased()],
      let number = Double(digits), number >= 0, number * unit <= 1e9
    else { return nil }
    seconds = number * unit
  }
}
