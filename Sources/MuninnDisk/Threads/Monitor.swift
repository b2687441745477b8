/// A value under a mutex, with a condition variable to wait for what others do to it.
///
/// Whoever changes the value in a way that someone may wait for uses `update`, or `withLock` and
/// then `notifyAll`.
///
/// `@unchecked Sendable`: `state` is touched only while `lock` is held, and the `sending`
/// annotations keep references into it from leaking out (as in `Synchronization.Mutex`).
package final class Monitor<State: ~Copyable>: @unchecked Sendable {
  private let lock = Lock()
  private let changed = Condition()
  private var state: State

  package init(_ state: consuming sending State) {
    self.state = state
  }

  /// Runs `body` with the value, alone. Wakes nobody.
  package func withLock<Result: ~Copyable, Failure: Error>(
    _ body: (inout sending State) throws(Failure) -> sending Result
  ) throws(Failure) -> sending Result {
    lock.lock()
    defer { lock.unlock() }
    return try body(&state)
  }

  /// Runs `body` with the value, alone, then wakes everyone who waits, also when it throws.
  package func update<Result: ~Copyable, Failure: Error>(
    _ body: (inout sending State) throws(Failure) -> sending Result
  ) throws(Failure) -> sending Result {
    lock.lock()
    defer {
      lock.unlock()
      changed.broadcast()
    }
    return try body(&state)
  }

  /// Blocks until `condition` holds, then runs `body` in the same critical section. The condition
  /// is looked at now and after every notification. Wakes nobody.
  package func wait<Result: ~Copyable, Failure: Error>(
    until condition: (borrowing State) -> Bool,
    then body: (inout sending State) throws(Failure) -> sending Result
  ) throws(Failure) -> sending Result {
    lock.lock()
    defer { lock.unlock() }
    while !condition(state) { lock.wait(for: changed) }
    return try body(&state)
  }

  /// Blocks until `condition` holds.
  package func wait(until condition: (borrowing State) -> Bool) {
    lock.lock()
    defer { lock.unlock() }
    while !condition(state) { lock.wait(for: changed) }
  }

  /// Blocks until `condition` holds or the time is up; returns whether it holds.
  package func wait(
    nanoseconds: Int64, until condition: (borrowing State) -> Bool
  ) -> Bool {
    let end = Int64(clamping: Machine.monotonicNanoseconds()) + nanoseconds
    lock.lock()
    defer { lock.unlock() }
    while !condition(state) {
      if !lock.wait(for: changed, until: end) { return condition(state) }
    }
    return true
  }

  /// Wakes everyone who waits, to look at their conditions again.
  package func notifyAll() { changed.broadcast() }
}
