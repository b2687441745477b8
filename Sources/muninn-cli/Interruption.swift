import Dispatch
import Glibc
import Synchronization

/// Ctrl-C and SIGTERM: the first one cancels the running operation, which stops at its next safe
/// place; a second one ends the process at once, which costs no committed data either.
enum Interruption {
  private static let isRequested = Atomic(false)

  /// Whether a signal came. Read by callbacks that run outside of the operation's task.
  static var wasRequested: Bool { isRequested.load(ordering: .relaxed) }

  /// Runs `body` on a task that SIGINT and SIGTERM cancel.
  static func cancelling<Value: Sendable>(
    _ body: @escaping @Sendable () async throws -> Value
  ) async throws -> Value {
    // A file over the process's limit (RLIMIT_FSIZE) is an error like others, and no death.
    signal(SIGXFSZ, SIG_IGN)
    let task = Task { try await body() }
    let sources = [SIGINT, SIGTERM].map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler {
        if isRequested.exchange(true, ordering: .relaxed) { _exit(ExitStatus.interrupted.rawValue) }
        task.cancel()
      }
      source.resume()
      return source
    }
    defer { for source in sources { source.cancel() } }
    return try await task.value
  }
}
