import ArgumentParser

/// What this machine allows, and how near Muninn comes to it.
@main
struct Bench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "muninn-bench",
    abstract: "Measures Muninn's parts and this machine in the same run.",
    discussion: """
      Every run prints the machine, its parameters, a hash of the result, and median and spread \
      of the repetitions. A figure counts beside others of the same run only.
      """,
    subcommands: [
      KernelsCommand.self, EvaluateCommand.self, RooflineCommand.self, TreeCommand.self,
      BackupCommand.self, EncryptionCommand.self, RestoreCommand.self, DefragCommand.self,
      ContainerCommand.self, IndexCommand.self, JournalCommand.self, PruneCommand.self,
      ReadPathCommand.self, GenerateCommand.self, GenerationsCommand.self, ChainCommand.self,
    ])
}
