import Dispatch

/// Runs blocking file-system calls away from the threads that serve requests.
enum Blocking {
  private static let queue = DispatchQueue(label: "muninn.server.disk", attributes: .concurrent)

  static func run<Value: Sendable, Failure: Error>(
    _ work: @escaping @Sendable () throws(Failure) -> Value
  ) async throws(Failure) -> Value {
    let result: Result<Value, Failure> = await withCheckedContinuation { continuation in
      queue.async { continuation.resume(returning: Result(catching: work)) }
    }
    return try result.get()
  }
}
