import CMuninnSystem
import Glibc

/// Writes one object of a local repository in large pieces at multiples of their size.
///
/// Where the file system allows it they go past the page cache (O_DIRECT), written by the storage's
/// threads while the next ones are filled; all but the last bytes, which are no whole pages.
/// Elsewhere they are handed to the device early, so that the sync at the end finds little to do.
///
/// `@unchecked Sendable`: the protocol's contract is that one thread at a time uses it. The
/// storage's threads have pieces that it gave away, and `flight`.
final class LocalObjectWriter: ObjectWriter, @unchecked Sendable {
  private static let writeByteCount = WritePiece.byteCount
  /// How much to gather before asking for write-back: requests of a size that disks like.
  private static let writeBackByteCount: UInt64 = 4 << 20
  /// No object reserves more at once: the hint may be wrong.
  private static let maximumReservation: UInt64 = 1 << 30
  /// Where fewer reservations than this are free, nothing is reserved.
  private static let leastFreeReservations: UInt64 = 64

  /// The writes that threads of the storage do meanwhile, and what went wrong with one of them.
  private struct Flight: Sendable {
    var underWay = 0
    var failure: DiskError?
  }

  private let name: String
  private let storage: LocalStorage
  private let expectedByteCount: UInt64
  /// The piece that is being filled.
  private var piece: WritePiece
  private let flight = Monitor(Flight())
  /// Nil after `finish` and `discard`.
  private var file: NewFile?
  private var failure: DiskError?
  private var buffered = 0
  private var written: UInt64 = 0
  private var writtenBack: UInt64 = 0
  private var isDirect = false
  private var hasReserved = false

  init(name: String, storage: LocalStorage, file: NewFile, expectedByteCount: UInt64) {
    self.name = name
    self.storage = storage
    self.file = file
    self.expectedByteCount = expectedByteCount
    storage.directWriting.beginWriter()
    piece = storage.directWriting.takePiece()
  }

  // A write under way holds on to its writer: there is none.
  deinit {
    storage.directWriting.giveBack(piece)
    storage.directWriting.endWriter()
  }

  var byteCount: UInt64 { written + UInt64(buffered) }

  func append(_ bytes: UnsafeRawBufferPointer) throws(DiskError) {
    let file = try openFile("write")
    var rest = bytes
    while !rest.isEmpty {
      let part = UnsafeRawBufferPointer(rebasing: rest.prefix(Self.writeByteCount - buffered))
      UnsafeMutableRawBufferPointer(rebasing: piece.bytes[buffered...]).copyMemory(from: part)
      buffered += part.count
      rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(part.count))
      if buffered == Self.writeByteCount { try flushWhole(to: file) }
    }
  }

  func finish() throws(DiskError) {
    let file = try openFile("finish")
    try settleFlight()
    try flushRest(to: file)
    try keeping { () throws(DiskError) in
      if hasReserved { try trim(file) }
      try FileCalls.sync(file.descriptor, path: path)
      try storage.publish(file, as: name)
    }
    self.file = nil
  }

  func discard() {
    waitForFlight()
    file = nil
  }

  private var path: String { storage.path(of: name) }

  private func openFile(_ operation: StaticString) throws(DiskError) -> NewFile {
    if let failure { throw failure }
    guard let file else { throw SystemCall.failure(EBADF, operation, path) }
    return file
  }

  /// After an error every call throws it again: nothing may go on as if it had not been.
  private func keeping(_ body: () throws(DiskError) -> Void) throws(DiskError) {
    do throws(DiskError) { try body() } catch {
      failure = error
      throw error
    }
  }

  // MARK: Whole pieces

  private func flushWhole(to file: NewFile) throws(DiskError) {
    if written == 0 {
      try keeping { () throws(DiskError) in try reserve(file) }
      isDirect =
        storage.directWriting.isEnabled && FileCalls.setDirect(file.descriptor, true)
    }
    if !storage.directWriting.isEnabled { try settleFlight() }
    guard isDirect else {
      try writeBuffered(Self.writeByteCount, to: file)
      return
    }
    try checkFlight()
    let (full, descriptor, offset) = (piece, file.descriptor, written)
    written += UInt64(buffered)
    buffered = 0
    flight.withLock { $0.underWay += 1 }
    storage.directWriting.run { [self] in
      let failure = writeDirectly(UnsafeRawBufferPointer(full.bytes), to: descriptor, at: offset)
      storage.directWriting.giveBack(full)
      flight.update {
        $0.failure = $0.failure ?? failure
        $0.underWay -= 1
      }
    }
    piece = storage.directWriting.takePiece()
  }

  /// On a thread of the storage. What direct I/O refuses (EINVAL: another alignment is wanted, or
  /// the file system does not know it) is written through the page cache.
  private func writeDirectly(
    _ bytes: UnsafeRawBufferPointer, to descriptor: CInt, at offset: UInt64
  ) -> DiskError? {
    do throws(DiskError) {
      do throws(DiskError) {
        try FileCalls.write(descriptor, at: offset, bytes, path: path)
      } catch {
        guard error.errno == EINVAL else { throw error }
        storage.directWriting.noteUnsupported()
        _ = FileCalls.setDirect(descriptor, false)
        try FileCalls.write(descriptor, at: offset, bytes, path: path)
      }
      return nil
    } catch {
      return error
    }
  }

  /// Throws what went wrong with a write that has ended.
  private func checkFlight() throws(DiskError) {
    try keeping { () throws(DiskError) in
      if let failed = flight.withLock({ $0.failure }) { throw failed }
    }
  }

  private func waitForFlight() { flight.wait(until: { $0.underWay == 0 }) }

  /// Waits for the writes under way, and throws what went wrong with one of them.
  private func settleFlight() throws(DiskError) {
    guard isDirect else { return }
    waitForFlight()
    try checkFlight()
    if !storage.directWriting.isEnabled { leaveDirect() }
  }

  // MARK: The end, and files that are written through the page cache

  /// What is left may end anywhere, as direct writes cannot.
  private func flushRest(to file: NewFile) throws(DiskError) {
    leaveDirect()
    try writeBuffered(buffered, to: file)
  }

  private func leaveDirect() {
    guard isDirect, let file else { return }
    _ = FileCalls.setDirect(file.descriptor, false)
    isDirect = false
  }

  private func writeBuffered(_ count: Int, to file: NewFile) throws(DiskError) {
    buffered = 0
    try keeping { () throws(DiskError) in
      try FileCalls.write(
        file.descriptor, at: written, UnsafeRawBufferPointer(rebasing: piece.bytes[..<count]),
        path: path)
    }
    written += UInt64(count)
    if written - writtenBack >= Self.writeBackByteCount {
      // Only a hint: errors come out at the sync.
      _ = muninn_start_write_back(
        file.descriptor, Int64(writtenBack), Int64(written - writtenBack))
      writtenBack = written
    }
  }

  // MARK: Reserving

  /// Reserves what the object will probably need, so that it lies in one piece. Not on a disk that
  /// is nearly full: the guess may be too large, and every writer makes one; the writes tell.
  private func reserve(_ file: NewFile) throws(DiskError) {
    let wanted = min(expectedByteCount, Self.maximumReservation)
    guard wanted > UInt64(Self.writeByteCount),
      let free = try? FileCalls.freeBytes(of: file.descriptor, path: path),
      free / Self.leastFreeReservations >= wanted
    else { return }
    do throws(DiskError) {
      hasReserved = try FileCalls.reserve(file.descriptor, wanted, path: path)
    } catch {
      // EFBIG: over the process's limit for files, which the object may keep.
      guard error.isNoSpace || error.errno == EFBIG || error.errno == EINVAL else { throw error }
      // A part of it may have been reserved.
      hasReserved = true
    }
  }

  /// Gives back what was reserved and not needed.
  private func trim(_ file: NewFile) throws(DiskError) {
    guard written < min(expectedByteCount, Self.maximumReservation) else { return }
    try FileCalls.truncate(file.descriptor, written, path: path)
  }
}
