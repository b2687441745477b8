internal import MuninnDisk
internal import MuninnFormat
internal import MuninnPipeline
internal import MuninnStore

extension Repository {
  /// Calls `body` with each entry of a snapshot at or below `path`, in path order, on a thread of
  /// the engine. `body` returns false to stop. Without recursion, a directory shows its own entries
  /// alone.
  ///
  /// Throws `notFound` for an unknown snapshot or path.
  public func list(
    _ selector: SnapshotSelector, path: String? = nil, isRecursive: Bool = true,
    _ body: @escaping @Sendable (Entry) -> Bool
  ) async throws(MuninnError) {
    try await onEngineThread { [self] (cancellation) throws(MuninnError) in
      let journal = try currentJournal()
      let snapshot = try select(selector, in: journal)
      let wanted = pathBytes(display: path ?? "").split(separator: 0x2F).joined(separator: [0x2F])
      let listing = SnapshotListing(
        store: store, root: snapshot.root, path: Array(wanted), isRecursive: isRecursive)
      let isFound = try asMuninn(store: { () throws(StoreError) in
        try listing.run { !cancellation.isCancelled && body(Entry($0)) }
      })
      if cancellation.isCancelled { throw MuninnError(.cancelled, "the listing was cancelled") }
      guard isFound else {
        throw MuninnError(
          .notFound, "snapshot \(snapshot.id.description.prefix(8)) holds no path '\(path ?? "")'",
          path: path)
      }
    }
  }

  /// How a snapshot's content lies in the repository, and what a restore would read. Plans a
  /// restore over the manifest and the containers' directories; reads no content.
  ///
  /// Throws `notFound` for an unknown snapshot, `damaged` where some of it cannot be found.
  public func fragmentation(
    of selector: SnapshotSelector = .latest()
  ) async throws(MuninnError) -> FragmentationReport {
    try await onEngineThread { [self] (cancellation) throws(MuninnError) in
      let (registration, journal) = try beginReading(.restore)
      defer { registration?.end() }
      let snapshot = try select(selector, in: journal)
      let outcome = try asMuninn(pipeline: { () throws(PipelineError) in
        try LayoutSurvey(store: store, cancellation: cancellation)
          .run(snapshot.root, journal: journal)
      })
      if let failure = outcome.failures.first {
        let path = displayPath(failure.path)
        throw MuninnError(
          .damaged, "the layout of '\(path)' is not known: \(failure.message)", path: path)
      }
      return FragmentationReport(outcome.fragmentation)
    }
  }

  public func statistics() async throws(MuninnError) -> RepositoryStatistics {
    try await onEngineThread { [self] (_) throws(MuninnError) in
      let journal = try currentJournal()
      let containers = journal.containers.values
      return RepositoryStatistics(
        repositoryID: id, formatVersion: UInt32(formatVersion),
        isEncrypted: store.header.suite != .none, snapshots: UInt64(journal.snapshots.count),
        containers: UInt64(containers.count),
        chunks: containers.reduce(0) { $0 + UInt64($1.chunkCount) },
        uniqueBytes: containers.reduce(0) { $0 + $1.rawByteCount },
        containerBytes: containers.reduce(0) { $0 + $1.byteCount },
        segmentBytes: journal.segments.values.reduce(0) { $0 + $1.byteCount },
        journalRecords: journal.head, journalBytes: journal.byteCount,
        logicalBytes: journal.snapshots.reduce(0) { $0 + $1.counts.bytes })
    }
  }
}
