import Glibc
import MuninnDisk
package import MuninnFormat

/// What is remembered of a restore until it is done: which snapshot, which target, and when the
/// system that it ran on was booted.
///
/// It does not name what is complete: the target does. A file's time of modification is set last,
/// so a file that has it, and its size, is complete; a large one that has not is compared chunk by
/// chunk, and only what differs is written. That holds as long as the system has not been down.
/// After a power loss a file may have its size and times and not its content, so every file is
/// compared.
///
/// The file is made, and is durable, before anything is written to the target, and is removed when
/// the restore is done. It is locked while one is running.
package final class RestoreJournal: Sendable {
  /// An attempt at a restore.
  package struct Attempt: Sendable, Equatable {
    package var repository: Identifier
    package var snapshot: Identifier
    package var target: [UInt8]
    /// The target directory's own identity, so that another one of its name is not taken for it.
    package var inode: UInt64 = 0
    package var targetWasAbsent = false
    package var targetWasEmpty = false
    package var startedNanoseconds: Int64
    /// `/proc/sys/kernel/random/boot_id`.
    package var boot: [UInt8]
    package var number: UInt32 = 1
  }

  /// The attempt before this one, where that was interrupted.
  package let unfinished: Attempt?
  package let path: String
  private let current: Attempt
  private let file: Monitor<Handle?>

  package var isResuming: Bool { unfinished != nil }
  package var isSameBoot: Bool { unfinished?.boot == current.boot && !current.boot.isEmpty }
  /// When the first attempt began.
  package var startedNanoseconds: Int64 { current.startedNanoseconds }

  /// Finds what is remembered of `target` below `directory`. Writes nothing yet.
  ///
  /// Throws `invalidInput` where the target holds the unfinished restore of another snapshot,
  /// `busy` where one is running.
  package init(
    directory: String, repository: Identifier, snapshot: Identifier, target: [UInt8]
  ) throws(PipelineError) {
    let path = RestoreJournal.path(directory: directory, target: target)
    var attempt = Attempt(
      repository: repository, snapshot: snapshot, target: target,
      startedNanoseconds: Machine.nowNanoseconds(), boot: Machine.bootIdentity)
    let opened = try RestoreJournal.openExisting(path)
    let last = opened.attempt.flatMap { RestoreJournal.isAlive($0, target) ? $0 : nil }
    if let last {
      guard last.snapshot == snapshot, last.repository == repository else {
        throw PipelineError(
          .invalidInput,
          "'\(displayPath(target))' holds an unfinished restore of snapshot"
            + " \(last.snapshot.description.prefix(8)): finish that one, or remove it with --clean",
          path: displayPath(target))
      }
      attempt.number = last.number &+ 1
      attempt.startedNanoseconds = last.startedNanoseconds
      attempt.targetWasAbsent = last.targetWasAbsent
      attempt.targetWasEmpty = last.targetWasEmpty
      attempt.inode = last.inode
    }
    self.path = path
    unfinished = last
    current = attempt
    file = Monitor(opened.file)
  }

  /// What is remembered of an unfinished restore to `target`; nil where there is none.
  package static func find(directory: String, target: [UInt8]) throws(PipelineError) -> Attempt? {
    let attempt = try openExisting(path(directory: directory, target: target)).attempt
    return attempt?.target == target ? attempt : nil
  }

  /// Whether the target still holds what the attempt has written: not where somebody removed it.
  private static func isAlive(_ attempt: Attempt, _ target: [UInt8]) -> Bool {
    guard attempt.target == target,
      let directory = try? FileCalls.openDirectory(
        at: AT_FDCWD, cString(target), path: displayPath(target)),
      let status = try? FileCalls.status(of: directory.descriptor, path: displayPath(target)),
      let listing = try? DirectoryListing.read(directory.descriptor, path: displayPath(target))
    else { return false }
    return status.inode == attempt.inode && listing.count > 0
  }

  private static func path(directory: String, target: [UInt8]) -> String {
    let name = hexadecimal(target.withUnsafeBytes { checksum($0) })
    return directory + "/restores/" + name
  }

  /// Writes this attempt down, durably. Called before anything is written to the target.
  package func begin(
    inode: UInt64, targetWasAbsent: Bool, targetWasEmpty: Bool
  ) throws(PipelineError) {
    var attempt = current
    attempt.inode = inode
    if unfinished == nil {
      attempt.targetWasAbsent = targetWasAbsent
      attempt.targetWasEmpty = targetWasEmpty
    }
    let bytes = JournalText.encode(attempt)
    if file.withLock({ $0 == nil }) { try make() }
    try fromDisk { () throws(DiskError) in
      try file.withLock { (file) throws(DiskError) in
        guard let descriptor = file?.descriptor else { return }
        // Appended, so that a torn write costs this attempt's record and not the one before it.
        if unfinished == nil { try FileCalls.truncate(descriptor, 0, path: path) }
        let size = try FileCalls.status(of: descriptor, path: path).size
        try bytes.withUnsafeBytesTyped { (raw) throws(DiskError) in
          try FileCalls.write(descriptor, at: size, raw, path: path)
        }
        try FileCalls.sync(descriptor, path: path)
      }
    }
  }

  private func make() throws(PipelineError) {
    let parent = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
    let made = try fromDisk { () throws(DiskError) in
      _ = try LocalStorage(path: parent, create: true)
      let made = Handle(
        try FileCalls.open(
          at: AT_FDCWD, path, flags: O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600, path: path))
      let above = try FileCalls.openDirectory(at: AT_FDCWD, parent, path: parent)
      try FileCalls.sync(above.descriptor, path: parent)
      return made
    }
    try RestoreJournal.lock(made.descriptor, path)
    file.withLock { $0 = made }
  }

  /// The restore is done, or nothing of it is left: forgets it.
  package func finish() {
    // The lock goes with the descriptor, after the name is gone.
    try? FileCalls.unlink(at: AT_FDCWD, path, path: path)
    file.withLock { $0 = nil }
  }

  /// The attempt is over, whatever became of it: another may take the target up.
  package func release() { file.withLock { $0 = nil } }

  // MARK: Reading

  private static func openExisting(
    _ path: String
  ) throws(PipelineError) -> (file: Handle?, attempt: Attempt?) {
    let file: Handle
    do throws(DiskError) {
      file = Handle(
        try FileCalls.open(at: AT_FDCWD, path, flags: O_RDWR | O_NOFOLLOW, path: path))
    } catch {
      guard error.isNotFound || error.errno == ENOTDIR else { throw PipelineError(error) }
      return (nil, nil)
    }
    try lock(file.descriptor, path)
    let bytes = try fromDisk { () throws(DiskError) in
      let size = try FileCalls.status(of: file.descriptor, path: path).size
      let buffer = Buffer(capacity: Int(min(size, 64 << 20)) + 1)
      let got = try FileCalls.read(file.descriptor, at: 0, into: buffer.bytes, path: path)
      return [UInt8](buffer.bytes[..<got])
    }
    return (file, JournalText.decodeLast(bytes))
  }

  private static func lock(_ descriptor: CInt, _ path: String) throws(PipelineError) {
    guard try fromDisk({ () throws(DiskError) in try FileCalls.lock(descriptor, path: path) })
    else {
      throw PipelineError(
        .busy, "a restore to the same target is running: \(path) is locked", path: path)
    }
  }
}

/// The bytes of a journal: a record an attempt. Each record is its length (4), XXH3-64 of its
/// payload (8) and the payload: magic `MURESTOR` (8), version (2, 1), repository (16), snapshot
/// (16), inode (8), absent (1), empty (1), started (8), number (4), boot (length-prefixed), target
/// (length-prefixed).
private enum JournalText {
  static let magic = [UInt8]("MURESTOR".utf8)

  static func encode(_ attempt: RestoreJournal.Attempt) -> [UInt8] {
    var payload = ByteWriter()
    payload.raw(magic)
    payload.integer(UInt16(1))
    payload.identifier(attempt.repository)
    payload.identifier(attempt.snapshot)
    payload.integer(attempt.inode)
    payload.byte(attempt.targetWasAbsent ? 1 : 0)
    payload.byte(attempt.targetWasEmpty ? 1 : 0)
    payload.integer(attempt.startedNanoseconds)
    payload.integer(attempt.number)
    payload.lengthPrefixed(attempt.boot)
    payload.lengthPrefixed(attempt.target)
    var record = ByteWriter()
    record.integer(UInt32(payload.count))
    record.integer(payload.bytes.withUnsafeBytes { checksum($0) })
    record.raw(payload.bytes)
    return record.bytes
  }

  /// The last record that is whole; nil where none is.
  static func decodeLast(_ bytes: [UInt8]) -> RestoreJournal.Attempt? {
    var last: RestoreJournal.Attempt?
    try? bytes.withUnsafeBytesTyped { (raw) throws(FormatError) in
      var reader = ByteReader(raw)
      while reader.remaining >= 12 {
        let count = Int(try reader.integer(UInt32.self))
        let sum = try reader.integer(UInt64.self)
        guard count <= reader.remaining else { return }
        let payload = try reader.view(count)
        guard checksum(payload) == sum else { return }
        last = try decode(payload)
      }
    }
    return last
  }

  private static func decode(
    _ payload: UnsafeRawBufferPointer
  ) throws(FormatError) -> RestoreJournal.Attempt? {
    var reader = ByteReader(payload)
    guard try reader.array(8) == magic, try reader.integer(UInt16.self) == 1 else {
      return nil
    }
    let repository = try reader.identifier()
    let snapshot = try reader.identifier()
    let inode = try reader.integer(UInt64.self)
    let wasAbsent = try reader.flag()
    let wasEmpty = try reader.flag()
    let started = try reader.integer(Int64.self)
    let number = try reader.integer(UInt32.self)
    let boot = try reader.lengthPrefixed(limit: 4096, "boot id")
    let target = try reader.lengthPrefixed(limit: FormatLimit.pathByteCount, "target")
    var attempt = RestoreJournal.Attempt(
      repository: repository, snapshot: snapshot, target: target, startedNanoseconds: started,
      boot: boot)
    attempt.inode = inode
    attempt.targetWasAbsent = wasAbsent
    attempt.targetWasEmpty = wasEmpty
    attempt.number = number
    return attempt
  }
}
