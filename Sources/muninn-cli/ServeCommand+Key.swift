import ArgumentParser
import MuninnServer

/// `muninn serve key`: the API keys of a server.
struct ServeKeyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "key", abstract: "Make, list and remove a server's API keys.",
    discussion: "A running server takes them over on SIGHUP.",
    subcommands: [Add.self, List.self, Remove.self])

  /// Which key file is meant.
  struct File: ParsableArguments {
    @Option(help: "The server's base directory.", completion: .directory)
    var base: String?
    @Option(help: "The file of API keys; BASE/api-keys.json if not given.", completion: .file())
    var apiKeys: String?

    var keys: KeyFile {
      let base = Paths.absolute(base ?? Paths.dataHome + "/muninn")
      return KeyFile(path: apiKeys.map(Paths.absolute) ?? base + "/api-keys.json")
    }
  }

  struct Add: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a key and print it: it is not kept and cannot be shown again.")

    @Argument(help: "A name for the key, as the audit log shows it.")
    var name: String
    @Flag(help: "A key that may read only.")
    var readOnly = false
    @OptionGroup var file: File

    func validate() throws {
      guard (1...64).contains(name.utf8.count), name.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
      else { throw ValidationError("the name must be 1 to 64 visible ASCII characters") }
    }

    func run() throws {
      let (key, text) = APIKey.make(name: name, access: readOnly ? .read : .admin)
      try file.keys.add(key)
      Terminal.print(text)
    }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show the names of the keys.")

    @OptionGroup var file: File

    func run() throws {
      for key in try file.keys.keys() ?? [] {
        Terminal.print("\(key.name)  \(key.access.rawValue)  \(key.created)")
      }
    }
  }

  struct Remove: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Remove a key.")

    @Argument(help: "The key's name.")
    var name: String
    @OptionGroup var file: File

    func run() throws { try file.keys.remove(name) }
  }
}
