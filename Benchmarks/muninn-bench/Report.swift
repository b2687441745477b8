import ArgumentParser
import FoundationEssentials
import Glibc

/// Options that every subcommand has.
struct ReportOptions: ParsableArguments {
  @Flag(help: "Print one JSON object instead of tables.")
  var json = false

  @Option(help: ArgumentHelp("How often each measurement is repeated.", valueName: "n"))
  var runs = 5

  @Option(help: ArgumentHelp("Draw the figures into this file.", valueName: "file.svg"))
  var plot: String?

  func validate() throws {
    guard (1...1000).contains(runs) else { throw ValidationError("--runs is 1 to 1000") }
  }
}

enum Report {
  /// Writes a line to standard output at once, so that long runs show how far they are.
  static func print(_ line: String) {
    Swift.print(line)
    fflush(nil)
  }

  static func printJSON(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
    print(String(decoding: try encoder.encode(value), as: UTF8.self))
  }

  /// The command as it was given, to stand beside its figures.
  static var commandLine: String {
    (["muninn-bench"] + CommandLine.arguments.dropFirst()).joined(separator: " ")
  }
}

/// A failure with a sentence for the person at the terminal.
struct BenchError: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}
