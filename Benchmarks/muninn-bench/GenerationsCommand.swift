import ArgumentParser
import MuninnDisk

/// `muninn-bench generations`: how restores fare as a chain of backups grows old.
struct GenerationsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generations",
    abstract: "Back up a tree that changes, generation by generation, and restore it again.",
    discussion: """
      Each generation edits, extends, cuts into, renames, adds and deletes files, most of them \
      among a fifth of all, and is backed up into two repositories: without rewriting of sparse \
      containers, and with it. Every few generations the newest snapshot is restored from both, \
      with the repository dropped from the page cache and again with it there. Where --target \
      lies on a tmpfs, the figures are of reading alone. Repositories and tree lie below \
      --directory and are removed at the end.
      """)

  @OptionGroup var report: ReportOptions
  @OptionGroup var generated: GeneratedOptions

  @Option(help: "Where tree and repositories are made and removed again.")
  var directory = "/tmp"

  @Option(help: "Where snapshots are restored to; below --directory if not given.")
  var target: String?

  @Option(help: ArgumentHelp("Generations after the first backup, less one.", valueName: "n"))
  var generations = 50

  @Option(help: ArgumentHelp("Restore after so many generations.", valueName: "n"))
  var every = 5

  @Option(help: ArgumentHelp("Share of the files that a generation edits.", valueName: "0-1"))
  var edited = 0.03

  @Option(help: ArgumentHelp("Per cent of the content that is rewritten.", valueName: "percent"))
  var rewriteLimit = 1.0

  @Option(
    name: .customLong("chain"), parsing: .upToNextOption,
    help: "Directories that are the generations, in place of a generated tree.")
  var chain: [String] = []

  @Option(help: "Threads; default: one a core.")
  var threads = Machine.coreCount

  func validate() throws {
    guard (1...10_000).contains(generations), (1...generations).contains(every) else {
      throw ValidationError("--generations is 1 to 10000, and --every 1 to that")
    }
    guard (0...1).contains(edited), (0...100).contains(rewriteLimit) else {
      throw ValidationError("--edited is 0 to 1, --rewrite-limit 0 to 100")
    }
    guard (1...256).contains(threads) else { throw ValidationError("--threads is 1 to 256") }
  }

  func run() async throws {
    let scratch = try Scratch(below: directory)
    defer { scratch.remove() }
    let targets = try target.map { try Scratch(below: $0) }
    defer { targets?.remove() }
    let source: any ChangingTree =
      chain.isEmpty
      ? try EditedTree(
        scratch.file("tree"), tree: generated.tree, edited: edited, seed: generated.seed)
      : try ChainedTrees(
        scratch.file("tree"), versions: chain.map { try Scratch.absolute($0) })
    let count = chain.isEmpty ? generations : chain.count
    let what =
      chain.isEmpty
      ? "\(generated.line), \(Figure.percent(edited)) of the files edited a generation"
      : "\(count) directories, the first \(chain[0])"
    var measurement = GenerationsMeasurement(
      source: source, scratch: scratch, targets: targets ?? scratch, threads: threads,
      runs: report.runs, rewriteLimit: rewriteLimit)
    let machine = MachineDescription.current()
    if !report.json {
      Report.print("machine: \(machine.line)")
      Report.print("command: \(Report.commandLine)")
      Report.print(
        "parameters: \(what), \(count) generations, rewriting up to "
          + "\(Figure.fixed(rewriteLimit, 1)) %, \(threads) threads, \(report.runs) runs\n")
    }
    try await measurement.prepare()
    for generation in 1...count {
      let isMeasured = generation == 1 || generation % every == 0 || generation == count
      for point in try await measurement.next(isMeasured: isMeasured) where !report.json {
        Report.print(point.line)
      }
    }
    for point in try await measurement.defragment() where !report.json {
      Report.print(point.line)
    }
    if let path = report.plot { try measurement.plot(what).write(to: path) }
    if report.json {
      try Report.printJSON(
        GenerationsDocument(
          machine: machine, command: Report.commandLine, parameters: what,
          points: measurement.points))
    } else {
      Report.print("\n\(measurement.table)")
    }
  }
}

private struct GenerationsDocument: Encodable {
  let machine: MachineDescription
  let command: String
  let parameters: String
  let points: [GenerationPoint]
}
