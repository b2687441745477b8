internal import MuninnDisk
internal import MuninnFormat
internal import MuninnStore
internal import Synchronization

/// What the stages of one backup have in common.
final class BackupShared: Sendable {
  let store: Store
  let session: WriteSession
  let options: BackupOptions
  let manifest: ManifestChunks
  let pool: WorkPool
  let assemble = AssembleStage()
  let counters: ProgressCounters
  let cancellation: Cancellation
  let bytesRead = Atomic<UInt64>(0)
  let bytesNew = Atomic<UInt64>(0)

  private struct Failures {
    var first: PipelineError?
    var paths: [PathFailure] = []
    var pathCount: UInt64 = 0
  }

  static let maximumReportedFailures = 1000
  private let failures = Monitor(Failures())

  init(
    store: Store, session: WriteSession, options: BackupOptions, counters: ProgressCounters,
    cancellation: Cancellation
  ) {
    self.store = store
    self.session = session
    self.options = options
    self.counters = counters
    self.cancellation = cancellation
    manifest = ManifestChunks(session: session, identifying: store.identifying)
    pool = WorkPool(threads: options.threads)
  }

  /// Notes a path that could not be read; the backup goes on.
  func fail(_ failure: PathFailure) {
    failures.withLock { state in
      state.pathCount += 1
      if state.paths.count < BackupShared.maximumReportedFailures { state.paths.append(failure) }
    }
  }

  var pathFailures: (first: [PathFailure], count: UInt64) {
    failures.withLock { state in
      (state.paths.sorted { pathPrecedes($0.path, $1.path) }, state.pathCount)
    }
  }

  /// Ends the backup: the first error wins, and every stage returns as soon as it looks.
  @discardableResult
  func stop(_ error: PipelineError) -> PipelineError {
    let first = failures.withLock { state -> PipelineError in
      let first = state.first ?? error
      state.first = first
      return first
    }
    pool.cancel()
    assemble.cancel()
    return first
  }

  func stop(_ error: StoreError) -> PipelineError { stop(PipelineError(error)) }

  /// The error that ended the backup, if any did.
  var storeFailure: PipelineError? { failures.withLock { $0.first } }
}
