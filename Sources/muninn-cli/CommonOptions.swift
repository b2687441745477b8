import ArgumentParser
import Muninn

/// Where a repository is, or is to be.
struct RepositoryLocation: ParsableArguments {
  @Argument(help: "The repository's directory.")
  var repository: String

  var location: String { Paths.absolute(repository) }
}

/// The repository of every command that opens one.
struct RepositoryArgument: ParsableArguments {
  @OptionGroup var place: RepositoryLocation
  @OptionGroup var key: KeyOptions
  @Flag(
    help: "Take the repository as it is, although this machine has seen a newer state of it.")
  var acceptRollback = false

  var location: String { place.location }

  /// Opens it, and says on standard error what of its journal cannot be read.
  func open() async throws -> Repository { try await openWithKey().repository }

  /// The same, with the key that opened it; nil where it is not encrypted.
  func openWithKey() async throws -> (repository: Repository, key: RepositoryKey?) {
    var options = OpenOptions()
    options.key = try key.given()
    options.acceptsRollback = acceptRollback
    let repository: Repository
    do throws(MuninnError) {
      repository = try await Repository.open(at: location, options: options)
    } catch {
      // Only whether there is a key of it can be wrong where none was given.
      guard error.code == .wrongKey, options.key == nil else { throw error }
      guard PassphrasePrompt.isPossible else {
        throw MuninnError(.wrongKey, "\(error.message); \(KeyOptions.waysOut)")
      }
      options.key = try PassphrasePrompt.existing(location)
      repository = try await Repository.open(at: location, options: options)
    }
    for problem in repository.damage {
      Terminal.complain("\(Terminal.safe(problem.path)): \(Terminal.safe(problem.message))")
    }
    return (repository, options.key)
  }
}

/// How a report is printed.
struct ReportOptions: ParsableArguments {
  @Flag(name: .customLong("json"), help: "Print the report as one JSON object.")
  var isJSON = false
}

/// Threads of an operation.
struct ThreadOptions: ParsableArguments {
  @Option(help: "Threads that work at the same time; the number of cores if not given.")
  var threads: Int?

  func validate() throws {
    if let threads, !(1...1024).contains(threads) {
      throw ValidationError("--threads must be 1 to 1024")
    }
  }
}

extension SnapshotSelector {
  /// `latest`, or an id or its beginning.
  init(argument: String) { self = argument == "latest" ? .latest() : .id(argument) }
}

/// A number of bytes below 4 GiB: `65536`, `64K`, `64KiB`, `1M`.
struct ByteCount: ExpressibleByArgument {
  let bytes: UInt32

  init?(argument: String) {
    let digits = argument.prefix { $0.isASCII && $0.isNumber }
    let shift: UInt64
    switch argument.dropFirst(digits.count).lowercased() {
    case "": shift = 0
    case "k", "kib": shift = 10
    case "m", "mib": shift = 20
    default: return nil
    }
    guard let number = UInt64(digits), number <= UInt64(UInt32.max) >> shift else { return nil }
    bytes = UInt32(number << shift)
  }
}

/// Lists paths that could not be handled on standard error.
enum ProblemList {
  static func complain(_ problems: [PathProblem], of count: UInt64, _ what: String) {
    for problem in problems {
      Terminal.complain("\(Terminal.safe(problem.path)): \(Terminal.safe(problem.message))")
    }
    if count > UInt64(problems.count) {
      Terminal.complain("and \(Quantity.count(count - UInt64(problems.count))) more")
    }
    let paths = count == 1 ? "path" : "paths"
    Terminal.complain("\(Quantity.count(count)) \(paths) could not be \(what)")
  }

  /// Lists files that something else is to be said of.
  static func complain(_ files: [PathProblem], of count: UInt64, saying what: String) {
    guard count > 0 else { return }
    for file in files {
      Terminal.complain("\(Terminal.safe(file.path)): \(Terminal.safe(file.message))")
    }
    Terminal.complain("\(Quantity.count(count)) files \(what)")
  }
}
