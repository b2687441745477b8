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
  /// Nil where duplicates are taken at their word.
  let proof: DuplicateProof?
  let pool: WorkPool
  let assemble = AssembleStage()
  let usage: UsageCounter
  let rewriting: Rewriting
  let counters: ProgressCounters
  let cancellation: Cancellation
  let limits: ReadLimits
  let bytesRead = Atomic<UInt64>(0)
  let bytesNew = Atomic<UInt64>(0)

  private struct Failures {
    var first: PipelineError?
    var paths = PathReports()
    var differing = PathReports()
    var unstable = PathReports()
  }

  /// The first of many, and how many there are.
  private struct PathReports {
    var first: [PathFailure] = []
    var count: UInt64 = 0

    mutating func add(_ failure: PathFailure) {
      count += 1
      if first.count < BackupShared.maximumReportedFailures { first.append(failure) }
    }

    var sorted: (first: [PathFailure], count: UInt64) {
      (first.sorted { pathPrecedes($0.path, $1.path) }, count)
    }
  }

  private struct Partials {
    /// The newest one of this backup.
    var committed: Identifier?
    /// Where the walk has passed the end of earlier ones, in entries.
    var passed: [(id: Identifier, entries: UInt64)] = []
  }

  private let partials = Monitor(Partials())

  static let maximumReportedFailures = 1000
  private let failures = Monitor(Failures())

  init(
    store: Store, session: WriteSession, options: BackupOptions, counters: ProgressCounters,
    cancellation: Cancellation
  ) {
    self.store = store
    self.session = session
    var options = options
    // What is written again counts by its fingerprint and tag, and here these count for nothing.
    if options.verifiesDuplicates { options.rewriteLimit = 0 }
    self.options = options
    self.counters = counters
    self.cancellation = cancellation
    usage = UsageCounter(parent: options.parentUsage)
    rewriting = Rewriting(options, journal: session.journal)
    let proof = options.verifiesDuplicates ? DuplicateProof(store, session) : nil
    self.proof = proof
    manifest = ManifestChunks(session: session, identifying: store.identifying, proof: proof)
    limits = ReadLimits(options, cancellation: cancellation)
    pool = WorkPool(
      threads: options.threads, readers: options.readers ?? options.threads)
  }

  /// Notes a path that could not be read; the backup goes on.
  func fail(_ failure: PathFailure) {
    failures.withLock { $0.paths.add(failure) }
    counters.note(failure)
  }

  /// Notes a file that is not what the parent has, although its metadata says so.
  func differs(_ path: [UInt8], _ message: String) {
    failures.withLock { $0.differing.add(PathFailure(path: path, message: message)) }
  }

  /// Notes a file that was changing each time it was read.
  func changes(_ path: [UInt8]) {
    let message = "was changing each time it was read: its content is of no one moment"
    failures.withLock { $0.unstable.add(PathFailure(path: path, message: message)) }
  }

  var pathFailures: (first: [PathFailure], count: UInt64) {
    failures.withLock { $0.paths.sorted }
  }

  var differing: (first: [PathFailure], count: UInt64) {
    failures.withLock { $0.differing.sorted }
  }

  var unstable: (first: [PathFailure], count: UInt64) {
    failures.withLock { $0.unstable.sorted }
  }

  // MARK: Partial snapshots

  /// This backup's newest partial snapshot.
  var committedPartial: Identifier? { partials.withLock { $0.committed } }

  func noteCommitted(_ partial: Identifier) {
    partials.withLock { $0.committed = partial }
    counters.setPartial(partial)
  }

  /// The walk has passed the end of an earlier partial snapshot with so many entries.
  func notePassed(_ partial: Identifier, entries: UInt64) {
    partials.withLock { $0.passed.append((partial, entries)) }
  }

  /// The earlier partial snapshots that a manifest of so many entries reaches beyond.
  func passedPartials(at entries: UInt64) -> [Identifier] {
    partials.withLock { $0.passed.filter { $0.entries <= entries }.map(\.id) }
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
    proof?.cancel()
    return first
  }

  func stop(_ error: StoreError) -> PipelineError { stop(PipelineError(error)) }

  /// The error that ended the backup, if any did.
  var storeFailure: PipelineError? { failures.withLock { $0.first } }
}
