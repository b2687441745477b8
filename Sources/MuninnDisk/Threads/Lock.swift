import CMuninnSystem
import Glibc

/// A pthread mutex that condition variables can wait on (`Synchronization.Mutex` has none).
///
/// `@unchecked Sendable`: the pointers never change, and pthread objects are made to be shared.
struct Lock: ~Copyable, @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>

  init() {
    mutex = .allocate(capacity: 1)
    mutex.initialize(to: pthread_mutex_t())
    let status = pthread_mutex_init(mutex, nil)
    precondition(status == 0, "pthread_mutex_init failed")
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  func lock() { pthread_mutex_lock(mutex) }
  func unlock() { pthread_mutex_unlock(mutex) }

  /// Releases the lock, sleeps until `condition` is signalled (or for no reason), takes it again.
  func wait(for condition: borrowing Condition) { pthread_cond_wait(condition.variable, mutex) }

  /// The same, until a moment of the monotonic clock at the latest; false once it has come.
  func wait(for condition: borrowing Condition, until nanoseconds: Int64) -> Bool {
    muninn_wait_until(condition.variable, mutex, nanoseconds) != ETIMEDOUT
  }
}

/// A condition variable, used under one `Lock`. Sendable for the same reason as `Lock`.
struct Condition: ~Copyable, @unchecked Sendable {
  fileprivate let variable: UnsafeMutablePointer<pthread_cond_t>

  init() {
    variable = .allocate(capacity: 1)
    variable.initialize(to: pthread_cond_t())
    let status = pthread_cond_init(variable, nil)
    precondition(status == 0, "pthread_cond_init failed")
  }

  deinit {
    pthread_cond_destroy(variable)
    variable.deallocate()
  }

  func signal() { pthread_cond_signal(variable) }
  func broadcast() { pthread_cond_broadcast(variable) }
}
