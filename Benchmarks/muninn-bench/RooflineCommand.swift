import ArgumentParser
import Glibc
import MuninnDisk

/// `muninn-bench roofline`: what this machine can do at each primitive, and the bound of the whole
/// from them.
struct RooflineCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "roofline",
    abstract: "Each primitive of a backup on this tree and disk, and the bound of them together.",
    discussion: """
      Walks and reads TREE, from the page cache and from the disk, runs every kernel over its own \
      bytes on as many threads as the pipeline uses, and writes and syncs files into DIRECTORY.
      """)

  @OptionGroup var report: ReportOptions

  @Argument(help: "The tree that would be backed up.")
  var tree: String

  @Option(help: "A directory on the repository's disk; what is written there is removed again.")
  var directory: String

  @Option(help: "Threads; default: one a core.")
  var threads = Machine.coreCount

  @Option(help: ArgumentHelp("Bytes of the tree for the kernels, in MiB.", valueName: "mib"))
  var sample = 256

  func validate() throws {
    guard (1...256).contains(threads) else { throw ValidationError("--threads is 1 to 256") }
    guard (16...16_384).contains(sample) else { throw ValidationError("--sample is 16 to 16384") }
  }

  func run() throws {
    let machine = MachineDescription.current()
    if !report.json {
      Report.print("machine: \(machine.line)")
      Report.print("command: \(Report.commandLine)")
    }
    let roofline = Roofline(
      tree: tree, directory: directory, threads: threads, sampleBytes: sample << 20,
      runs: report.runs)
    let result = try roofline.measure { line in if !report.json { Report.print(line) } }
    if let path = report.plot {
      var plot = Plot(title: "primitives on \(threads) threads: \(machine.processor)")
      plot.bars = ([result.entriesPerSecond] + result.stages).map { Plot.Bar($0) }
      try plot.write(to: path)
    }
    if report.json {
      try Report.printJSON(
        RooflineReport(machine: machine, command: Report.commandLine, result: result))
    } else {
      Report.print(result.text)
    }
  }
}

private struct RooflineReport: Encodable {
  let machine: MachineDescription
  let command: String
  let result: RooflineResult
}

/// The primitives' rates, and what follows from them.
struct RooflineResult: Encodable {
  let files: Int
  let byteCount: UInt64
  let threads: Int
  let entriesPerSecond: Measurement
  /// GB/s of all threads together.
  let stages: [Measurement]
  /// Stored bytes over raw bytes, of the sample.
  let storedShare: Double
  let seconds: [StageTime]
  let boundSeconds: Double
  let boundBy: String

  struct StageTime: Encodable {
    let name: String
    let seconds: Double
  }

  var text: String {
    var table = TextTable(["primitive", "rate", "spread", "seconds for the tree"])
    func time(_ name: String) -> String {
      seconds.first { $0.name == name }.map { Figure.fixed($0.seconds, 3) } ?? ""
    }
    table.add([
      entriesPerSecond.name, "\(Figure.fixed(entriesPerSecond.median, 0)) /s",
      Figure.percent(entriesPerSecond.spread), time(entriesPerSecond.name),
    ])
    for stage in stages {
      table.add([
        stage.name, "\(Figure.fixed(stage.median, 2)) GB/s", Figure.percent(stage.spread),
        time(stage.name),
      ])
    }
    return """
      \(files) files, \(Figure.fixed(Double(byteCount) / 1e6, 1)) MB, \(threads) threads, \
      stored share \(Figure.percent(storedShare))

      \(table.text)

      bound of a first backup, nothing deduplicated: \(Figure.fixed(boundSeconds, 3)) s, \
      \(Figure.fixed(Double(byteCount) / 1e9 / max(boundSeconds, 1e-9), 2)) GB/s, by \(boundBy)
      """
  }
}
