internal import Glibc
internal import MuninnDisk
internal import MuninnFormat
internal import MuninnPipeline
internal import MuninnStore
internal import Synchronization

extension Repository {
  /// Restores a snapshot, or some paths of it, into a directory that is absent or empty.
  ///
  /// Paths that cannot be restored are in the report; everything else is. Throws `notFound` for an
  /// unknown snapshot, `invalidInput` for a target that is not empty, `noSpace`, `inputOutput`,
  /// `cancelled`.
  public func restore(
    _ request: RestoreRequest, progress: ProgressHandler? = nil
  ) async throws(MuninnError) -> RestoreReport {
    try await onEngineThread { [self] (cancellation) throws(MuninnError) in
      let started = Machine.monotonicNanoseconds()
      let counters = ProgressCounters()
      let reporter = ProgressReporter(counters, progress)
      defer { reporter?.finish() }
      let (registration, journal) = try beginReading(.restore)
      defer { registration?.end() }
      let snapshot = try select(request.snapshot, in: journal)
      let target = pathBytes(display: request.target)
      guard target.first == 0x2F else {
        throw MuninnError(.invalidInput, "the target '\(request.target)' is not an absolute path")
      }
      var options = RestoreOptions(
        root: snapshot.root, entryCount: snapshot.counts.entries,
        byteCount: snapshot.counts.bytes, target: target,
        threads: max(1, request.threads ?? Machine.coreCount))
      options.paths = request.paths.map { pathBytes(display: $0) }
      options.defragment = request.defragment
      options.countsExtents = request.countsExtents || request.defragment
      options.source = source(of: snapshot)
      counters.entriesTotal.store(snapshot.counts.entries, ordering: .relaxed)
      counters.bytesTotal.store(snapshot.counts.bytes, ordering: .relaxed)
      let catalogue = state.identityCatalogue(
        root: target, indexDirectory: request.indexDirectory)
      // Where this cannot be made the restore says what it costs, once it comes to writing there.
      if let slash = catalogue.lastIndex(of: "/") {
        _ = try? LocalStorage(path: String(catalogue[..<slash]), create: true)
      }
      options.identityCatalogue =
        options.paths.isEmpty
        ? CatalogueDestination(path: catalogue, snapshot: snapshot.id) : nil
      let outcome = try asMuninn(pipeline: { () throws(PipelineError) in
        try RestorePipeline(
          store: store, options: options, progress: counters, cancellation: cancellation
        ).run()
      })
      return RestoreReport(
        snapshot: snapshot.id.description,
        seconds: Double(Machine.monotonicNanoseconds() - started) / 1e9,
        entries: outcome.entries, files: outcome.files, bytes: outcome.bytes,
        containersRead: outcome.containersRead, containerBytesRead: outcome.containerBytesRead,
        extents: outcome.extents.map { ExtentStatistics($0) },
        sourceExtents: outcome.sourceExtents.map { ExtentStatistics($0) },
        problems: outcome.failures.map { PathProblem($0) }, problemCount: outcome.failureCount)
    }
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
