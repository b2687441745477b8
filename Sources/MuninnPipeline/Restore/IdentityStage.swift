import MuninnDisk

/// Writes down the new identities of the restored files. A catalogue that cannot be written costs
/// the next backup time, never the restore. Belongs to one thread.
final class IdentityStage {
  private let run: RestoreRun
  private var writer: IdentityCatalogue.Writer?
  /// Whether the files' contents are on stable storage.
  var isSynced = false

  init(run: RestoreRun, _ destination: CatalogueDestination?, target: [UInt8]) {
    self.run = run
    guard run.records, let destination else { return }
    attempt { () throws(DiskError) in
      writer = try IdentityCatalogue.Writer(
        path: destination.path, snapshot: destination.snapshot, target: target)
    }
  }

  func record(_ identities: [RestoredIdentity]) {
    attempt { () throws(DiskError) in try writer?.append(identities) }
  }

  func finish(_ late: [RestoredIdentity]) {
    attempt { () throws(DiskError) in try writer?.finish(adding: late, isSynced: isSynced) }
  }

  private func attempt(_ body: () throws(DiskError) -> Void) {
    do throws(DiskError) {
      try body()
    } catch {
      writer = nil
      run.fail(
        [], "the next backup of the target will read every file: \(error.description)")
    }
  }
}
