import ArgumentParser
import Glibc
import Muninn
import MuninnDisk
import MuninnServer

/// The `muninn` program: one command a file.
@main
struct MuninnCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "muninn",
    abstract: "Back up directory trees: deduplicated, incremental, restorable at disk speed.",
    discussion: ExitStatus.discussion,
    version: muninnVersion,
    subcommands: [
      InitCommand.self, BackupCommand.self, SnapshotsCommand.self, ListCommand.self,
      RestoreCommand.self, CatCommand.self, DumpCommand.self, DiffCommand.self, FindCommand.self,
      CopyCommand.self, CheckCommand.self, RepairCommand.self, StatsCommand.self,
      KeyCommand.self, ForgetCommand.self, PruneCommand.self, DefragCommand.self, TagCommand.self,
      HoldCommand.self,
      SettingsCommand.self, SessionsCommand.self, ServeCommand.self,
    ])

  static func main() async {
    Machine.growDescriptorTable()
    do {
      let command = try parseAsRoot(RawArguments.texts)
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        var command = command
        try command.run()
      }
    } catch let error as ExitStatus {
      Glibc.exit(error.rawValue)
    } catch let error as MuninnError {
      Terminal.complain(error.message)
      Glibc.exit(ExitStatus(error).rawValue)
    } catch let error as Refusal {
      Terminal.complain(error.message)
      Glibc.exit(ExitStatus.failure.rawValue)
    } catch is CancellationError {
      Terminal.complain("stopped")
      Glibc.exit(ExitStatus.interrupted.rawValue)
    } catch {
      end(with: error)
    }
  }

  /// Help, version and usage errors are the argument parser's; its own word for an error is
  /// replaced by ours.
  private static func end(with error: any Error) -> Never {
    let code = exitCode(for: error)
    let message = fullMessage(for: error)
    if code == .success {
      Terminal.print(message)
    } else {
      let plain = message.hasPrefix("Error: ") ? String(message.dropFirst(7)) : message
      Terminal.complain(plain)
    }
    Glibc.exit(code.rawValue)
  }
}
