internal import MuninnDisk
internal import MuninnFormat
internal import MuninnPipeline
internal import MuninnStore
internal import Synchronization

extension Repository {
  /// Hands the content of one file to `body`, piece by piece and in order, each piece verified, on
  /// a thread of the engine; holes come as zeros. `body` returns false to stop. Returns the number
  /// of bytes that were handed over.
  ///
  /// Throws `notFound` for an unknown snapshot or path, `invalidInput` for a path that is no
  /// regular file, `damaged` where a chunk is lost: what came before is good.
  public func read(
    _ selector: SnapshotSelector, path: String, _ body: @escaping @Sendable ([UInt8]) -> Bool
  ) async throws(MuninnError) -> UInt64 {
    try await onEngineThread { [self] (cancellation) throws(MuninnError) in
      let (registration, journal) = try beginReading(.restore)
      defer { registration?.end() }
      let snapshot = try select(selector, in: journal)
      let entry = try entry(at: path, of: snapshot)
      guard entry.kind == .file else {
        throw MuninnError(.invalidInput, "'\(path)' is a \(entry.kind), not a file", path: path)
      }
      var count: UInt64 = 0
      func hand(_ bytes: [UInt8]) -> Bool {
        count += UInt64(bytes.count)
        return !cancellation.isCancelled && body(bytes)
      }
      try asMuninn(store: { () throws(StoreError) in
        try ContentReader(store: store).read(entry.content) { piece in
          switch piece {
          case .bytes(let bytes): return hand(bytes)
          case .hole(var left):
            while left > 0 {
              let part = min(left, 1 << 18)
              guard hand([UInt8](repeating: 0, count: Int(part))) else { return false }
              left -= part
            }
            return true
          }
        }
      })
      if cancellation.isCancelled { throw MuninnError(.cancelled, "reading was cancelled") }
      return count
    }
  }

  private func entry(
    at path: String, of snapshot: SnapshotRecord
  ) throws(MuninnError) -> ManifestEntry {
    let wanted = Array(
      pathBytes(display: path).split(separator: 0x2F).joined(separator: [0x2F]))
    let listing = SnapshotListing(
      store: store, root: snapshot.root, path: wanted, isRecursive: false)
    var found: ManifestEntry?
    _ = try asMuninn(store: { () throws(StoreError) in
      try listing.run { entry in
        if entry.path == wanted { found = entry }
        return false
      }
    })
    guard let found else {
      throw MuninnError(
        .notFound, "snapshot \(snapshot.id.description.prefix(8)) holds no path '\(path)'",
        path: path)
    }
    return found
  }

  /// Hands a snapshot, or a part of one, to `body` as a tar archive (pax format), piece by piece,
  /// on a thread of the engine. Of the request the snapshot, the paths and the patterns count.
  /// `body` returns false to stop: then `cancelled` is thrown.
  ///
  /// Names are relative to the snapshot's root, extended attributes and ACLs come as
  /// `SCHILY.xattr`, sparse files in GNU tar's format 1.0. Files of which a chunk is lost are
  /// filled up with zeros and are in the problems that are returned.
  public func archive(
    _ request: RestoreRequest, progress: ProgressHandler? = nil,
    _ body: @escaping @Sendable ([UInt8]) -> Bool
  ) async throws(MuninnError) -> [PathProblem] {
    try await onEngineThread { [self] (cancellation) throws(MuninnError) in
      let counters = ProgressCounters()
      let reporter = ProgressReporter(counters, progress)
      defer { reporter?.finish() }
      let (registration, journal) = try beginReading(.restore)
      defer { registration?.end() }
      let snapshot = try select(request.snapshot, in: journal)
      counters.entriesTotal.store(snapshot.counts.entries, ordering: .relaxed)
      counters.bytesTotal.store(snapshot.counts.bytes, ordering: .relaxed)
      var options = RestoreOptions(
        root: snapshot.root, entryCount: snapshot.counts.entries,
        byteCount: snapshot.counts.bytes, target: [], threads: 1)
      options.paths = request.paths.map { pathBytes(display: $0) }
      options.includes = request.includes
      options.excludes = request.excludes
      let failures = try asMuninn(pipeline: { () throws(PipelineError) in
        try TarStream(store: store, options: options, cancellation: cancellation)
          .run(counters, body)
      })
      return failures.map { PathProblem($0) }
    }
  }

  /// Calls `body` with each difference between two snapshots, in path order, on a thread of the
  /// engine, until it returns false. Returns what could not be read.
  public func differences(
    from old: SnapshotSelector, to new: SnapshotSelector,
    _ body: @escaping @Sendable (Difference) -> Bool
  ) async throws(MuninnError) -> [PathProblem] {
    try await onEngineThread { [self] (cancellation) throws(MuninnError) in
      let (registration, journal) = try beginReading(.restore)
      defer { registration?.end() }
      let (left, right) = (try select(old, in: journal), try select(new, in: journal))
      let failures = try asMuninn(store: { () throws(StoreError) in
        try SnapshotDifference(store: store).run(left.root, right.root) {
          !cancellation.isCancelled && body(Difference($0))
        }
      })
      if cancellation.isCancelled { throw MuninnError(.cancelled, "comparing was cancelled") }
      return failures.map { PathProblem($0) }
    }
  }

  /// The same between a snapshot and a directory of this machine. A file of the same size and
  /// another time of modification counts as changed, unless `readsContent` has it read and
  /// compared, as it has every file of the same size.
  public func differences(
    from old: SnapshotSelector, toDirectory directory: String, readsContent: Bool = false,
    _ body: @escaping @Sendable (Difference) -> Bool
  ) async throws(MuninnError) -> [PathProblem] {
    try await onEngineThread { [self] (cancellation) throws(MuninnError) in
      let (registration, journal) = try beginReading(.restore)
      defer { registration?.end() }
      let snapshot = try select(old, in: journal)
      let failures = try asMuninn(pipeline: { () throws(PipelineError) in
        try DirectoryDifference(
          store: store, readsContent: readsContent, cancellation: cancellation
        ).run(snapshot.root, directory: pathBytes(display: directory)) { body(Difference($0)) }
      })
      return failures.map { PathProblem($0) }
    }
  }

  /// Calls `body` with each entry that matches one of `patterns` (gitignore syntax, as of a
  /// backup's excludes), newest snapshot first, in path order, on a thread of the engine, until it
  /// returns false. Without selectors all snapshots are searched. Returns what could not be read.
  public func find(
    _ patterns: [String], in selectors: [SnapshotSelector] = [],
    _ body: @escaping @Sendable (Snapshot, Entry) -> Bool
  ) async throws(MuninnError) -> [PathProblem] {
    try await onEngineThread { [self] (cancellation) throws(MuninnError) in
      let (registration, journal) = try beginReading(.restore)
      defer { registration?.end() }
      var records: [SnapshotRecord] = []
      for selector in selectors { records.append(try select(selector, in: journal)) }
      if selectors.isEmpty { records = journal.snapshots.reversed() }
      var search = SnapshotSearch(store: store, patterns: patterns)
      var problems: [PathProblem] = []
      var goesOn = true
      for record in records where goesOn {
        let snapshot = Snapshot(record, journal)
        let failures = try asMuninn(store: { () throws(StoreError) in
          try search.run(record.root) { entry in
            goesOn = !cancellation.isCancelled && body(snapshot, Entry(entry))
            return goesOn
          }
        })
        problems += failures.map { PathProblem($0) }
      }
      if cancellation.isCancelled { throw MuninnError(.cancelled, "the search was cancelled") }
      return problems
    }
  }
}
