import Muninn

/// The exit codes of every command.
enum ExitStatus: Int32, Error {
  case failure = 1
  case partial = 3
  case notFound = 4
  case damaged = 5
  case wrongKey = 6
  case usage = 64
  case interrupted = 130

  init(_ error: MuninnError) {
    switch error.code {
    case .notARepository, .notFound: self = .notFound
    case .damaged, .rolledBack: self = .damaged
    case .wrongKey: self = .wrongKey
    case .partial: self = .partial
    case .cancelled: self = .interrupted
    case .invalidInput, .alreadyExists, .unsupportedFormat, .accessDenied, .noSpace, .busy,
      .inputOutput:
      self = .failure
    }
  }

  static let discussion = """
    Exit codes:
      0    done
      1    failed; the message says why
      3    done, but some paths could not be read or written; they are listed
      4    not a repository, or no such snapshot or path
      5    the repository is damaged, which is listed, or older than this machine has seen it
      6    the key is missing or wrong
      64   the command line is wrong
      130  stopped by Ctrl-C or SIGTERM; nothing is left half-done
    """
}
