internal import MuninnDisk
internal import MuninnFormat
internal import MuninnPipeline
internal import MuninnStore
internal import Synchronization

extension Repository {
  /// Backs up a tree. Paths that cannot be read are in the report; everything else is stored.
  ///
  /// Throws `notFound` where none of the paths is there, `noSpace` and `inputOutput` for the
  /// repository's disk, `cancelled`. Whatever it throws, no snapshot was made.
  public func backup(
    _ request: BackupRequest, progress: ProgressHandler? = nil
  ) async throws(MuninnError) -> BackupReport {
    try await onEngineThread { [self] (cancellation) throws(MuninnError) in
      let started = Machine.monotonicNanoseconds()
      let counters = ProgressCounters()
      let reporter = ProgressReporter(counters, progress)
      defer { reporter?.finish() }
      let journal = try currentJournal()
      let sources = request.paths.map { pathBytes(display: $0) }
      let fileSystem = try identifier(request.fileSystemID)
      var options = BackupOptions(
        sources: sources, threads: max(1, request.threads ?? Machine.coreCount))
      options.isFull = request.isFull
      options.excludes = request.excludes
      let catalogue =
        sources.count == 1
        ? state.identityCatalogue(root: sources[0], indexDirectory: request.indexDirectory) : nil
      options.parent = parent(
        in: journal, sources: sources, fileSystem: fileSystem, catalogue: catalogue)
      options.identityCatalogue = catalogue
      if let parent = options.parent {
        counters.entriesTotal.store(parent.counts.entries, ordering: .relaxed)
        counters.bytesTotal.store(parent.counts.bytes, ordering: .relaxed)
      }
      let outcome = try asMuninn(pipeline: { () throws(PipelineError) in
        try BackupPipeline(
          store: store, options: options, progress: counters, cancellation: cancellation
        ).run { record in
          record.host = Array(Machine.hostName().utf8)
          record.user = Array(Machine.userName().utf8)
          record.programVersion = Array(muninnVersion.utf8)
          record.tags = request.tags.map { Array($0.utf8) }
          record.fileSystem = fileSystem
          record.fileSystemName = Array((request.fileSystemName ?? "").utf8)
          record.document = Array((request.document ?? "").utf8)
        }
      })
      _ = try? readJournal()
      return BackupReport(
        snapshot: Snapshot(outcome.snapshot),
        seconds: Double(Machine.monotonicNanoseconds() - started) / 1e9,
        problems: outcome.failures.map { PathProblem($0) })
    }
  }

  private func identifier(_ text: String?) throws(MuninnError) -> Identifier? {
    guard let text else { return nil }
    guard let id = Identifier(hex: text.filter { $0 != "-" }.lowercased()) else {
      throw MuninnError(.invalidInput, "the file system id '\(text)' is not 32 hexadecimal digits")
    }
    return id
  }

  /// The newest snapshot of the same file system, or of the same host and paths; but the one that
  /// this tree was restored from where that happened later.
  private func parent(
    in journal: JournalState, sources: [[UInt8]], fileSystem: Identifier?, catalogue: String?
  ) -> SnapshotRecord? {
    let host = Array(Machine.hostName().utf8)
    let own = journal.snapshots.last { record in
      if let fileSystem { return record.fileSystem == fileSystem }
      return record.fileSystem == nil && record.host == host && record.paths == sources
    }
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
