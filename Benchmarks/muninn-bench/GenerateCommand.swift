import ArgumentParser

/// The parameters of generated data, alike in every subcommand that makes some.
struct GeneratedOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Bytes of all files together, in MiB.", valueName: "mib"))
  var size = 8.0

  @Option(help: ArgumentHelp("Number of files.", valueName: "n"))
  var files = 200

  @Option(help: ArgumentHelp("Share of the bytes that repeat others nearby.", valueName: "0-1"))
  var compressible = 0.5

  @Option(help: ArgumentHelp("Share of the pieces that occurred before.", valueName: "0-1"))
  var duplicate = 0.2

  @Option(help: "Seed of the data.")
  var seed: UInt64 = 1

  func validate() throws {
    guard size >= 0, size <= 16_777_216 else { throw ValidationError("--size is 0 to 16777216") }
    guard (1...10_000_000).contains(files) else {
      throw ValidationError("--files is 1 to 10000000")
    }
    guard (0...1).contains(compressible), (0...1).contains(duplicate) else {
      throw ValidationError("--compressible and --duplicate are 0 to 1")
    }
  }

  var tree: GeneratedTree {
    GeneratedTree(
      byteCount: Int(size * 1_048_576), fileCount: files, compressible: compressible,
      duplicate: duplicate, seed: seed)
  }

  var line: String {
    "\(Figure.fixed(size, 1)) MiB in \(files) files, "
      + "compressible \(Figure.fixed(compressible, 2)), "
      + "duplicate \(Figure.fixed(duplicate, 2)), seed \(seed)"
  }
}

/// `muninn-bench generate`: files to measure with.
struct GenerateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate",
    abstract: "Make files from a seed: the same bytes for the same parameters everywhere.")

  @Argument(help: "A directory that is absent or empty.")
  var directory: String

  @OptionGroup var generated: GeneratedOptions

  @Option(help: ArgumentHelp("Share of the files with other content.", valueName: "0-1"))
  var changed = 0.0

  @Flag(help: "Print one JSON object instead of text.")
  var json = false

  func validate() throws {
    guard (0...1).contains(changed) else { throw ValidationError("--changed is 0 to 1") }
  }

  func run() throws {
    let target = try Scratch.absolute(directory)
    let (seconds, written) = try Timing.seconds {
      try generated.tree.write(to: target, changed: changed)
    }
    if json { return try Report.printJSON(written) }
    Report.print("command: \(Report.commandLine)")
    Report.print("\(generated.line), changed \(Figure.fixed(changed, 2))")
    Report.print(
      "wrote \(written.files) files, \(written.byteCount) bytes in \(Figure.fixed(seconds, 2)) s, "
        + "hash \(written.hash)")
  }
}
