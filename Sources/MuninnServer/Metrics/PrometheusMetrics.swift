package import CoreMetrics
import Synchronization

/// The metrics of this process, kept for Prometheus to ask for: a backend of swift-metrics, for
/// which no library is at hand.
package final class PrometheusMetrics: MetricsFactory {
  /// The one of the process, as swift-metrics has one factory.
  package static let shared = PrometheusMetrics()

  private struct Key: Hashable {
    let name: String
    /// `{a="b",c="d"}`, or nothing.
    let labels: String
  }

  private let series = Mutex<[Key: Series]>([:])

  private init() {}

  private func series(
    _ kind: Series.Kind, _ label: String, _ dimensions: [(String, String)]
  ) -> Series {
    let key = Key(name: Self.name(label, kind), labels: Self.labels(dimensions))
    return series.withLock { all in
      if let known = all[key] { return known }
      let new = Series(kind)
      all[key] = new
      return new
    }
  }

  package func makeCounter(
    label: String, dimensions: [(String, String)]
  ) -> any CounterHandler {
    series(.counter, label, dimensions)
  }

  package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
    series(.gauge, label, dimensions)
  }

  package func makeRecorder(
    label: String, dimensions: [(String, String)], aggregate: Bool
  ) -> any RecorderHandler {
    series(aggregate ? .summary : .gauge, label, dimensions)
  }

  package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
    series(.histogram, label, dimensions)
  }

  // A series stays: Prometheus expects counters to go on.
  package func destroyCounter(_ handler: any CounterHandler) {}
  package func destroyMeter(_ handler: any MeterHandler) {}
  package func destroyRecorder(_ handler: any RecorderHandler) {}
  package func destroyTimer(_ handler: any TimerHandler) {}

  /// All series in the text format of Prometheus, version 0.0.4, by name.
  package var text: String {
    let all = series.withLock { $0 }.sorted {
      ($0.key.name, $0.key.labels) < ($1.key.name, $1.key.labels)
    }
    var text = ""
    var last = ""
    for (key, series) in all {
      if key.name != last { text += "# TYPE \(key.name) \(series.kind.rawValue)\n" }
      last = key.name
      text += series.lines(key.name, key.labels)
    }
    return text
  }

  /// A label as Prometheus takes names, with the unit and `_total` that it expects.
  private static func name(_ label: String, _ kind: Series.Kind) -> String {
    var name = String(
      label.map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") ? $0 : "_" })
    if kind == .counter, !name.hasSuffix("_total") { name += "_total" }
    if kind == .histogram, !name.hasSuffix("_seconds") { name += "_seconds" }
    return name
  }

  private static func labels(_ dimensions: [(String, String)]) -> String {
    if dimensions.isEmpty { return "" }
    let parts = dimensions.map { label, value in
      let name = label.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" }
      let escaped = value.map { character -> String in
        switch character {
        case "\\": "\\\\"
        case "\"": "\\\""
        case "\n": "\\n"
        default: String(character)
        }
      }
      return "\(String(name))=\"\(escaped.joined())\""
    }
    return "{\(parts.joined(separator: ","))}"
  }
}

/// One series: a number, or a count, a sum and how many were at most so much.
private final class Series: CounterHandler, MeterHandler, RecorderHandler, TimerHandler {
  enum Kind: String { case counter, gauge, summary, histogram }

  private struct Values {
    var value = 0.0
    var count: UInt64 = 0
    var buckets = [UInt64](repeating: 0, count: Series.bounds.count)
  }

  /// Upper ends, seconds: from what a status answer takes to what a transfer takes.
  static let bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 120]

  let kind: Kind
  private let values = Mutex(Values())

  init(_ kind: Kind) { self.kind = kind }

  func increment(by amount: Int64) { values.withLock { $0.value += Double(amount) } }
  func reset() { values.withLock { $0 = Values() } }
  func set(_ value: Int64) { set(Double(value)) }
  func set(_ value: Double) { values.withLock { $0.value = value } }
  func increment(by amount: Double) { values.withLock { $0.value += amount } }
  func decrement(by amount: Double) { values.withLock { $0.value -= amount } }
  func record(_ value: Int64) { record(Double(value)) }

  func record(_ value: Double) {
    if kind == .gauge { return set(value) }
    observe(value)
  }

  func recordNanoseconds(_ duration: Int64) { observe(Double(duration) / 1e9) }

  private func observe(_ value: Double) {
    values.withLock { values in
      values.value += value
      values.count += 1
      for (index, bound) in Self.bounds.enumerated() where value <= bound {
        values.buckets[index] += 1
      }
    }
  }

  func lines(_ name: String, _ labels: String) -> String {
    let values = values.withLock { $0 }
    switch kind {
    case .counter, .gauge: return "\(name)\(labels) \(Self.text(values.value))\n"
    case .summary:
      return "\(name)_sum\(labels) \(Self.text(values.value))\n"
        + "\(name)_count\(labels) \(values.count)\n"
    case .histogram:
      var lines = ""
      for (bound, count) in zip(
        Self.bounds.map(Self.text) + ["+Inf"], values.buckets + [values.count])
      {
        let le = "le=\"\(bound)\""
        let all = labels.isEmpty ? "{\(le)}" : "\(labels.dropLast()),\(le)}"
        lines += "\(name)_bucket\(all) \(count)\n"
      }
      return lines + "\(name)_sum\(labels) \(Self.text(values.value))\n"
        + "\(name)_count\(labels) \(values.count)\n"
    }
  }

  private static func text(_ value: Double) -> String {
    let whole = Int64(exactly: value)
    return whole.map { String($0) } ?? String(value)
  }
}
