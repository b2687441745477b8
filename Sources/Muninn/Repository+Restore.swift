internal import Glibc
internal import MuninnDisk
internal import MuninnFormat
internal import MuninnPipeline
internal import MuninnStore
internal import Synchronization

extension Repository {
  /// Restores a snapshot, or some paths of it.
  ///
  /// A restore that was interrupted, in whatever way, goes on where it was when the same request is
  /// made again; see `RestoreReport.isResumed`.
  ///
  /// Paths that cannot be restored are in the report; everything else is. Throws `notFound` for an
  /// unknown snapshot, `invalidInput` for a target that is not empty where `overwrite` does not say
  /// what becomes of that, or that holds an unfinished restore of another snapshot, `busy` where a
  /// restore to it is running, `noSpace`, `inputOutput`, `cancelled`.
  public func restore(
    _ request: RestoreRequest, progress: ProgressHandler? = nil
  ) async throws(MuninnError) -> RestoreReport {
    try await onOperationThread { [self] (cancellation) throws(MuninnError) in
      let started = Machine.monotonicNanoseconds()
      let counters = ProgressCounters()
      let reporter = ProgressReporter(counters, progress)
      defer { reporter?.finish() }
      let (registration, journal) = try beginReading(.restore)
      defer { registration?.end() }
      let snapshot = try select(request.snapshot, in: journal)
      var options = try options(of: request, snapshot)
      counters.entriesTotal.store(snapshot.counts.entries, ordering: .relaxed)
      counters.bytesTotal.store(snapshot.counts.bytes, ordering: .relaxed)
      let catalogue = state.identityCatalogue(
        root: options.target, indexDirectory: request.indexDirectory)
      // Where this cannot be made the restore says what it costs, once it comes to writing there.
      if let slash = catalogue.lastIndex(of: "/") {
        _ = try? LocalStorage(path: String(catalogue[..<slash]), create: true)
      }
      let isWhole = request.paths.isEmpty && request.includes.isEmpty && request.excludes.isEmpty
      options.identityCatalogue =
        isWhole ? CatalogueDestination(path: catalogue, snapshot: snapshot.id) : nil
      options.journal = try restoreJournal(request, snapshot, target: options.target)
      let outcome = try asMuninn(pipeline: { () throws(PipelineError) in
        try RestorePipeline(
          store: store, options: options, progress: counters, cancellation: cancellation
        ).run()
      })
      return RestoreReport(
        outcome, snapshot: snapshot.id.description,
        seconds: Double(Machine.monotonicNanoseconds() - started) / 1e9)
    }
  }

  /// Calls `body` with each path and what a restore would do to it, on a thread of the engine, and
  /// changes nothing. `body` returns false to stop. Throws as `restore` does.
  public func planRestore(
    _ request: RestoreRequest,
    _ body: @escaping @Sendable (_ path: String, Entry?, RestoreChange) -> Bool
  ) async throws(MuninnError) -> [PathProblem] {
    try await onOperationThread { [self] (cancellation) throws(MuninnError) in
      let journal = try currentJournal()
      let snapshot = try select(request.snapshot, in: journal)
      var options = try options(of: request, snapshot)
      options.journal = try restoreJournal(request, snapshot, target: options.target)
      let failures = try asMuninn(pipeline: { () throws(PipelineError) in
        try DryRun(store: store, options: options).run { path, entry, change in
          !cancellation.isCancelled
            && body(displayPath(path), entry.map { Entry($0) }, RestoreChange(change))
        }
      })
      if cancellation.isCancelled { throw MuninnError(.cancelled, "the plan was cancelled") }
      return failures.map { PathProblem($0) }
    }
  }

  private func options(
    of request: RestoreRequest, _ snapshot: SnapshotRecord
  ) throws(MuninnError) -> RestoreOptions {
    let target = pathBytes(display: request.target)
    guard target.first == 0x2F else {
      throw MuninnError(.invalidInput, "the target '\(request.target)' is not an absolute path")
    }
    guard !request.deletesOthers || request.overwrite != nil else {
      throw MuninnError(
        .invalidInput, "deleting what the snapshot does not have needs an overwrite policy")
    }
    var options = RestoreOptions(
      root: snapshot.root, entryCount: snapshot.counts.entries, byteCount: snapshot.counts.bytes,
      target: target, threads: Engine.workers(request.threads))
    options.paths = request.paths.map { pathBytes(display: $0) }
    options.includes = request.includes
    options.excludes = request.excludes
    options.overwrite =
      switch request.overwrite {
      case nil: nil
      case .never: .never
      case .changed: .changed
      case .always: .always
      }
    options.deletesOthers = request.deletesOthers
    options.updatesInPlace = request.updatesInPlace
    options.makesDevices = request.makesDevices
    options.verifies = request.verifies
    options.syncs = request.syncs
    options.bytesPerSecond = request.bytesPerSecond
    options.defragment = request.defragment
    options.countsExtents = request.countsExtents || request.defragment
    options.source = source(of: snapshot)
    options.keepsPartialFiles = request.keepsPartialFiles
    return options
  }

  private func restoreJournal(
    _ request: RestoreRequest, _ snapshot: SnapshotRecord, target: [UInt8]
  ) throws(MuninnError) -> RestoreJournal {
    try asMuninn(pipeline: { () throws(PipelineError) in
      try RestoreJournal(
        directory: request.journalDirectory ?? state.directory, repository: store.header.repository,
        snapshot: snapshot.id, target: target)
    })
  }

  /// The directory that was a snapshot's root, where it is one of this machine.
  private func source(of snapshot: SnapshotRecord) -> [UInt8]? {
    guard snapshot.host == Array(Machine.hostName().utf8), let first = snapshot.paths.first else {
      return nil
    }
    let isRoot = snapshot.paths.count == 1 && isDirectory(first)
    return isRoot ? first : [0x2F]
  }

  private func isDirectory(_ path: [UInt8]) -> Bool {
    let name = path.map { CChar(bitPattern: $0) } + [0]
    return (try? FileCalls.status(at: AT_FDCWD, name, path: ""))?.kind == .directory
  }
}

extension ExtentStatistics {
  init(_ counts: ExtentCounts) {
    self.init(
      files: counts.files, total: counts.total, median: counts.percentile(50),
      percentile99: counts.percentile(99), maximum: counts.maximum)
  }
}

extension RestoreChange {
  init(_ change: PlannedChange) {
    switch change {
    case .create: self = .create
    case .replace: self = .replace
    case .update: self = .update
    case .keep: self = .keep
    case .leave: self = .leave
    case .delete: self = .delete
    }
  }
}

extension RestoreReport {
  init(_ outcome: RestoreOutcome, snapshot: String, seconds: Double) {
    self.init(
      snapshot: snapshot, seconds: seconds, entries: outcome.entries, files: outcome.files,
      bytes: outcome.bytes, containersRead: outcome.containersRead,
      containerBytesRead: outcome.containerBytesRead,
      extents: outcome.extents.map { ExtentStatistics($0) },
      sourceExtents: outcome.sourceExtents.map { ExtentStatistics($0) },
      problems: outcome.failures.map { PathProblem($0) }, problemCount: outcome.failureCount)
    bytesWritten = outcome.bytesWritten
    bytesRewritten = outcome.bytesRewritten
    entriesKept = outcome.entriesKept
    entriesDeleted = outcome.entriesDeleted
    isResumed = outcome.isResumed
    filesVerified = outcome.filesVerified
  }
}
