import Dispatch

/// Runs blocking file-system calls away from the threads that serve requests.
enum Blocking {
  private static let queue = DispatchQueue(label: "muninn.server.disk", attributes: .concurrent)

  static func run<Value: Sendable>(
    _ work: @escaping @Sendable () throws(Refusal) -> Value
  ) async throws(Refusal) -> Value {
    let result: Result<Value, Refusal> = await withCheckedContinuation { continuation in
      queue.async { continuation.resume(returning: Result(catching: work)) }
    }
    return try result.get()
  }
}
