import ArgumentParser
import MuninnDisk

/// `muninn-bench container`: containers written and read, without files or manifests around them.
struct ContainerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "container",
    abstract: "Write containers of generated chunks, and read them back.",
    discussion: """
      Writing compresses, writes and syncs; reading opens each container, reads and decodes every \
      block, and verifies every chunk. Each thread has containers of its own.
      """)

  @OptionGroup var report: ReportOptions

  @Option(help: "Where a repository is made and removed again.")
  var directory = "/tmp"

  @Option(help: ArgumentHelp("Data in MiB.", valueName: "mib"))
  var size = 16.0

  @Option(help: ArgumentHelp("Average chunk size in KiB, a power of two.", valueName: "kib"))
  var average = 32

  @Option(help: "Threads; default: one a core.")
  var threads = Machine.coreCount

  @Option(help: "Seed of the data.")
  var seed: UInt64 = 1

  @Option(help: ArgumentHelp("Share of the data that repeats others nearby.", valueName: "0-1"))
  var compressible = 0.5

  @Option(help: "Compression level: 0 to 12, as in a backup.")
  var level = 1

  func validate() throws {
    guard size >= 0.0625, size <= 65_536 else { throw ValidationError("--size is 0.0625 to 65536") }
    guard (4...4096).contains(average), average & (average - 1) == 0 else {
      throw ValidationError("--average is a power of two from 4 to 4096")
    }
    guard (1...256).contains(threads) else { throw ValidationError("--threads is 1 to 256") }
    guard (0...1).contains(compressible) else { throw ValidationError("--compressible is 0 to 1") }
    guard (0...12).contains(level) else { throw ValidationError("--level is 0 to 12") }
  }

  func run() throws {
    let scratch = try Scratch(below: directory)
    defer { scratch.remove() }
    let parameters =
      "\(Figure.fixed(size, 1)) MiB, chunks of \(average) KiB, seed \(seed), compressible "
      + "\(Figure.fixed(compressible, 2)), level \(level), \(threads) threads, "
      + "\(report.runs) runs"
    let data = SharedBytes(capacity: Int(size * 1_048_576))
    GeneratedData.fill(data.storage.bytes, seed: seed, compressible: compressible)
    let containers = try ContainerMeasurements(
      data: data, average: UInt32(average) << 10, threads: threads, level: level,
      runs: report.runs, scratch: scratch)
    try MeasurementReport(report: report, parameters: parameters).run { add in
      try containers.measure(add)
    }
  }
}
