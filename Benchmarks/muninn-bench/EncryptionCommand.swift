import ArgumentParser
import Muninn

/// `muninn-bench encryption`: the same tree backed up and read again with and without encryption.
struct EncryptionCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "encryption",
    abstract: "First backup and check of a directory, with and without encryption.",
    discussion: """
      The two take turns, the one that begins a round alternating, so that what else the machine \
      does falls on both. Every repository is new. The directory is only read.
      """)

  @OptionGroup var report: ReportOptions
  @OptionGroup var options: EndToEndOptions

  @Argument(help: "The directory to back up.")
  var path: String

  @Option(help: "A directory on the disk that repositories are to lie on.")
  var repository: String

  private struct Document: Encodable {
    let machine: MachineDescription
    let command: String
    let plain: [OperationResult]
    let encrypted: [OperationResult]
  }

  func run() async throws {
    let source = try Scratch.absolute(path)
    let machine = MachineDescription.current()
    let say = { (line: String) in if !report.json { Report.print(line) } }
    say("machine: \(machine.line)")
    say("command: \(Report.commandLine)")
    var plain: [OperationResult] = []
    var encrypted: [OperationResult] = []
    for round in 0..<report.runs {
      for isEncrypted in round % 2 == 0 ? [false, true] : [true, false] {
        let results = try await measure(source, isEncrypted: isEncrypted, say)
        if isEncrypted {
          join(results, to: &encrypted)
        } else {
          join(results, to: &plain)
        }
      }
    }
    if report.json {
      return try Report.printJSON(
        Document(
          machine: machine, command: Report.commandLine, plain: plain, encrypted: encrypted))
    }
    say("\nwithout encryption\n\n\(OperationResult.table(plain))")
    say("\nwith encryption\n\n\(OperationResult.table(encrypted))\n")
    for (left, right) in zip(plain, encrypted) {
      let speed = right.megabytesPerSecond / max(left.megabytesPerSecond, 1e-9)
      let processor = left.processorSeconds / max(right.processorSeconds, 1e-9)
      say(
        "\(left.name): encrypted / plain \(Figure.fixed(speed, 3)) by the clock, "
          + "\(Figure.fixed(processor, 3)) by the processor's time")
    }
  }

  private func measure(
    _ source: String, isEncrypted: Bool, _ say: (String) -> Void
  ) async throws -> [OperationResult] {
    let scratch = try Scratch(below: repository)
    defer { scratch.remove() }
    var endToEnd = EndToEnd(
      source: source, scratch: scratch, threads: options.threads, runs: 1, isCold: options.cold,
      operations: [.firstBackup, .check])
    if isEncrypted {
      try RepositoryKey.makeKeyFile(at: scratch.file("key"))
      endToEnd.key = try RepositoryKey.keyFile(at: scratch.file("key"))
    }
    say(isEncrypted ? "encrypted" : "plain")
    return try await endToEnd.measure(say)
  }

  private func join(_ results: [OperationResult], to all: inout [OperationResult]) {
    if all.isEmpty {
      all = results
    } else {
      for index in all.indices { all[index].runs += results[index].runs }
    }
  }
}
