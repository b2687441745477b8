import ArgumentParser
import Muninn

struct CopyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "copy", abstract: "Copy snapshots to another repository.",
    discussion: """
      Snapshots keep their ids: what the other repository has is not copied again, and what an \
      earlier copy of the same paths has is not read again.

      \(ExitStatus.discussion)
      """)

  @OptionGroup var source: RepositoryArgument
  @Argument(help: "The other repository's directory.")
  var other: String
  @Argument(help: "Snapshots, by id or its beginning, or latest; all if there is none.")
  var snapshots: [String] = []
  @OptionGroup var otherKey: OtherKeyOptions
  @OptionGroup var threads: ThreadOptions
  @OptionGroup var report: ReportOptions

  func run() async throws {
    let selectors = snapshots.map { SnapshotSelector(argument: $0) }
    let line = ProgressLine()
    defer { line.end() }
    let result = try await Interruption.cancelling { [source, other, otherKey, threads] in
      let (repository, key) = try await source.openWithKey()
      let target = try await otherKey.open(Paths.absolute(other), otherwise: key)
      return try await repository.copy(
        selectors, to: target, threads: threads.threads, progress: line.handler)
    }
    line.end()
    if report.isJSON { return try JSONOutput.print(result) }
    Terminal.print(
      "copied   \(Quantity.count(UInt64(result.copied.count))) snapshots,"
        + " \(Quantity.count(UInt64(result.present.count))) were there,"
        + " in \(Quantity.elapsed(result.seconds))")
    Terminal.print(
      "chunks   new \(Quantity.count(result.chunksNew))"
        + "  known \(Quantity.count(result.chunksDuplicate))"
        + "  stored \(Quantity.size(result.bytesStored))")
  }
}

/// How a command comes by the key of a second repository.
struct OtherKeyOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A file with the other repository's passphrase in its only line.",
      discussion: "Without this or --other-key-file, the first repository's key is tried there.",
      valueName: "file"))
  var otherPassphraseFile: String?
  @Option(help: ArgumentHelp("A key file of the other repository.", valueName: "file"))
  var otherKeyFile: String?

  private static let waysOut = "give --other-passphrase-file or --other-key-file"

  func validate() throws {
    if otherPassphraseFile != nil, otherKeyFile != nil {
      throw ValidationError(
        "--other-passphrase-file and --other-key-file cannot be given together")
    }
  }

  private func given() throws -> RepositoryKey? {
    if let otherPassphraseFile {
      return try RepositoryKey.passphrase(inFile: Paths.absolute(otherPassphraseFile))
    }
    return try otherKeyFile.map { try RepositoryKey.keyFile(at: Paths.absolute($0)) }
  }

  /// Opens the repository: with the key that is given, or with none where it needs none, or with
  /// the first repository's; at last a terminal is asked.
  func open(_ location: String, otherwise known: RepositoryKey?) async throws -> Repository {
    var options = OpenOptions()
    options.key = try given()
    var refusal: MuninnError
    do throws(MuninnError) {
      return try await Repository.open(at: location, options: options)
    } catch {
      guard error.code == .wrongKey, options.key == nil else { throw error }
      refusal = error
    }
    if let known {
      options.key = known
      do throws(MuninnError) {
        return try await Repository.open(at: location, options: options)
      } catch {
        guard error.code == .wrongKey else { throw error }
        refusal = error
      }
    }
    guard PassphrasePrompt.isPossible else {
      throw MuninnError(.wrongKey, "\(refusal.message); \(Self.waysOut)")
    }
    options.key = try PassphrasePrompt.existing(location)
    return try await Repository.open(at: location, options: options)
  }
}
