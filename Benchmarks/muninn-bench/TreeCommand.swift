import ArgumentParser
import MuninnDisk

/// What the commands that run whole operations have in common.
struct EndToEndOptions: ParsableArguments {
  @Option(help: "Threads; default: one a core.")
  var threads = Machine.coreCount

  @Option(help: ArgumentHelp("Bytes of the tree for the kernels, in MiB.", valueName: "mib"))
  var sample = 64

  @Flag(help: "Drop the machine's caches before each operation; only root may.")
  var cold = false

  @Flag(
    inversion: .prefixedNo,
    help: "Write the repository past the page cache; the library's default if not given.")
  var direct: Bool?

  func validate() throws {
    guard (1...256).contains(threads) else { throw ValidationError("--threads is 1 to 256") }
    guard (1...16_384).contains(sample) else { throw ValidationError("--sample is 1 to 16384") }
  }
}

/// `muninn-bench tree`: the whole of it on a directory of one's own.
struct TreeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tree",
    abstract: "First backup, unchanged backup, restore and check of a directory of your own.",
    discussion: """
      Uses the engine as an embedding program does, measures this machine's primitives in the same \
      run, and prints what of the machine was reached and what holds it back. The directory is \
      only read. Repository and restored files are made in a new directory below --repository and \
      removed at the end; they need as much room as the directory once more a run. On ext4, \
      begin five minutes after the last large removal on that disk: until then making files is \
      slow, and a restore with it.
      """)

  @OptionGroup var report: ReportOptions
  @OptionGroup var options: EndToEndOptions

  @Argument(help: "The directory to back up.")
  var path: String

  @Option(help: "A directory on the disk that repositories are to lie on.")
  var repository: String

  func run() async throws {
    let source = try Scratch.absolute(path)
    let scratch = try Scratch(below: repository)
    defer { scratch.remove() }
    try await EndToEndMeasurement(
      report: report, parameters: source,
      endToEnd: EndToEnd(
        source: source, scratch: scratch, threads: options.threads, runs: report.runs,
        isCold: options.cold, writesDirectly: options.direct,
        operations: [.firstBackup, .unchangedBackup, .restore, .check]),
      sampleBytes: options.sample << 20
    ).run()
  }
}
