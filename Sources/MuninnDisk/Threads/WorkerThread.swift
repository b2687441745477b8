import CMuninnSystem
import Glibc
import Synchronization

/// One named thread of the operating system: blocking work belongs here, never on Swift's
/// cooperative pool.
package final class WorkerThread: Sendable {
  /// Virtual size; only what is touched takes memory.
  private static let stackByteCount = 2 << 20

  private let thread: UInt
  private let isJoined = Monitor(false)

  private init(_ thread: UInt) { self.thread = thread }

  deinit {
    if !isJoined.withLock({ $0 }) { muninn_detach_thread(thread) }
  }

  /// Starts `body` on a new thread. The system shows the first 15 bytes of the name.
  ///
  /// Where the machine is out of threads for the moment it waits a little; a process that gets none
  /// for several seconds cannot go on and stops.
  ///
  /// It is nicer by `niceness` than the thread that starts it, and so are all threads that it
  /// starts itself: the system lets a thread inherit that.
  package static func start(
    name: String, niceness: Int = 0, _ body: @escaping @Sendable () -> Void
  ) -> WorkerThread {
    let start = Unmanaged.passRetained(ThreadStart(name: name, niceness: niceness, body: body))
    var thread: UInt = 0
    for attempt in 0... {
      let status = muninn_start_thread(
        &thread, stackByteCount,
        { Unmanaged<ThreadStart>.fromOpaque($0).takeRetainedValue().run() }, start.toOpaque())
      if status == 0 { break }
      precondition(status == -EAGAIN && attempt < 100, "the system gives no thread: \(-status)")
      usleep(50_000)
    }
    return WorkerThread(thread)
  }

  /// Returns when the thread has ended. May be called by several threads, and again.
  package func join() {
    isJoined.withLock { isJoined in
      if isJoined { return }
      muninn_join_thread(thread)
      isJoined = true
    }
  }
}

/// What a new thread needs, handed over to it.
private final class ThreadStart: Sendable {
  private let name: String
  private let niceness: Int
  private let body: @Sendable () -> Void

  init(name: String, niceness: Int, body: @escaping @Sendable () -> Void) {
    self.name = name
    self.niceness = niceness
    self.body = body
  }

  func run() {
    muninn_name_thread(name)
    if niceness > 0 { muninn_lower_priority(Int32(min(niceness, 19))) }
    body()
  }
}

/// A group of threads that do the same work and end together.
package struct WorkerThreads: ~Copyable {
  /// Runs `body` with each of `0..<count`, each on a thread of its own, and returns when all ended.
  package static func run(count: Int, name: String, _ body: @Sendable (Int) -> Void) {
    // The threads are joined before this returns, so the closure does not escape.
    withoutActuallyEscaping(body) { body in
      let threads = (0..<count).map { index in
        WorkerThread.start(name: count > 1 ? "\(name)-\(index)" : name) { body(index) }
      }
      for thread in threads { thread.join() }
    }
  }

  /// Deals `0..<count` out to threads: each runs `body`, whose argument returns the next number
  /// that nobody has, and nil when there is none. Returns when all ended.
  package static func deal(
    _ count: Int, to threads: Int, name: String,
    _ body: @Sendable (_ next: () -> Int?) -> Void
  ) {
    let dealt = Atomic<Int>(0)
    run(count: threads, name: name) { _ in
      body {
        let number = dealt.add(1, ordering: .relaxed).oldValue
        return number < count ? number : nil
      }
    }
  }
}
