import ArgumentParser
import Muninn

struct InitCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "init", abstract: "Make a repository in a new or empty directory.",
    discussion: """
      It is encrypted under the passphrase in MUNINN_PASSPHRASE, a passphrase file or a key \
      file, or under a passphrase that the terminal is asked for. Whoever loses all passphrases \
      and key files of a repository has lost what is in it.

      \(ExitStatus.discussion)
      """)

  @OptionGroup var target: RepositoryLocation
  @OptionGroup var key: KeyOptions
  @Flag(
    name: .customLong("no-encryption"),
    help: "Leave everything readable for whoever can read the directory.")
  var isPlain = false
  @Flag(
    inversion: .prefixedNo,
    help: "Whether several file systems of a server may use it.")
  var shared = true
  @Option(help: "Average size of a chunk, such as 32K or 64K; it cannot be changed later.")
  var averageChunkSize: ByteCount?
  @Option(
    help: """
      How chunks are told apart: xxh3, or sha256, which is slower and sound also against somebody \
      who can read a repository without encryption and choose what is backed up.
      """)
  var fingerprint = FingerprintArgument.xxh3
  @OptionGroup var report: ReportOptions

  private struct Report: Encodable {
    let repository: String
    let location: String
    let isShared: Bool
    let isEncrypted: Bool
    let fingerprint: ChunkFingerprint
  }

  func validate() throws {
    if isPlain, key.passphraseFile != nil || key.keyFile != nil {
      throw ValidationError("--no-encryption takes no passphrase and no key file")
    }
  }

  func run() async throws {
    let repository = try await Interruption.cancelling { [self] in
      var options = CreateOptions()
      options.averageChunkSize = averageChunkSize?.bytes
      options.isShared = shared
      options.fingerprint = fingerprint.fingerprint
      options.key = try newKey()
      return try await Repository.create(at: target.location, options: options)
    }
    if report.isJSON {
      try JSONOutput.print(
        Report(
          repository: repository.id, location: repository.location, isShared: repository.isShared,
          isEncrypted: repository.isEncrypted, fingerprint: repository.fingerprint))
    } else {
      let kind = repository.isEncrypted ? "encrypted repository" : "repository without encryption"
      Terminal.print("made \(kind) \(repository.id) in \(Terminal.safe(repository.location))")
    }
  }

  /// Nil for a repository without encryption.
  private func newKey() throws -> RepositoryKey? {
    if isPlain { return nil }
    if let given = try key.given() { return given }
    guard PassphrasePrompt.isPossible else {
      throw MuninnError(
        .wrongKey,
        "a repository needs a passphrase: \(KeyOptions.waysOut); --no-encryption makes one that "
          + "anybody can read")
    }
    return try PassphrasePrompt.new("for \(Terminal.safe(target.location))")
  }
}

enum FingerprintArgument: String, ExpressibleByArgument, CaseIterable {
  case xxh3, sha256

  var fingerprint: ChunkFingerprint {
    switch self {
    case .xxh3: .xxh3
    case .sha256: .sha256
    }
  }
}
