import ArgumentParser
import MuninnServer

/// `muninn serve key`: the API keys of a server.
struct ServeKeyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "key", abstract: "Make, list and remove a server's API keys.",
    discussion: "A running server takes them over on SIGHUP.",
    subcommands: [Add.self, List.self, Remove.self])

  struct Add: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a key and print it: it is not kept and cannot be shown again.")

    @Argument(help: "A name for the key, as the audit log shows it.")
    var name: String
    @Flag(help: "A key that may read only.")
    var readOnly = false
    @OptionGroup var files: ServerFiles

    func validate() throws {
      guard (1...64).contains(name.utf8.count), name.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
      else { throw ValidationError("the name must be 1 to 64 visible ASCII characters") }
    }

    func run() throws {
      let (key, text) = APIKey.make(name: name, access: readOnly ? .read : .admin)
      try files.keys.add(key)
      Terminal.print(text)
    }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show the names of the keys.")

    @OptionGroup var files: ServerFiles

    func run() throws {
      for key in try files.keys.keys() ?? [] {
        Terminal.print("\(key.name)  \(key.access.rawValue)  \(key.created)")
      }
    }
  }

  struct Remove: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Remove a key.")

    @Argument(help: "The key's name.")
    var name: String
    @OptionGroup var files: ServerFiles

    func run() throws { try files.keys.remove(name) }
  }
}
