import ArgumentParser
import CMuninn
import MuninnDisk

/// `muninn-bench kernels`: the byte kernels, on one core, over data in memory.
struct KernelsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kernels",
    abstract: "Chunking, fingerprints, tags and compression on one core, data in memory.",
    discussion: """
      Rates are of the thread's processor time, so that other programs' turns do not count; what \
      they take of caches and memory does.
      """)

  @OptionGroup var report: ReportOptions

  @Option(help: ArgumentHelp("Data in MiB; 0.5 stays in the second-level cache.", valueName: "mib"))
  var size = 256.0

  @Option(help: ArgumentHelp("Average chunk size in KiB.", valueName: "kib"))
  var average = 64

  @Option(help: "Seed of the data.")
  var seed: UInt64 = 1

  @Option(help: "Share of the data that repeats earlier data, 0 to 1, for compression.")
  var compressible = 0.5

  @Flag(help: "Leave the slow compression levels out.")
  var quick = false

  func validate() throws {
    guard size >= 0.0625, size <= 65_536 else { throw ValidationError("--size is 0.0625 to 65536") }
    guard (1...4096).contains(average) else { throw ValidationError("--average is 1 to 4096") }
    guard (0...1).contains(compressible) else {
      throw ValidationError("--compressible is 0 to 1")
    }
  }

  func run() throws {
    let buffer = Buffer(capacity: Int(size * 1_048_576))
    let average = UInt32(self.average) << 10
    let sizes = mn_chunk_sizes(minimum: average / 4, average: average, maximum: average * 4)
    let machine = MachineDescription.current()
    if !report.json {
      Report.print("machine: \(machine.line)")
      Report.print("command: \(Report.commandLine)")
      Report.print(
        "\(buffer.capacity) bytes, seed \(seed), chunks of \(sizes.minimum), \(sizes.average), "
          + "\(sizes.maximum); \(report.runs) runs\n")
    }
    var measured: [Measurement] = []
    func add(_ measurement: Measurement) {
      measured.append(measurement)
      guard !report.json else { return }
      let space = String(repeating: " ", count: max(1, 34 - measurement.name.count))
      Report.print(
        "\(measurement.name)\(space)\(Figure.fixed(measurement.median, 2)) \(measurement.unit)  "
          + "spread \(Figure.percent(measurement.spread))  result \(measurement.resultHash)")
    }
    GeneratedData.fill(buffer.bytes, seed: seed, compressible: 0)
    let kernels = KernelMeasurements(
      data: UnsafeRawBufferPointer(buffer.bytes), sizes: sizes, runs: report.runs)
    try kernels.chunking(add)
    try kernels.identities(add)
    GeneratedData.fill(buffer.bytes, seed: seed, compressible: compressible)
    kernels.compression(levels: quick ? [1] : [1, 3, 6, 9, 12], add)

    if let path = report.plot {
      var plot = Plot(title: "kernels on one core: \(machine.processor)")
      plot.bars = measured.map { Plot.Bar($0) }
      try plot.write(to: path)
    }
    let ratios = Ratio.all(measured)
    if report.json {
      try Report.printJSON(
        KernelsReport(
          machine: machine, command: Report.commandLine, seed: seed, byteCount: buffer.capacity,
          measurements: measured, ratios: ratios))
    } else {
      Report.print("")
      for ratio in ratios { Report.print("\(Figure.fixed(ratio.value, 2)) x  \(ratio.name)") }
    }
  }
}

private struct KernelsReport: Encodable {
  let machine: MachineDescription
  let command: String
  let seed: UInt64
  let byteCount: Int
  let measurements: [Measurement]
  let ratios: [Ratio]
}

/// One measurement over another of the same run.
struct Ratio: Encodable {
  let name: String
  let value: Double

  static func all(_ measured: [Measurement]) -> [Ratio] {
    func median(_ name: String) -> Double? { measured.first { $0.name == name }?.median }
    let scalars = [median("chunk, fastcdc"), median("chunk, fastcdc unrolled")]
    let fastCDC = scalars.compactMap { $0 }.max()
    var ratios: [Ratio] = []
    func add(_ name: String, _ value: Double?, _ base: Double?) {
      if let value, let base, base > 0 { ratios.append(Ratio(name: name, value: value / base)) }
    }
    for measurement in measured where measurement.name.hasPrefix("chunk, muninn") {
      add("\(measurement.name) / best scalar fastcdc", measurement.median, fastCDC)
    }
    let whole = median("chunk + fingerprint + tag")
    add("chunk + fingerprint + tag / best scalar fastcdc", whole, fastCDC)
    add("chunk + fingerprint + tag / sha-256", whole, median("sha-256"))
    return ratios
  }
}
