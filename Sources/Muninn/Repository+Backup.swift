internal import MuninnDisk
internal import MuninnFormat
internal import MuninnPipeline
internal import MuninnStore
internal import Synchronization

extension Repository {
  /// Backs up a tree, or a stream. Paths that cannot be read are in the report; everything else is
  /// stored.
  ///
  /// Throws `notFound` where none of the paths is there, `noSpace` and `inputOutput` for the
  /// repository's disk, `inputOutput` where the command before it failed, `cancelled`. Whatever it
  /// throws, no complete snapshot was made; of a partial one the error has the id.
  public func backup(
    _ request: BackupRequest, progress: ProgressHandler? = nil
  ) async throws(MuninnError) -> BackupReport {
    try await onOperationThread { [self] (cancellation) throws(MuninnError) in
      try checkSpace(request)
      let commands = BackupCommands(request, location: location, cancellation: cancellation)
      try commands.runBefore()
      var report: BackupReport
      do throws(MuninnError) {
        report = try backUp(request, progress, cancellation)
      } catch {
        _ = commands.runAfter(nil)
        throw error
      }
      report.afterProblem = commands.runAfter(report)
      return report
    }
  }

  /// What a backup of `request` would find: how many files are new, changed and unchanged, and how
  /// many bytes it would read. Opens no file and writes nothing.
  public func preview(
    _ request: BackupRequest, progress: ProgressHandler? = nil
  ) async throws(MuninnError) -> PreviewReport {
    guard request.stream == nil else {
      throw MuninnError(.invalidInput, "a stream cannot be looked at without reading it")
    }
    return try await onOperationThread { [self] (cancellation) throws(MuninnError) in
      let started = Machine.monotonicNanoseconds()
      let counters = ProgressCounters()
      let reporter = ProgressReporter(counters, progress)
      defer { reporter?.finish() }
      let prepared = try prepare(request, counters)
      let outcome = try asMuninn(pipeline: { () throws(PipelineError) in
        try BackupPreview(
          store: store, options: prepared.options, progress: counters, cancellation: cancellation
        ).run()
      })
      return PreviewReport(
        parent: prepared.options.parent?.id.description,
        statistics: BackupStatistics(outcome.counts),
        seconds: Double(Machine.monotonicNanoseconds() - started) / 1e9,
        problems: outcome.failures.map { PathProblem($0) })
    }
  }

  /// A backup as a stream of its progress, with its report at the end. Whoever stops listening
  /// cancels it. Throws as `backup` does.
  public func backupEvents(
    _ request: BackupRequest
  ) -> AsyncThrowingStream<BackupEvent, any Error> {
    AsyncThrowingStream { continuation in
      let task = Task {
        do {
          let report = try await backup(request) { continuation.yield(.progress($0)) }
          continuation.yield(.done(report))
          continuation.finish()
        } catch {
          continuation.finish(throwing: error)
        }
      }
      continuation.onTermination = { _ in task.cancel() }
    }
  }

  private func backUp(
    _ request: BackupRequest, _ progress: ProgressHandler?, _ cancellation: Cancellation
  ) throws(MuninnError) -> BackupReport {
    let started = Machine.monotonicNanoseconds()
    let counters = ProgressCounters()
    let reporter = ProgressReporter(counters, progress)
    defer { reporter?.finish() }
    let prepared = try prepare(request, counters)
    let before = (
      conflicts: store.contention.conflicts, nanoseconds: store.contention.waitedNanoseconds
    )
    let outcome = try asMuninn(pipeline: { () throws(PipelineError) in
      try BackupPipeline(
        store: store, options: prepared.options, progress: counters, cancellation: cancellation
      ).run { record in
        record.paths = prepared.paths
        record.host = Array(Machine.hostName().utf8)
        record.user = Array(Machine.userName().utf8)
        record.programVersion = Array(muninnVersion.utf8)
        record.tags = request.tags.map { Array($0.utf8) }
        record.fileSystem = prepared.fileSystem
        record.fileSystemName = Array((request.fileSystemName ?? "").utf8)
        record.document = Array((request.document ?? "").utf8)
      }
    })
    _ = try? readJournal()
    state.keep(outcome.usage, of: outcome.snapshot, in: store)
    var report = BackupReport(
      snapshot: Snapshot(outcome.snapshot),
      seconds: Double(Machine.monotonicNanoseconds() - started) / 1e9,
      problems: outcome.failures.map { PathProblem($0) },
      differing: outcome.differing.first.map { PathProblem($0) },
      differingCount: outcome.differing.count,
      unstable: outcome.unstable.first.map { PathProblem($0) },
      unstableCount: outcome.unstable.count, refusedDuplicates: outcome.refusedDuplicates)
    report.conflicts = store.contention.conflicts - before.conflicts
    report.secondsWaited = Double(store.contention.waitedNanoseconds - before.nanoseconds) / 1e9
    report.continued = prepared.options.partials.map(\.id.description)
    report.bytesRewritten = outcome.rewritten.bytes
    report.fragmentation = FragmentationReport(outcome.fragmentation)
    return report
  }

  private struct Prepared {
    var options: BackupOptions
    /// What the snapshot's record names.
    let paths: [[UInt8]]
    let fileSystem: Identifier?
  }

  private func prepare(
    _ request: BackupRequest, _ counters: ProgressCounters
  ) throws(MuninnError) -> Prepared {
    let journal = try currentJournal()
    let sources = request.paths.map { pathBytes(display: $0) }
    let listed = request.listedPaths.map { pathBytes(display: $0) }
    let stream = try request.streamSource()
    var paths = sources
    if !listed.isEmpty { paths.append(pathBytes(display: request.listName)) }
    if let stream { paths = [[0x2F] + stream.path] }
    let fileSystem = try identifier(request.fileSystemID)
    let isTree = sources.count == 1 && listed.isEmpty && stream == nil
    var options = BackupOptions(
      sources: sources, threads: Engine.workers(request.threads))
    options.listedSources = listed
    options.stream = stream
    options.isFull = request.isFull
    options.rules = try request.walkRules()
    try request.applyControls(to: &options)
    let catalogue =
      isTree
      ? state.identityCatalogue(root: sources[0], indexDirectory: request.indexDirectory) : nil
    let own = earlier(in: journal, sources: paths, fileSystem: fileSystem)
    options.partials = own.filter(\.isPartial).reversed()
    options.parent = parent(
      in: journal, own: own.last { !$0.isPartial }, catalogue: catalogue)
    options.identityCatalogue = catalogue
    options.partialNanoseconds = request.partialInterval.map {
      Int64(min(max($0, 0), 1e9) * 1e9)
    }
    if let parent = options.parent {
      options.parentUsage = state.needs(of: parent, in: store)
      counters.entriesTotal.store(parent.counts.entries, ordering: .relaxed)
      counters.bytesTotal.store(parent.counts.bytes, ordering: .relaxed)
    }
    return Prepared(options: options, paths: paths, fileSystem: fileSystem)
  }

  /// A disk that is all but full is refused before hours of reading.
  private func checkSpace(_ request: BackupRequest) throws(MuninnError) {
    guard let free = try? FileCalls.freeBytes(location), free < request.minimumFreeBytes else {
      return
    }
    throw MuninnError(
      .noSpace,
      "no space to begin a backup: the disk of \(location) has \(free) bytes left, and at least "
        + "\(request.minimumFreeBytes) are asked for. Make room, or ask for less with --min-free",
      path: location)
  }

  private func identifier(_ text: String?) throws(MuninnError) -> Identifier? {
    guard let text else { return nil }
    guard let id = Identifier(hex: text.filter { $0 != "-" }.lowercased()) else {
      throw MuninnError(.invalidInput, "the file system id '\(text)' is not 32 hexadecimal digits")
    }
    return id
  }

  /// The snapshots of the same file system, or of the same host and paths, oldest first.
  private func earlier(
    in journal: JournalState, sources: [[UInt8]], fileSystem: Identifier?
  ) -> [SnapshotRecord] {
    let host = Array(Machine.hostName().utf8)
    return journal.snapshots.filter { record in
      if let fileSystem { return record.fileSystem == fileSystem }
      return record.fileSystem == nil && record.host == host && record.paths == sources
    }
  }

  /// The newest complete snapshot of the same source; but the one that this tree was restored from
  /// where that happened later.
  private func parent(
    in journal: JournalState, own: SnapshotRecord?, catalogue: String?
  ) -> SnapshotRecord? {
    guard let catalogue, let origin = try? IdentityCatalogue.origin(path: catalogue),
      let restored = journal.snapshot(origin.snapshot),
      own.map({ origin.writtenNanoseconds > $0.completedNanoseconds }) ?? true
    else { return own }
    return restored
  }
}

extension PathProblem {
  init(_ failure: PathFailure) {
    self.init(
      path: failure.path.isEmpty ? "." : displayPath(failure.path), message: failure.message)
  }
}
