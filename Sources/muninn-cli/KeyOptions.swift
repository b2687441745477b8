import ArgumentParser
import Glibc
import Muninn

/// How a command comes by the key of an encrypted repository.
struct KeyOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A file with the passphrase in its only line.",
      discussion: "Or set MUNINN_PASSPHRASE. Where neither is given, a terminal is asked.",
      valueName: "file"))
  var passphraseFile: String?
  @Option(
    help: ArgumentHelp(
      "A key file, as 'muninn key generate' makes it.", valueName: "file"))
  var keyFile: String?

  func validate() throws {
    if passphraseFile != nil, keyFile != nil {
      throw ValidationError("--passphrase-file and --key-file cannot be given together")
    }
  }

  /// The key that the options or the environment name; nil where they name none.
  func given() throws -> RepositoryKey? {
    if let passphraseFile {
      return try RepositoryKey.passphrase(inFile: Paths.absolute(passphraseFile))
    }
    if let keyFile { return try RepositoryKey.keyFile(at: Paths.absolute(keyFile)) }
    return try SecretEnvironment.passphrase()
  }

  static let waysOut =
    "set MUNINN_PASSPHRASE, or give --passphrase-file or --key-file, or call it from a terminal"
}

/// A new key for a slot.
struct NewKeyOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp("A file with the new passphrase in its only line.", valueName: "file"))
  var newPassphraseFile: String?
  @Option(help: ArgumentHelp("The new key file.", valueName: "file"))
  var newKeyFile: String?
  @Option(help: "A name for the new key, to tell it from others; readable without a key.")
  var label = ""

  func validate() throws {
    if newPassphraseFile != nil, newKeyFile != nil {
      throw ValidationError("--new-passphrase-file and --new-key-file cannot be given together")
    }
  }

  func given() throws -> RepositoryKey? {
    if let newPassphraseFile {
      return try RepositoryKey.passphrase(inFile: Paths.absolute(newPassphraseFile))
    }
    return try newKeyFile.map { try RepositoryKey.keyFile(at: Paths.absolute($0)) }
  }
}

/// The passphrase in the environment, which is taken from there.
enum SecretEnvironment {
  /// Nil where it is not set, or empty. Its bytes in the environment are zeroed, so that no process
  /// that this one might start, and nobody who looks at it later, finds it there.
  static func passphrase() throws -> RepositoryKey? {
    guard let value = getenv("MUNINN_PASSPHRASE"), value.pointee != 0 else { return nil }
    let count = strlen(value)
    var bytes = [UInt8](UnsafeRawBufferPointer(start: value, count: count))
    explicit_bzero(value, count)
    unsetenv("MUNINN_PASSPHRASE")
    return try RepositoryKey.passphrase(zeroing: &bytes)
  }
}
