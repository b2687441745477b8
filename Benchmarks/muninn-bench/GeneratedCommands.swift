import ArgumentParser
import Glibc

/// `muninn-bench backup`: backups of generated data.
struct BackupCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "backup",
    abstract: "First, unchanged and changed backup of generated data.")

  @OptionGroup var report: ReportOptions
  @OptionGroup var options: EndToEndOptions
  @OptionGroup var generated: GeneratedOptions

  @Option(help: "Where data and repository are made and removed again.")
  var directory = "/tmp"

  @Option(help: ArgumentHelp("Share of the files that change.", valueName: "0-1"))
  var changed = 0.05

  func validate() throws {
    guard (0...1).contains(changed) else { throw ValidationError("--changed is 0 to 1") }
  }

  func run() async throws {
    try await GeneratedMeasurement(
      report: report, options: options, generated: generated, directory: directory,
      operations: [.firstBackup, .unchangedBackup, .changedBackup], changed: changed
    ).run()
  }
}

/// `muninn-bench restore`: a restore of generated data.
struct RestoreCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "restore",
    abstract: "Restore and check of generated data.")

  @OptionGroup var report: ReportOptions
  @OptionGroup var options: EndToEndOptions
  @OptionGroup var generated: GeneratedOptions

  @Option(help: "Where data, repository and restored files are made and removed again.")
  var directory = "/tmp"

  func run() async throws {
    try await GeneratedMeasurement(
      report: report, options: options, generated: generated, directory: directory,
      operations: [.restore, .check]
    ).run()
  }
}

/// `muninn-bench defrag`: what laying files out in one piece costs and gives.
struct DefragCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "defrag",
    abstract: "Restore with and without defragmentation: seconds, and extents a file.")

  @OptionGroup var report: ReportOptions
  @OptionGroup var options: EndToEndOptions
  @OptionGroup var generated: GeneratedOptions

  @Option(help: "Where data, repository and restored files are made and removed again.")
  var directory = "/tmp"

  func run() async throws {
    try await GeneratedMeasurement(
      report: report, options: options, generated: generated, directory: directory,
      operations: [.restore, .defragmentingRestore]
    ).run()
  }
}

private struct GeneratedMeasurement {
  let report: ReportOptions
  let options: EndToEndOptions
  let generated: GeneratedOptions
  let directory: String
  let operations: [EndToEnd.Operation]
  var changed = 0.0

  func run() async throws {
    let scratch = try Scratch(below: directory)
    defer { scratch.remove() }
    let source = scratch.file("data")
    let tree = generated.tree
    try tree.write(to: source)
    // What changed this very moment cannot be told from what is being written, and is read again.
    usleep(1_100_000)
    var parameters = generated.line
    if changed > 0 { parameters += ", changed \(Figure.fixed(changed, 2))" }
    let share = changed
    try await EndToEndMeasurement(
      report: report, parameters: parameters,
      endToEnd: EndToEnd(
        source: source, scratch: scratch, threads: options.threads, runs: report.runs,
        isCold: options.cold, writesDirectly: options.direct, operations: operations,
        change: { isChanged in
          try tree.rewrite(in: source, changed: share, isChanged: isChanged)
          usleep(1_100_000)
        }),
      sampleBytes: options.sample << 20
    ).run()
  }
}
