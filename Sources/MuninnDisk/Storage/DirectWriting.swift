import Synchronization

/// Whether a local repository's objects bypass the page cache, and the threads that write them.
///
/// A direct write lasts as long as the device takes, so that the one who computes must not wait
/// for it: threads of the storage's own do, while the next pieces fill. They start with the first
/// direct write and end after the storage.
///
/// A device that is told to write back what it holds takes nothing else until it is done; so many
/// pieces may wait that those who fill them go on meanwhile.
final class DirectWriting: Sendable {
  /// Measured: see "Direct and buffered writes" in Benchmarks/RESULTS.md.
  static let isDefault = true
  /// Writes that are under way at the device at a time. They are long, so that few keep it busy;
  /// each more takes the processor from those who compute.
  private static let threadCount = max(1, min(4, Machine.coreCount / 2))
  /// Pieces that wait to be written: 32 MiB, a container.
  private static let waitingCount = 32

  /// Pieces that were written, to be filled again, and how many objects are being written.
  private struct Spare: Sendable {
    var pieces: [WritePiece] = []
    var writerCount = 0
  }

  private let isPossible: Atomic<Bool>
  private let jobs = BoundedQueue<@Sendable () -> Void>(capacity: waitingCount)
  private let threads = Monitor<[WorkerThread]>([])
  private let spare = Monitor(Spare())

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

  // MARK: Pieces

  func beginWriter() { spare.withLock { $0.writerCount += 1 } }

  /// With the last writer the memory goes, which a storage may outlive by days.
  func endWriter() {
    spare.withLock { spare in
      spare.writerCount -= 1
      if spare.writerCount == 0 { spare.pieces = [] }
    }
  }

  /// One that was written already, if there is any: a new one's memory has to be fetched first.
  func takePiece() -> WritePiece { spare.withLock { $0.pieces.popLast() } ?? WritePiece() }

  func giveBack(_ piece: WritePiece) {
    spare.withLock { spare in
      if spare.writerCount > 0 { spare.pieces.append(piece) }
    }
  }
}

/// What one write takes. Belongs to one thread at a time: to a writer's, or to the one that writes
/// it.
final class WritePiece: Sendable {
  static let byteCount = 1 << 20

  private let buffer = Buffer(capacity: byteCount)

  var bytes: UnsafeMutableRawBufferPointer { buffer.bytes }
}
