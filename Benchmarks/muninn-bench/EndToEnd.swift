import Glibc
import Muninn
import MuninnDisk
import Synchronization

/// Operations of the engine on a tree, through its public library, measured from outside.
struct EndToEnd {
  enum Operation: String, CaseIterable {
    case firstBackup = "first backup"
    case unchangedBackup = "unchanged backup"
    case changedBackup = "changed backup"
    case restore
    case defragmentingRestore = "defragmenting restore"
    case check = "check --read-data"
  }

  let source: String
  let scratch: Scratch
  let threads: Int
  let runs: Int
  /// Whether the machine's caches are dropped before each operation; only root may.
  var isCold = false
  /// As in `OpenOptions`.
  var writesDirectly: Bool?
  let operations: [Operation]
  /// Nil for repositories without encryption.
  var key: RepositoryKey?
  /// Changes some of the source's files, or changes them back.
  var change: ((_ isChanged: Bool) throws -> Void)?

  var repositoryPath: String { scratch.file("repository") }

  /// Leaves the last repository behind for measurements on it, and the restored trees: ext4 looks
  /// at each inode that was freed in the last minutes before it makes a new one, so that a restore
  /// after a large removal would measure that.
  func measure(_ progress: (String) -> Void) async throws -> [OperationResult] {
    var results = operations.map { OperationResult($0.rawValue) }
    let hash = try ContentHash.of(source, threads: threads)
    progress("source read: \(hash)")
    for run in 0..<runs {
      if run > 0 { Scratch.remove(repositoryPath) }
      var making = CreateOptions()
      making.key = key
      let repository = try await Repository.create(
        at: repositoryPath, options: making,
        open: OpenOptions(
          stateDirectory: scratch.file("state"), writesDirectly: writesDirectly))
      var first = OperationResult("")
      if !operations.contains(.firstBackup) { try await backup(repository, into: &first) }
      for (index, operation) in operations.enumerated() {
        results[index].resultHash = hash
        try await perform(operation, repository, into: &results[index])
        if operation == .firstBackup { first = results[index] }
        // A check counts unique chunks, which have no holes.
        results[index].dataBytes = operation == .check ? results[index].bytes : first.bytesRead
        if let last = results[index].runs.last {
          progress("run \(run + 1): \(operation.rawValue) \(Figure.fixed(last.seconds, 3)) s")
        }
      }
    }
    return results
  }

  private func perform(
    _ operation: Operation, _ repository: Repository, into result: inout OperationResult
  ) async throws {
    switch operation {
    case .firstBackup, .unchangedBackup: try await backup(repository, into: &result)
    case .changedBackup:
      try change?(true)
      try await backup(repository, into: &result)
      result.resultHash = try ContentHash.of(source, threads: threads)
      try change?(false)
    case .restore: try await restore(repository, defragment: false, into: &result)
    case .defragmentingRestore: try await restore(repository, defragment: true, into: &result)
    case .check: try await check(repository, into: &result)
    }
  }

  private func backup(
    _ repository: Repository, into result: inout OperationResult
  ) async throws {
    var request = BackupRequest(paths: [source])
    request.threads = threads
    let (run, report) = try await watched { try await repository.backup(request, progress: $0) }
    result.runs.append(run)
    let counts = report.snapshot.statistics
    result.entries = counts.entries
    result.files = counts.files
    result.bytes = counts.bytes
    result.bytesRead = counts.bytesRead
    result.bytesNew = counts.bytesNew
    result.bytesStored = counts.bytesStored
  }

  private func restore(
    _ repository: Repository, defragment: Bool, into result: inout OperationResult
  ) async throws {
    let name = defragment ? "defragmented" : "restored"
    let target = scratch.file("\(name)-\(result.runs.count)")
    var request = RestoreRequest(snapshot: .latest(), target: target)
    request.threads = threads
    request.defragment = defragment
    // As its primitives are, and as one that has to last is.
    request.syncs = true
    let (run, report) = try await watched { try await repository.restore(request, progress: $0) }
    if let problem = report.problems.first {
      throw BenchError("\(problem.path) was not restored: \(problem.message)")
    }
    result.runs.append(run)
    result.entries = report.entries
    result.files = report.files
    result.bytes = report.bytes
    result.bytesRead = report.containerBytesRead
    result.extents = try extents(of: target)
    let restored = try ContentHash.of(target, threads: threads)
    guard restored == result.resultHash || change != nil else {
      throw BenchError("the restored tree is \(restored), the source was \(result.resultHash)")
    }
    result.resultHash = restored
  }

  private func check(
    _ repository: Repository, into result: inout OperationResult
  ) async throws {
    let (run, report) = try await watched {
      try await repository.check(CheckOptions(readData: true), progress: $0)
    }
    if let problem = report.problems.first {
      throw BenchError("\(problem.path) is damaged: \(problem.message)")
    }
    result.runs.append(run)
    result.entries = report.chunks
    result.bytesRead = report.bytesRead
    result.bytes = try await repository.statistics().uniqueBytes
    result.resultHash = "clean"
  }

  /// Extents of all regular files on disk, nil where the file system does not tell.
  private func extents(of root: String) throws -> UInt64? {
    var sum: UInt64 = 0
    let top = try FileCalls.openDirectory(at: AT_FDCWD, root, path: root)
    try FileCalls.syncFileSystem(of: top.descriptor, path: root)
    for file in try SourceFiles.list(root) {
      let path = file.path
      let opened = try FileCalls.openForReading(at: AT_FDCWD, path, path: path)
      guard let count = try FileCalls.extentCount(of: opened.descriptor, path: path) else {
        return nil
      }
      sum += count
    }
    return sum
  }

  private func watched<Report>(
    _ body: (@escaping ProgressHandler) async throws -> Report
  ) async throws -> (OperationRun, Report) {
    if isCold { try PageCache.dropAll() }
    let timeline = Timeline()
    ProcessUsage.resetPeak()
    let before = ProcessUsage.now()
    let report = try await body { timeline.add($0.secondsElapsed, $0.bytesDone) }
    let after = ProcessUsage.now()
    let seconds = Double(after.wallNanoseconds - before.wallNanoseconds) / 1e9
    let processor = after.processorSeconds - before.processorSeconds
    let busy = after.machineBusySeconds - before.machineBusySeconds
    let run = OperationRun(
      seconds: seconds, processorSeconds: processor,
      otherCores: max(0, busy - processor) / max(seconds, 1e-9),
      peakResidentBytes: ProcessUsage.peakResidentBytes, timeline: timeline.points)
    return (run, report)
  }
}

/// Collects an operation's progress from the thread that reports it.
private final class Timeline: Sendable {
  private let state = Mutex<[TimelinePoint]>([])

  func add(_ seconds: Double, _ bytes: UInt64) {
    state.withLock { $0.append(TimelinePoint(seconds: seconds, bytes: bytes)) }
  }

  var points: [TimelinePoint] { state.withLock { $0 } }
}
