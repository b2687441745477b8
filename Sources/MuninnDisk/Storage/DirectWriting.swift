import Synchronization

/// Whether a local repository's objects bypass the page cache, and the threads that write them.
///
/// A direct write lasts as long as the device takes, so that the one who computes must not wait
/// for it: threads of the storage's own do, while the next buffer fills. They start with the first
/// direct write and end after the storage.
final class DirectWriting: Sendable {
  /// Measured: see "Direct and buffered writes" in Benchmarks/RESULTS.md.
  static let isDefault = true
  /// Writes that are under way at the device at a time.
  private static let threadCount = 2

  private let isPossible: Atomic<Bool>
  private let jobs = BoundedQueue<@Sendable () -> Void>(capacity: threadCount * 2)
  private let threads = Monitor<[WorkerThread]>([])

  init(isWanted: Bool) { isPossible = Atomic(isWanted) }

  // The last one to let go may be a job on one of the threads: they are not waited for.
  deinit { jobs.close() }

  var isEnabled: Bool { isPossible.load(ordering: .relaxed) }

  /// From now on objects are written through the page cache: this file system refused.
  func noteUnsupported() { isPossible.store(false, ordering: .relaxed) }

  /// Runs `job` on one of the threads, soon; blocks while they have enough to do.
  func run(_ job: @escaping @Sendable () -> Void) {
    threads.withLock { threads in
      guard threads.isEmpty else { return }
      threads = (0..<Self.threadCount).map { _ in
        WorkerThread.start(name: "muninn-write") { [jobs] in while let job = jobs.pop() { job() } }
      }
    }
    // The queue closes with the storage, which whoever writes holds on to.
    if !jobs.push(job) { job() }
  }
}
