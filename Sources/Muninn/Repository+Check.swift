internal import MuninnDisk
internal import MuninnFormat
internal import MuninnPipeline
internal import MuninnStore

extension Repository {
  /// Verifies the structure of the repository, and of its data as much as the options say.
  ///
  /// What is damaged is in the report. An interrupted reading of the data goes on where it ended
  /// when the same is asked for again. Throws `invalidInput` for a fraction that is none,
  /// `cancelled`.
  public func check(
    _ options: CheckOptions = CheckOptions(), progress: ProgressHandler? = nil
  ) async throws(MuninnError) -> CheckReport {
    try await onOperationThread { [self] (cancellation) throws(MuninnError) in
      let started = Machine.monotonicNanoseconds()
      let counters = ProgressCounters()
      let reporter = ProgressReporter(counters, progress)
      defer { reporter?.finish() }
      let data = try checkData(options)
      let registration = try beginReading(.check).registration
      defer { registration?.end() }
      let outcome = try asMuninn(pipeline: { () throws(PipelineError) in
        try CheckPipeline(
          store: store, data: data, ledger: state.ledger(of: store),
          startsOver: options.startsOver, threads: Engine.workers(options.threads),
          progress: counters, cancellation: cancellation
        ).run()
      })
      return CheckReport(
        snapshots: outcome.snapshots, containers: outcome.containers, chunks: outcome.chunks,
        containersRead: outcome.containersRead, bytesRead: outcome.bytesRead,
        seconds: Double(Machine.monotonicNanoseconds() - started) / 1e9,
        isResumed: outcome.isResumed,
        problems: outcome.problems.map { PathProblem(path: $0.place, message: $0.message) },
        affected: outcome.affected.map { AffectedPath($0) },
        knownLosses: outcome.knownLosses.map { AffectedPath($0) },
        containerBytes: outcome.totalByteCount, verifiedBytes: outcome.verifiedByteCount,
        oldestVerification: outcome.oldestNanoseconds.map { Double($0) / 1e9 })
    }
  }

  private func checkData(_ options: CheckOptions) throws(MuninnError) -> CheckData {
    if options.budgetSeconds != nil || options.budgetBytes != nil {
      let seconds = options.budgetSeconds.map { min(max($0, 0), 1e9) }
      return .budget(nanoseconds: seconds.map { UInt64($0 * 1e9) }, bytes: options.budgetBytes)
    }
    guard options.readData else { return .none }
    guard options.fraction > 0, options.fraction <= 1 else {
      throw MuninnError(
        .invalidInput, "a fraction of \(options.fraction): it must be above 0, and 1 at most")
    }
    return options.fraction == 1 ? .all : .sample(fraction: options.fraction)
  }

  /// Makes a damaged repository whole as far as its bytes allow: index and directories from what is
  /// there, readable blocks into new containers, and what cannot be had marked in snapshots that
  /// stand for the damaged ones. Damaged objects are moved aside inside the repository, never
  /// deleted.
  ///
  /// Nothing else may write to the repository meanwhile. Throws `damaged` where another repair was
  /// first, `noSpace`, `inputOutput`, `cancelled`; the repository is then as it was.
  public func repair(
    _ request: RepairRequest = RepairRequest(), progress: ProgressHandler? = nil
  ) async throws(MuninnError) -> RepairReport {
    try await onOperationThread { [self] (cancellation) throws(MuninnError) in
      let started = Machine.monotonicNanoseconds()
      let counters = ProgressCounters()
      let reporter = ProgressReporter(counters, progress)
      defer { reporter?.finish() }
      var options = RepairOptions(threads: Engine.workers(request.threads))
      options.isDryRun = request.isDryRun
      options.readData = request.readData
      options.suspects = state.ledger(of: store).ledger.damaged
      let outcome = try asMuninn(pipeline: { () throws(PipelineError) in
        try RepairPipeline(
          store: store, options: options, progress: counters, cancellation: cancellation
        ).run()
      })
      if !request.isDryRun {
        // A record that was given up is another one than this machine has seen.
        try asMuninn(store: { () throws(StoreError) in
          try state.notice(try store.loadJournal(), of: store, acceptsRollback: true)
        })
      }
      return RepairReport(
        isDryRun: request.isDryRun,
        seconds: Double(Machine.monotonicNanoseconds() - started) / 1e9,
        steps: outcome.steps.map { PathProblem(path: $0.place, message: $0.message) },
        repaired: outcome.repaired.map {
          RepairedSnapshot(
            original: $0.original.description, snapshot: $0.snapshot?.description,
            lostPaths: $0.lostPaths, healedPaths: $0.healedPaths)
        },
        lost: outcome.lost.map { AffectedPath($0) },
        unrepaired: outcome.unrepaired.map { PathProblem(path: $0.place, message: $0.message) },
        chunksSalvaged: outcome.chunksSalvaged, bytesRead: outcome.bytesRead,
        folder: outcome.folder.map { ObjectName.damagedPrefix + $0 },
        abandonedFilesRemoved: outcome.abandonedFiles)
    }
  }
}

extension AffectedPath {
  init(_ affected: MuninnPipeline.AffectedPath) {
    self.init(
      snapshot: affected.snapshot.description, path: displayPath(affected.path),
      message: affected.message)
  }
}
