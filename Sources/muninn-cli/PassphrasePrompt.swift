import Glibc
import Muninn

/// Asks a person at the terminal for a passphrase, without showing it.
enum PassphrasePrompt {
  static var isPossible: Bool {
    isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1
  }

  static func existing(_ location: String) throws -> RepositoryKey {
    var line = try ask("passphrase of \(Terminal.safe(location)): ")
    return try RepositoryKey.passphrase(zeroing: &line)
  }

  /// Asked for twice, since a slip would lock the repository for good.
  static func new(_ what: String) throws -> RepositoryKey {
    var first = try ask("new passphrase \(what): ")
    var second = try ask("the same again: ")
    defer { second.withUnsafeMutableBytes { zero($0) } }
    guard first == second else {
      first.withUnsafeMutableBytes { zero($0) }
      throw MuninnError(.invalidInput, "the two passphrases are not the same; nothing was changed")
    }
    return try RepositoryKey.passphrase(zeroing: &first)
  }

  private static func zero(_ bytes: UnsafeMutableRawBufferPointer) {
    if let start = bytes.baseAddress { explicit_bzero(start, bytes.count) }
  }

  /// One line, with the terminal's echo off meanwhile. The terminal is looked at ten times a
  /// second, so that Ctrl-C finds a moment at which its echo is put back.
  private static func ask(_ question: String) throws -> [UInt8] {
    var saved = termios()
    guard tcgetattr(STDIN_FILENO, &saved) == 0 else {
      throw MuninnError(
        .wrongKey, "the terminal cannot be asked for a passphrase: \(KeyOptions.waysOut)")
    }
    var silent = saved
    silent.c_lflag &= ~tcflag_t(ECHO)
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent)
    defer {
      tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved)
      Terminal.write("\n", to: STDERR_FILENO)
    }
    Terminal.write(question, to: STDERR_FILENO)
    // Room from the start: an array that grows leaves its bytes behind.
    var line: [UInt8] = []
    line.reserveCapacity(maximumByteCount)
    while line.count < maximumByteCount {
      if Interruption.wasRequested || Task.isCancelled { throw CancellationError() }
      var waiting = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
      guard poll(&waiting, 1, 100) > 0 else { continue }
      var byte: UInt8 = 0
      let count = read(STDIN_FILENO, &byte, 1)
      if count < 0, errno == EINTR { continue }
      if count <= 0 || byte == 0x0A { return line }
      line.append(byte)
    }
    throw MuninnError(.invalidInput, "a passphrase has at most \(maximumByteCount - 1) bytes")
  }

  private static let maximumByteCount = 4096
}
