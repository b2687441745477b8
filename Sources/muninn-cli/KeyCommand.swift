import ArgumentParser
import Muninn

struct KeyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "key", abstract: "Manage what opens an encrypted repository.",
    discussion: ExitStatus.discussion,
    subcommands: [
      KeyListCommand.self, KeyAddCommand.self, KeyRemoveCommand.self, KeyRotateCommand.self,
      KeyGenerateCommand.self,
    ])
}

struct KeyListCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the passphrases and key files of a repository.")

  @OptionGroup var target: RepositoryArgument
  @OptionGroup var report: ReportOptions

  private struct Report: Encodable { let keys: [KeySlotInfo] }

  func run() async throws {
    let keys = try await Interruption.cancelling { [target] in
      try await target.open().keys()
    }
    if report.isJSON { return try JSONOutput.print(Report(keys: keys)) }
    for line in KeyTable.lines(keys) { Terminal.print(line) }
  }
}

/// Key slots as text.
enum KeyTable {
  static func lines(_ keys: [KeySlotInfo]) -> [String] {
    var table = Table([
      ("ID", .left), ("KIND", .left), ("ADDED", .left), ("STATE", .left), ("LABEL", .left),
    ])
    for key in keys {
      let kind =
        switch key.method {
        case .passphrase: "passphrase"
        case .keyFile: "key file"
        case .unknown: "?"
        }
      table.add([
        key.shortID, kind, key.method == .unknown ? "?" : Quantity.localTime(key.created),
        key.standing.rawValue, Terminal.safe(key.label),
      ])
    }
    return table.lines
  }
}

struct KeyAddCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "add", abstract: "Add a passphrase or key file that opens a repository.")

  @OptionGroup var target: RepositoryArgument
  @OptionGroup var new: NewKeyOptions
  @OptionGroup var report: ReportOptions

  private struct Report: Encodable { let key: String }

  func run() async throws {
    let id = try await Interruption.cancelling { [target, new] in
      let repository = try await target.open()
      let key = try new.given() ?? NewKeyCommands.asked(target.location)
      return try await repository.addKey(key, label: new.label)
    }
    if report.isJSON { return try JSONOutput.print(Report(key: id)) }
    Terminal.print("added key \(id.prefix(8))")
  }
}

/// What `key add` and `key rotate` share.
enum NewKeyCommands {
  static func asked(_ location: String) throws -> RepositoryKey {
    guard PassphrasePrompt.isPossible else {
      throw MuninnError(
        .wrongKey,
        "the new key is missing: give --new-passphrase-file or --new-key-file, or call "
          + "it from a terminal")
    }
    return try PassphrasePrompt.new("for \(Terminal.safe(location))")
  }
}

struct KeyRemoveCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "remove",
    abstract: "Remove a passphrase or key file; the last one cannot be removed.",
    discussion: """
      Who has used it may have kept the master key, which this does not change: see key rotate.
      """)

  @OptionGroup var target: RepositoryArgument
  @Argument(help: "The key's id as key list shows it, or its beginning.")
  var id: String
  @OptionGroup var report: ReportOptions

  private struct Report: Encodable { let removed: String }

  func run() async throws {
    try await Interruption.cancelling { [target, id] in
      try await target.open().removeKey(id)
    }
    if report.isJSON { return try JSONOutput.print(Report(removed: id)) }
    Terminal.print("removed key \(Terminal.safe(id))")
  }
}

struct KeyRotateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rotate",
    abstract: "Encrypt everything written from now on under a new master key.",
    discussion: """
      The new master key is opened by the new passphrase or key file, or by the one that was given \
      to open the repository where no new one is. All other keys are removed and listed: add them \
      again. What was written before stays readable, and whoever has kept an old master key can \
      still read that.
      """)

  @OptionGroup var target: RepositoryArgument
  @OptionGroup var new: NewKeyOptions
  @OptionGroup var report: ReportOptions

  func run() async throws {
    let result = try await Interruption.cancelling { [target, new] in
      let (repository, key) = try await target.openWithKey()
      guard let next = try new.given() ?? key else {
        throw MuninnError(
          .invalidInput,
          "\(Terminal.safe(target.location)) is not encrypted and has no key to rotate")
      }
      return try await repository.rotateKey(to: next, label: new.label)
    }
    if report.isJSON {
      try JSONOutput.print(result)
    } else {
      Terminal.print("everything written from now on is under a new master key")
      Terminal.print("key      \(result.slot.prefix(8))")
      Terminal.print("removed  \(result.removed.count) older keys")
      for line in KeyTable.lines(result.removed).dropFirst() { Terminal.print("  " + line) }
    }
    guard result.leftover.isEmpty else {
      for key in result.leftover {
        Terminal.complain("key \(key.shortID) could not be removed: use key remove later")
      }
      throw ExitStatus.partial
    }
  }
}

struct KeyGenerateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate", abstract: "Make a key file: 64 random bytes, for its owner alone.")

  @Argument(help: "The file to make; it must not be there yet.")
  var file: String

  func run() async throws {
    try RepositoryKey.makeKeyFile(at: Paths.absolute(file))
    Terminal.print("made key file \(Terminal.safe(Paths.absolute(file)))")
  }
}
