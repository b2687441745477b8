internal import Glibc
internal import MuninnDisk
internal import MuninnFormat
internal import MuninnPipeline
internal import MuninnStore

/// The version of this program, as snapshots record it.
public let muninnVersion = "0.1.0"

/// A backup repository: the way in for a program that embeds Muninn.
///
/// All functions may be called from any task and at the same time. Each long one runs on threads of
/// its own, reports progress, and stops at the next safe place when its task is cancelled, leaving
/// nothing half-done that looks done.
public final class Repository: Sendable {
  /// The absolute path of the repository.
  public let location: String
  /// Journal records that could not be read when the repository was opened. What the others say can
  /// be listed and restored; nothing can be backed up until they are repaired.
  public let damage: [PathProblem]
  let store: Store
  let state: LocalState

  init(location: String, store: Store, state: LocalState, damage: [PathProblem] = []) {
    self.location = location
    self.store = store
    self.state = state
    self.damage = damage
  }

  /// Makes a repository at `location`, a directory that is absent or empty.
  ///
  /// With a key in the options it is encrypted. Throws `alreadyExists` where something is there
  /// already, `invalidInput` for chunk sizes that cannot be used.
  public static func create(
    at location: String, options: CreateOptions = CreateOptions(),
    open: OpenOptions = OpenOptions()
  ) async throws(MuninnError) -> Repository {
    try await onEngineThread { (_) throws(MuninnError) in
      try asMuninn(store: { () throws(StoreError) in
        try refuseForeignDirectory(location)
        let storage = try localStorage(location, create: true, open)
        let store = try Store.create(
          in: storage, averageChunkSize: options.averageChunkSize, isShared: options.isShared,
          key: options.key.map { NewKey($0, label: "") },
          identityMethod: options.fingerprint.method)
        return Repository(
          location: storage.location, store: store,
          state: LocalState(directory: open.stateDirectory))
      })
    }
  }

  /// Opens the repository at `location`.
  ///
  /// Throws `notARepository` where there is none, `unsupportedFormat` where a newer build made it,
  /// `wrongKey` where the key is missing or wrong or there is nothing to open with it, and
  /// `rolledBack` where it is older than what this machine has seen of it.
  public static func open(
    at location: String, options: OpenOptions = OpenOptions()
  ) async throws(MuninnError) -> Repository {
    try await onEngineThread { (_) throws(MuninnError) in
      try asMuninn(store: { () throws(StoreError) in
        let storage: LocalStorage
        do throws(StoreError) { storage = try localStorage(location, create: false, options) } catch
        {
          guard error.code == .notFound else { throw error }
          throw StoreError(
            .notARepository, "\(location) is not there: make a repository with init first")
        }
        let store = try Store.open(in: storage, key: options.key?.material)
        let state = LocalState(directory: options.stateDirectory)
        let journal = try store.loadJournal()
        try state.notice(journal, of: store, acceptsRollback: options.acceptsRollback)
        return Repository(
          location: storage.location, store: store, state: state,
          damage: journal.problems.map {
            PathProblem(path: $0.object ?? "journal", message: $0.message)
          })
      })
    }
  }

  private static func localStorage(
    _ location: String, create: Bool, _ options: OpenOptions
  ) throws(StoreError) -> LocalStorage {
    try onLocation(location) { () throws(DiskError) in
      try LocalStorage(
        path: location, create: create, writesDirectly: options.writesDirectly)
    }
  }

  /// A repository is made in an empty directory alone, so that no file of anyone else's is taken
  /// for one of its own.
  private static func refuseForeignDirectory(_ location: String) throws(StoreError) {
    guard let storage = try? LocalStorage(path: location, create: false) else { return }
    let isRepository = (try? storage.size(of: ObjectName.repository)) != nil
    if isRepository {
      throw StoreError(
        .alreadyExists, "\(location) holds a repository already: use it as it is")
    }
    let listing = try onLocation(location) { () throws(DiskError) in
      let directory = try FileCalls.open(
        at: AT_FDCWD, location, flags: O_RDONLY | O_DIRECTORY, path: location)
      return try DirectoryListing.read(directory.descriptor, path: location)
    }
    // An attempt that was interrupted may have left its key slot, or a file that is none yet.
    let own = Set(["keys", "tmp"].map { Array($0.utf8) })
    guard (0..<listing.count).allSatisfy({ own.contains(listing.name($0)) }) else {
      throw StoreError(
        .alreadyExists, "\(location) is not empty: name a directory that is absent or empty")
    }
  }

  private static func onLocation<R>(
    _ location: String, _ body: () throws(DiskError) -> R
  ) throws(StoreError) -> R {
    do { return try body() } catch { throw StoreError(error, object: location) }
  }

  /// The repository's id: 32 hexadecimal digits.
  public var id: String { store.header.repository.description }

  /// Whether several file systems may use it, as decided when it was made.
  public var isShared: Bool { store.header.isShared }

  /// How its chunks are told apart, as decided when it was made.
  public var fingerprint: ChunkFingerprint { ChunkFingerprint(store.header.identityMethod) }

  /// The journal as it is now, held against what this machine has seen of it.
  func readJournal() throws(StoreError) -> JournalState {
    let journal = try store.loadJournal()
    try state.notice(journal, of: store)
    store.follow(journal)
    return journal
  }

  /// The journal for a reader that takes its time, and its registration: a collection waits for it
  /// to end. None where the repository cannot be written; then a prune can take away what is read.
  func beginReading(
    _ work: SessionNote.Work
  ) throws(MuninnError) -> (registration: Registration?, journal: JournalState) {
    guard let (registration, journal) = try? Registration.begin(store, work) else {
      return (nil, try currentJournal())
    }
    do throws(StoreError) { try state.notice(journal, of: store) } catch {
      registration.end()
      throw MuninnError(error)
    }
    return (registration, journal)
  }

  func currentJournal() throws(MuninnError) -> JournalState {
    try asMuninn(store: { () throws(StoreError) in try readJournal() })
  }

  /// All snapshots, oldest first. One that a repair made comes right behind the one that it stands
  /// for, and `latest` and a time mean the repaired one.
  public func snapshots() async throws(MuninnError) -> [Snapshot] {
    try await onEngineThread { [self] (_) throws(MuninnError) in
      let journal = try currentJournal()
      var successors: [Identifier: Identifier] = [:]
      for snapshot in journal.snapshots {
        if let original = snapshot.repairs { successors[original] = snapshot.id }
      }
      return journal.snapshots.map { Snapshot($0, journal, supersededBy: successors[$0.id]) }
    }
  }

  /// The one snapshot that `selector` means; throws `notFound` naming the selector and what there
  /// is.
  public func snapshot(_ selector: SnapshotSelector) async throws(MuninnError) -> Snapshot {
    try await onEngineThread { [self] (_) throws(MuninnError) in
      let journal = try currentJournal()
      return Snapshot(try select(selector, in: journal), journal)
    }
  }

  /// A partial snapshot is found by its id alone.
  func select(
    _ selector: SnapshotSelector, in journal: JournalState
  ) throws(MuninnError) -> SnapshotRecord {
    func newest(_ fileSystem: String?, before seconds: Double) -> SnapshotRecord? {
      journal.snapshots.last { record in
        !record.isPartial
          && (fileSystem == nil || record.fileSystem?.description == fileSystem)
          && Double(record.completedNanoseconds) / 1e9 <= seconds
      }
    }
    switch selector {
    case .latest(let fileSystem):
      if let found = newest(fileSystem, before: .infinity) { return found }
      throw MuninnError(.notFound, "\(location) holds no snapshot\(of(fileSystem)) yet")
    case .at(let seconds, let fileSystem):
      if let found = newest(fileSystem, before: seconds) { return found }
      throw MuninnError(
        .notFound, "\(location) holds no snapshot\(of(fileSystem)) from before \(seconds)")
    case .id(let prefix):
      let matches = journal.snapshots.filter { $0.id.description.hasPrefix(prefix.lowercased()) }
      if prefix.count >= 4, matches.count == 1 { return matches[0] }
      let reason =
        prefix.count < 4
        ? "a snapshot id needs at least 4 digits, and '\(prefix)' has fewer"
        : matches.isEmpty
          ? "\(location) holds no snapshot '\(prefix)'"
          : "'\(prefix)' means \(matches.count) snapshots: give more digits"
      throw MuninnError(prefix.count < 4 ? .invalidInput : .notFound, reason)
    }
  }

  private func of(_ fileSystem: String?) -> String {
    fileSystem.map { " of file system \($0)" } ?? ""
  }
}
