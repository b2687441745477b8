/// A backup repository: the way in for a program that embeds Muninn.
///
/// All functions may be called from any task and at the same time. Each long one runs on threads of its own, reports
/// progress, and stops at the next safe place when its task is cancelled, leaving nothing half-done that looks done.
public final class Repository: Sendable {
  /// The absolute path of the repository.
  public let location: String

  init(location: String) { self.location = location }

  /// Makes a repository at `location`, a directory that is absent or empty.
  public static func create(
    at location: String, options: CreateOptions = CreateOptions()
  ) async throws(MuninnError) -> Repository {
    throw MuninnError(.invalidInput, "skeleton")
  }

  /// Opens the repository at `location`.
  public static func open(
    at location: String, options: OpenOptions = OpenOptions()
  ) async throws(MuninnError) -> Repository {
    throw MuninnError(.invalidInput, "skeleton")
  }

  /// The repository's id: 32 hexadecimal digits.
  public var id: String { "" }

  /// Whether several file systems may use it, as decided when it was made.
  public var isShared: Bool { false }

  /// All snapshots, oldest first.
  public func snapshots() async throws(MuninnError) -> [Snapshot] { [] }

  /// The one snapshot that `selector` means; throws `notFound` naming the selector and what there is.
  public func snapshot(_ selector: SnapshotSelector) async throws(MuninnError) -> Snapshot {
    throw MuninnError(.invalidInput, "skeleton")
  }

  /// Backs up a tree. Paths that cannot be read are in the report; everything else is stored.
  public func backup(
    _ request: BackupRequest, progress: ProgressHandler? = nil
  ) async throws(MuninnError) -> BackupReport {
    throw MuninnError(.invalidInput, "skeleton")
  }

  /// Restores a snapshot, or some paths of it.
  public func restore(
    _ request: RestoreRequest, progress: ProgressHandler? = nil
  ) async throws(MuninnError) -> RestoreReport {
    throw MuninnError(.invalidInput, "skeleton")
  }

  /// Calls `body` with each entry of a snapshot at or below `path`, in path order, on a thread of the engine.
  /// `body` returns false to stop.
  public func list(
    _ selector: SnapshotSelector, path: String? = nil, isRecursive: Bool = true,
    _ body: @escaping @Sendable (Entry) -> Bool
  ) async throws(MuninnError) {
    throw MuninnError(.invalidInput, "skeleton")
  }

  /// Verifies the structure of the repository, or every byte of it.
  public func check(
    _ options: CheckOptions = CheckOptions(), progress: ProgressHandler? = nil
  ) async throws(MuninnError) -> CheckReport {
    throw MuninnError(.invalidInput, "skeleton")
  }

  public func statistics() async throws(MuninnError) -> RepositoryStatistics {
    throw MuninnError(.invalidInput, "skeleton")
  }
}
