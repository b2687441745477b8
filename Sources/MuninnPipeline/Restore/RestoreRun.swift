import Glibc
import MuninnDisk
import MuninnFormat
import MuninnStore
import Synchronization

/// What the stages of one restore share.
final class RestoreRun: Sendable {
  private static let maximumReportedFailures = 1000

  private struct Troubles {
    var failures: [PathFailure] = []
    var count: UInt64 = 0
    /// For each kind that is said once: the place of its report among the failures, and for how
    /// many paths it stands.
    var notes: [String: (place: Int?, count: UInt64)] = [:]
    var fatal: PipelineError?
    /// Paths of failures, as far as they are kept.
    var paths: Set<[UInt8]> = []
  }

  let store: Store
  let tree: TargetTree
  let ownership: Ownership
  let counters: ProgressCounters
  let links = LinkGroups()
  let openFiles = HandleCache(capacity: 256)
  let direct = DirectFiles()
  let creation: CreationTurn
  let rule: ExistingRule
  let threads: Int
  let defragments: Bool
  let deletesOthers: Bool
  let makesDevices: Bool
  let foldsCase: Bool
  /// When the first attempt at this restore began, where that is remembered.
  let startedNanoseconds: Int64?
  let pace: Pace?
  let records: Bool
  let keepsPartialFiles: Bool
  let onRestored: (@Sendable ([UInt8], FileStatus) -> Void)?

  let entries = Atomic<UInt64>(0)
  let files = Atomic<UInt64>(0)
  let bytes = Atomic<UInt64>(0)
  let bytesWritten = Atomic<UInt64>(0)
  let bytesRewritten = Atomic<UInt64>(0)
  let entriesKept = Atomic<UInt64>(0)
  let entriesDeleted = Atomic<UInt64>(0)
  let containersRead = Atomic<UInt64>(0)
  let containerBytesRead = Atomic<UInt64>(0)

  private let cancellation: Cancellation
  private let isStopped = Atomic<Bool>(false)
  private let troubles = Monitor(Troubles())

  init(
    store: Store, tree: TargetTree, ownership: Ownership, options: RestoreOptions,
    selection: PathSelection, foldsCase: Bool, counters: ProgressCounters,
    cancellation: Cancellation, onRestored: (@Sendable ([UInt8], FileStatus) -> Void)?
  ) {
    rule = ExistingRule(options)
    threads = max(1, options.threads)
    creation = CreationTurn(below: tree.root.descriptor, threads: threads)
    deletesOthers = options.deletesOthers && options.overwrite != nil
    makesDevices = options.makesDevices
    self.foldsCase = foldsCase
    startedNanoseconds = options.journal?.startedNanoseconds
    pace = options.bytesPerSecond.map { Pace(bytesPerSecond: $0) }
    self.store = store
    self.tree = tree
    self.ownership = ownership
    self.counters = counters
    self.cancellation = cancellation
    self.onRestored = onRestored
    defragments = options.defragment
    keepsPartialFiles = options.keepsPartialFiles
    records = options.identityCatalogue != nil && selection.isEverything
  }

  /// Whether the work is to end: looked at once a batch.
  var shouldStop: Bool { isStopped.load(ordering: .relaxed) || cancellation.isCancelled }

  /// Ends the restore as a whole; the first reason counts.
  func stop(_ error: PipelineError) {
    troubles.withLock { $0.fatal = $0.fatal ?? error }
    isStopped.store(true, ordering: .relaxed)
  }

  /// Throws why the work ended before its time, if it did.
  func checkStopped() throws(PipelineError) {
    if let fatal = troubles.withLock({ $0.fatal }) { throw fatal }
    if cancellation.isCancelled { throw PipelineError.cancelled }
  }

  /// Reports a path that is not, or not wholly, as it was.
  func fail(_ path: [UInt8], _ message: String) {
    troubles.withLock { troubles in
      troubles.count += 1
      guard troubles.failures.count < RestoreRun.maximumReportedFailures else { return }
      troubles.failures.append(PathFailure(path: path, message: message))
      troubles.paths.insert(path)
    }
  }

  /// Whether a failure at the path is among those that are reported.
  func hasFailed(_ path: [UInt8]) -> Bool { troubles.withLock { $0.paths.contains(path) } }

  /// Reports an error at a path, or ends the restore where the error is the whole target's.
  func fail(_ path: [UInt8], _ error: DiskError) {
    stopIfTargets(error)
    fail(path, error.description)
  }

  /// Ends the restore where an error will meet every path: a full, read-only or broken file system.
  func stopIfTargets(_ error: DiskError) {
    let isTargets =
      error.isNoSpace || [EROFS, EIO, EMFILE, ENFILE].contains(error.errno)
    if isTargets { stop(PipelineError(error)) }
  }

  /// Reports what can concern every path but is worth saying once: the first path stands for all.
  func note(_ kind: String, _ path: [UInt8], _ message: @autoclosure () -> String) {
    let isFirst = troubles.withLock { troubles in
      troubles.notes[kind, default: (nil, 0)].count += 1
      return troubles.notes[kind]?.count == 1
    }
    guard isFirst else { return }
    let text = message()
    troubles.withLock { troubles in
      troubles.count += 1
      guard troubles.failures.count < RestoreRun.maximumReportedFailures else { return }
      troubles.notes[kind]?.place = troubles.failures.count
      troubles.failures.append(PathFailure(path: path, message: text))
    }
  }

  /// Counts an entry that is complete.
  func count(_ entry: ManifestEntry) {
    entries.add(1, ordering: .relaxed)
    counters.add(entries: 1)
    guard entry.kind == .file else { return }
    files.add(1, ordering: .relaxed)
    bytes.wrappingAdd(entry.size, ordering: .relaxed)
  }

  /// Counts bytes that are in place. Wraps: a snapshot may claim holes of any length.
  func countBytes(_ count: UInt64) { counters.bytes.wrappingAdd(count, ordering: .relaxed) }

  /// Counts bytes that were written.
  func countWritten(_ count: UInt64) {
    bytesWritten.wrappingAdd(count, ordering: .relaxed)
    countBytes(count)
  }

  var failures: (first: [PathFailure], count: UInt64) {
    troubles.withLock { troubles in
      var failures = troubles.failures
      for case (let place?, let count) in troubles.notes.values where count > 1 {
        let first = failures[place]
        failures[place] = PathFailure(
          path: first.path, message: "\(first.message) (\(count) times in all)")
      }
      return (failures, troubles.count)
    }
  }
}
