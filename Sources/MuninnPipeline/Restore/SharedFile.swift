import Glibc
import MuninnDisk
import MuninnFormat
import Synchronization

/// A file that several units write to, perhaps at the same time. Who writes its last extent
/// completes it.
final class SharedFile: Sendable {
  private struct State {
    var isMade: Bool
    var failure: String?
    /// Whether the file counts as restored.
    var isComplete = false
  }

  private static let nextKey = Atomic<UInt64>(0)

  let planned: PlannedEntry
  private let key: UInt64
  private var directKey: UInt64 { key + 1 }
  /// Extents to come; while the file is being planned one more.
  private let remaining: Atomic<Int>
  private let state: Monitor<State>
  private let seams = Monitor(PageSeams())

  init(_ planned: PlannedEntry, extentCount: Int) {
    self.planned = planned
    key = SharedFile.nextKey.add(2, ordering: .relaxed).newValue
    remaining = Atomic(extentCount)
    state = Monitor(State(isMade: planned.isMade, failure: nil))
  }

  /// Extents that are about to be written; called before they are.
  func add(_ count: Int) { remaining.add(count, ordering: .relaxed) }

  var hasFailed: Bool { state.withLock { $0.failure != nil } }

  /// The file will not be left in the target; the first reason is reported.
  func fail(_ message: String) { state.withLock { $0.failure = $0.failure ?? message } }

  /// The same; ends the restore where the error is the whole target's.
  func fail(_ error: DiskError, _ run: RestoreRun) {
    run.stopIfTargets(error)
    fail(error.description)
  }

  /// Whether its space was reserved, and it goes past the page cache.
  func isWrittenDirectly(_ run: RestoreRun) -> Bool {
    planned.isMade && run.direct.isFor(planned.entry)
  }

  /// The open file, made by whoever needs it first.
  func handle(_ run: RestoreRun) throws(DiskError) -> Handle {
    try handle(key, run) { (state) throws(DiskError) in
      guard !state.isMade else { return try reopened(run) }
      let directory = try run.tree.handle(planned.directory)
      let file = try NewEntry.open(
        at: directory.descriptor, making: planned, run, flags: O_WRONLY, mode: 0o600)
      state.isMade = true
      return file
    }
  }

  /// The file opened for direct writes; nil where it is not written so.
  func directHandle(_ run: RestoreRun) -> Handle? {
    guard isWrittenDirectly(run) else { return nil }
    // Without it the file is written through the page cache, and trouble shows there.
    return try? handle(directKey, run) { (_) throws(DiskError) in
      let file = try reopened(run)
      guard FileCalls.setDirect(file.descriptor, true) else {
        run.direct.noteUnsupported()
        throw DiskError(
          errno: EINVAL, operation: "open directly", path: displayPath(planned.entry.path))
      }
      return file
    }
  }

  /// Takes what a run that is written directly has of a page that it shares with another. Returns
  /// the page where that one's part is there already.
  func join(
    _ part: UnsafeRawBufferPointer, at offset: UInt64, _ plain: Handle, _ run: RestoreRun
  ) throws(DiskError) -> [UInt8]? {
    guard !part.isEmpty else { return nil }
    let (whole, areTooMany) = seams.withLock { seams in
      let before = seams.count
      let whole = seams.add(part, at: offset)
      return (whole, run.direct.countSeams(seams.count - before))
    }
    if areTooMany { try writeSeams(to: plain, run) }
    return whole
  }

  /// Writes what waits for its other part, by way of the page cache.
  private func writeSeams(to handle: Handle, _ run: RestoreRun) throws(DiskError) {
    for part in takeSeams(run) {
      try part.bytes.withUnsafeBytesTyped { (bytes) throws(DiskError) in
        try FileCalls.write(
          handle.descriptor, at: part.offset, bytes, path: displayPath(planned.entry.path))
      }
    }
  }

  private func takeSeams(_ run: RestoreRun) -> [(offset: UInt64, bytes: [UInt8])] {
    seams.withLock { seams in
      _ = run.direct.countSeams(-seams.count)
      return seams.takeAll()
    }
  }

  private func reopened(_ run: RestoreRun) throws(DiskError) -> OpenFile {
    let directory = try run.tree.handle(planned.directory)
    return try FileCalls.open(
      at: directory.descriptor, planned.makingName, flags: O_WRONLY | O_NOFOLLOW,
      path: displayPath(planned.entry.path))
  }

  /// One of the two, opened by whoever needs it first.
  private func handle(
    _ key: UInt64, _ run: RestoreRun, open: (inout State) throws(DiskError) -> OpenFile
  ) throws(DiskError) -> Handle {
    if let known = run.openFiles.handle(key) { return known }
    // What makes room may be the other one: an error of its closing asks for the lock too.
    var dropped: Handle?
    defer { withExtendedLifetime(dropped) {} }
    return try state.withLock { (state) throws(DiskError) in
      if let known = run.openFiles.handle(key) { return known }
      let handle = Handle(try open(&state)) { [self] error in closed(error, run) }
      dropped = run.openFiles.insert(handle, for: key)
      return handle
    }
  }

  /// Counts extents that are written, or given up; after the last one the file is completed.
  func complete(_ count: Int, _ run: RestoreRun) -> RestoredIdentity? {
    guard remaining.subtract(count, ordering: .acquiringAndReleasing).newValue == 0 else {
      return nil
    }
    run.openFiles.remove(directKey)
    defer { run.openFiles.remove(key) }
    if !hasFailed {
      do throws(DiskError) {
        let handle = try handle(run)
        try writeSeams(to: handle, run)
        let size = try FileCalls.status(
          of: handle.descriptor, path: displayPath(planned.entry.path)
        ).size
        if size != planned.entry.size {
          try FileCalls.truncate(
            handle.descriptor, planned.entry.size, path: displayPath(planned.entry.path))
        }
        let identity = try FileCompletion.complete(
          planned, handle.descriptor, isOwnerDone: false, isModeDone: false, run)
        state.withLock { $0.isComplete = true }
        return identity
      } catch {
        fail(error, run)
      }
    }
    giveUp(run)
    return nil
  }

  /// What a file system said when a descriptor of the file was closed: before the file is complete
  /// it fails it, later it is reported.
  private func closed(_ error: DiskError, _ run: RestoreRun) {
    let path = planned.entry.path
    let failure = DiskError(errno: error.errno, operation: "close", path: displayPath(path))
    let isComplete = state.withLock { state in
      if !state.isComplete { state.failure = state.failure ?? failure.description }
      return state.isComplete
    }
    run.stopIfTargets(failure)
    if isComplete { run.fail(path, failure.description) }
  }

  private func giveUp(_ run: RestoreRun) {
    _ = takeSeams(run)
    let (isMade, failure) = state.withLock { ($0.isMade, $0.failure) }
    FileCompletion.giveUp(planned, isMade: isMade, failure ?? "not restored", run)
  }
}
