import FoundationEssentials

/// A picture of a report: throughput over time, and bars beside what the machine allows.
struct Plot {
  struct Line {
    let name: String
    /// Seconds and MB/s.
    let points: [(x: Double, y: Double)]
  }

  struct Bar {
    let name: String
    let value: Double
    let unit: String
    /// What the machine allows, nil where the bar is the machine itself.
    var bound: Double?
  }

  let title: String
  var lines: [Line] = []
  var bars: [Bar] = []
  /// What the lines show, and the decimals of their scale.
  var axes = "MB/s over seconds"
  var decimals = 0

  private static let width = 860.0
  private static let margin = 60.0
  private static let chartHeight = 260.0
  private static let barHeight = 26.0
  private static let colours = ["#2b6cb0", "#c05621", "#2f855a", "#6b46c1", "#b83280", "#4a5568"]

  var svg: String {
    var body = ""
    var top = 30.0
    body += text(Self.margin, 20, title, size: 14)
    if lines.contains(where: { $0.points.count > 1 }) {
      body += chart(top: top + 20)
      top += Self.chartHeight + 40 + Double(lines.count) * 18
    }
    body += barChart(top: top + 20)
    let height = top + 50 + Double(bars.count) * Self.barHeight
    return """
      <svg xmlns="http://www.w3.org/2000/svg" width="\(number(Self.width))" \
      height="\(number(height))" font-family="sans-serif" font-size="12">
      <rect width="100%" height="100%" fill="white"/>
      \(body)</svg>

      """
  }

  /// Writes the picture in place of the file.
  func write(to path: String) throws {
    do { try Data(svg.utf8).write(to: URL(filePath: path)) } catch {
      throw BenchError("\(path) cannot be written: \(error)")
    }
  }

  private func chart(top: Double) -> String {
    let right = max(lines.flatMap(\.points).map(\.x).max() ?? 1, 1e-6)
    let highest = max(lines.flatMap(\.points).map(\.y).max() ?? 1, 1e-6)
    let bottom = top + Self.chartHeight
    let wide = Self.width - 2 * Self.margin
    var out = text(Self.margin, top - 6, axes)
    for part in 0...4 {
      let y = bottom - Self.chartHeight * Double(part) / 4
      out += line(Self.margin, y, Self.width - Self.margin, y, "#dddddd")
      out += text(4, y + 4, Figure.fixed(highest * Double(part) / 4, decimals))
      let x = Self.margin + wide * Double(part) / 4
      out += text(x, bottom + 16, Figure.fixed(right * Double(part) / 4, 2))
    }
    for (index, series) in lines.enumerated() {
      let colour = Self.colours[index % Self.colours.count]
      let points = series.points.map { point in
        let x = Self.margin + wide * point.x / right
        let y = bottom - Self.chartHeight * point.y / highest
        return "\(number(x)),\(number(y))"
      }
      out += "<polyline fill=\"none\" stroke=\"\(colour)\" stroke-width=\"1.5\" points=\""
      out += points.joined(separator: " ") + "\"/>\n"
      let y = bottom + 34 + Double(index) * 18
      out += rectangle(Self.margin, y - 9, 10, 10, colour)
      out += text(Self.margin + 16, y, series.name)
    }
    return out
  }

  /// Bars are scaled by unit, so that only those of one unit compare.
  private func barChart(top: Double) -> String {
    var out = ""
    let left = 260.0
    let wide = Self.width - left - 150
    for (index, bar) in bars.enumerated() {
      let alike = bars.filter { $0.unit == bar.unit }
      let highest = max(alike.map { max($0.value, $0.bound ?? 0) }.max() ?? 1, 1e-9)
      let y = top + Double(index) * Self.barHeight
      let colour = bar.bound == nil ? "#a0aec0" : Self.colours[0]
      out += text(4, y + 13, bar.name)
      if let bound = bar.bound {
        out += rectangle(left, y, wide * bound / highest, 18, "#e2e8f0")
      }
      out += rectangle(left, y + 3, wide * bar.value / highest, 12, colour)
      var label = "\(Figure.fixed(bar.value, bar.value < 100 ? 2 : 0)) \(bar.unit)"
      if let bound = bar.bound, bound > 0 {
        label += " (\(Figure.fixed(bar.value / bound, 2)) of the bound)"
      }
      out += text(left + wide * max(bar.value, bar.bound ?? 0) / highest + 6, y + 13, label)
    }
    return out
  }

  private func text(_ x: Double, _ y: Double, _ content: String, size: Int = 12) -> String {
    "<text x=\"\(number(x))\" y=\"\(number(y))\" font-size=\"\(size)\">\(escaped(content))</text>\n"
  }

  private func line(
    _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ colour: String
  ) -> String {
    "<line x1=\"\(number(x1))\" y1=\"\(number(y1))\" x2=\"\(number(x2))\" "
      + "y2=\"\(number(y2))\" stroke=\"\(colour)\"/>\n"
  }

  private func rectangle(
    _ x: Double, _ y: Double, _ width: Double, _ height: Double, _ colour: String
  ) -> String {
    "<rect x=\"\(number(x))\" y=\"\(number(y))\" width=\"\(number(max(width, 0)))\" "
      + "height=\"\(number(height))\" fill=\"\(colour)\"/>\n"
  }

  private func number(_ value: Double) -> String { Figure.fixed(value, 1) }

  private func escaped(_ text: String) -> String {
    var out = ""
    for character in text {
      switch character {
      case "<": out += "&lt;"
      case ">": out += "&gt;"
      case "&": out += "&amp;"
      default: out.append(character)
      }
    }
    return out
  }
}

extension Plot.Line {
  /// The rate between each two moments, smoothed over a tenth of the whole.
  init(_ name: String, _ timeline: [TimelinePoint]) {
    self.name = name
    var points: [(x: Double, y: Double)] = []
    let window = max((timeline.last?.seconds ?? 0) / 10, 0.1)
    var start = 0
    for (index, point) in timeline.enumerated() {
      while start + 1 < index, timeline[start + 1].seconds < point.seconds - window { start += 1 }
      let span = point.seconds - timeline[start].seconds
      guard span > 0, point.bytes >= timeline[start].bytes else { continue }
      let bytes = Double(point.bytes - timeline[start].bytes)
      points.append((point.seconds, bytes / span / 1e6))
    }
    self.points = points
  }
}

extension Plot.Bar {
  init(_ measured: Measurement) {
    self.init(name: measured.name, value: measured.median, unit: measured.unit)
  }

  /// MB/s of an operation beside its bound.
  init(_ result: OperationResult) {
    let megabytes = Double(result.dataBytes) / 1e6
    let bound = result.breakdown.map { megabytes / max($0.bound.seconds, 1e-9) }
    self.init(name: result.name, value: result.megabytesPerSecond, unit: "MB/s", bound: bound)
  }
}
