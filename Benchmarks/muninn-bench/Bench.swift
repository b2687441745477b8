import ArgumentParser

/// What this machine allows, and how near Muninn comes to it.
@main
struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "muninn-bench",
    abstract: "Measures Muninn's parts and this machine in the same run.",
    discussion: """
      Every run prints the machine, its parameters, a hash of the result, and median and spread \
      of the repetitions. A figure counts beside others of the same run only.
      """,
    subcommands: [KernelsCommand.self, EvaluateCommand.self, RooflineCommand.self])
}
