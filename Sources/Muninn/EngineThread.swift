internal import MuninnDisk
internal import MuninnFormat
internal import MuninnPipeline
internal import MuninnStore
internal import Synchronization

/// Runs blocking work on a thread of its own, so that it never holds one of Swift's cooperative
/// pool.
///
/// Cancelling the task sets the `Cancellation` that `body` is given. The thread is nicer than the
/// caller by `niceness`.
func onEngineThread<R: Sendable>(
  niceness: Int = 0, _ body: @escaping @Sendable (Cancellation) throws(MuninnError) -> R
) async throws(MuninnError) -> R {
  let cancellation = Cancellation()
  let result: Result<R, MuninnError> = await withTaskCancellationHandler {
    await withCheckedContinuation { continuation in
      _ = WorkerThread.start(name: "muninn-engine", niceness: niceness) {
        do throws(MuninnError) {
          continuation.resume(returning: .success(try body(cancellation)))
        } catch {
          continuation.resume(returning: .failure(error))
        }
      }
    }
  } onCancel: {
    cancellation.cancel()
  }
  return try result.get()
}

/// The same for an operation that takes its time: it shares the machine as `Engine` says.
func onOperationThread<R: Sendable>(
  _ body: @escaping @Sendable (Cancellation) throws(MuninnError) -> R
) async throws(MuninnError) -> R {
  try await onEngineThread(niceness: Engine.niceness) { (cancellation) throws(MuninnError) in
    Engine.enter()
    defer { Engine.leave() }
    return try body(cancellation)
  }
}

/// Hands counters to a progress handler ten times a second, from a thread of its own, and once more
/// at the end.
final class ProgressReporter: Sendable {
  private let counters: ProgressCounters
  private let handler: ProgressHandler
  private let started = Machine.monotonicNanoseconds()
  private let isDone = Monitor(false)
  private let thread = Monitor<WorkerThread?>(nil)
  private let recent = Monitor(RecentRate())

  init?(_ counters: ProgressCounters, _ handler: ProgressHandler?) {
    guard let handler else { return nil }
    self.counters = counters
    self.handler = handler
    thread.withLock {
      $0 = WorkerThread.start(name: "muninn-report") { [self] in
        while !isDone.wait(nanoseconds: 100_000_000, until: { $0 }) { handler(current) }
      }
    }
  }

  private var current: Progress {
    var progress = Progress()
    progress.phase = Progress.Phase(counters.phase)
    progress.filesDone = counters.entries.load(ordering: .relaxed)
    progress.bytesDone = counters.bytes.load(ordering: .relaxed)
    let entriesTotal = counters.entriesTotal.load(ordering: .relaxed)
    let bytesTotal = counters.bytesTotal.load(ordering: .relaxed)
    progress.filesTotal = entriesTotal == 0 ? nil : max(entriesTotal, progress.filesDone)
    progress.bytesTotal = bytesTotal == 0 ? nil : max(bytesTotal, progress.bytesDone)
    progress.bytesStored = counters.bytesStored.load(ordering: .relaxed)
    progress.chunksNew = counters.chunksNew.load(ordering: .relaxed)
    progress.chunksDuplicate = counters.chunksDuplicate.load(ordering: .relaxed)
    progress.secondsElapsed = Double(Machine.monotonicNanoseconds() - started) / 1e9
    if progress.secondsElapsed > 0 {
      progress.bytesPerSecond = Double(progress.bytesDone) / progress.secondsElapsed
    }
    let now = (
      progress.secondsElapsed, Double(progress.bytesDone), Double(progress.filesDone)
    )
    (progress.recentBytesPerSecond, progress.recentFilesPerSecond) = recent.withLock {
      $0.add(seconds: now.0, bytes: now.1, files: now.2)
    }
    let failures = counters.takeFailures()
    progress.problemCount = failures.count
    progress.newProblems = failures.new.map { PathProblem($0) }
    progress.partialSnapshot = counters.partialSnapshot?.description
    progress.currentPath = displayPath(counters.currentPath)
    return progress
  }

  /// Stops reporting after one last report.
  func finish() {
    isDone.update { $0 = true }
    thread.withLock { $0.take() }?.join()
    handler(current)
  }
}

/// Rates over the last seconds: an exponential average of what came between two reports.
private struct RecentRate {
  private static let memorySeconds = 8.0

  private var seconds = 0.0
  private var bytes = 0.0
  private var files = 0.0
  private var rates = (bytes: 0.0, files: 0.0)

  mutating func add(
    seconds now: Double, bytes newBytes: Double, files newFiles: Double
  ) -> (bytes: Double, files: Double) {
    let step = now - seconds
    guard step > 0.01 else { return rates }
    // The first seconds are an average of what there is.
    let weight = min(1, step / min(RecentRate.memorySeconds, now))
    rates.bytes += weight * (max(0, newBytes - bytes) / step - rates.bytes)
    rates.files += weight * (max(0, newFiles - files) / step - rates.files)
    (seconds, bytes, files) = (now, newBytes, newFiles)
    return rates
  }
}

extension Progress.Phase {
  init(_ phase: ProgressCounters.Phase) {
    switch phase {
    case .starting: self = .starting
    case .scanning: self = .scanning
    case .reading: self = .reading
    case .committing: self = .committing
    case .planning: self = .planning
    case .restoring: self = .restoring
    case .metadata: self = .metadata
    case .checking: self = .checking
    case .collecting: self = .collecting
    case .rewriting: self = .rewriting
    case .done: self = .done
    }
  }
}
