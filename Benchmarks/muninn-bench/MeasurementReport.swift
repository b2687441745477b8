/// A report that is a list of measurements: printed as they come, as JSON, or drawn.
struct MeasurementReport {
  let report: ReportOptions
  let parameters: String

  private struct Document: Encodable {
    let machine: MachineDescription
    let command: String
    let parameters: String
    let measurements: [Measurement]
  }

  func run(_ measure: ((Measurement) -> Void) throws -> Void) throws {
    let machine = MachineDescription.current()
    if !report.json {
      Report.print("machine: \(machine.line)")
      Report.print("command: \(Report.commandLine)")
      Report.print("parameters: \(parameters)\n")
    }
    var measured: [Measurement] = []
    try measure { measurement in
      measured.append(measurement)
      if !report.json { Report.print(line(measurement)) }
    }
    if let path = report.plot {
      var plot = Plot(title: parameters)
      plot.bars = measured.map { Plot.Bar($0) }
      try plot.write(to: path)
    }
    guard report.json else { return }
    try Report.printJSON(
      Document(
        machine: machine, command: Report.commandLine, parameters: parameters,
        measurements: measured))
  }

  private func line(_ measurement: Measurement) -> String {
    let space = String(repeating: " ", count: max(1, 44 - measurement.name.count))
    let decimals = measurement.median < 100 ? 3 : 0
    var line =
      "\(measurement.name)\(space)\(Figure.fixed(measurement.median, decimals)) "
      + "\(measurement.unit)  spread \(Figure.percent(measurement.spread))"
    if !measurement.processorValues.isEmpty {
      line +=
        "  of the processor's time \(Figure.fixed(measurement.processorMedian, decimals)) "
        + measurement.unit
    }
    return line + "  result \(measurement.resultHash)"
  }
}
