import Glibc
import MuninnDisk
import MuninnFormat

/// Pages of a window's large files on their way to the disk while those who decoded them decode the
/// next: threads of its own write them.
///
/// A thread that wrote its pages itself would wait for the disk for as long as it works. More such
/// threads do not fill that time: what each needs in the processor's caches drives out what the
/// others have there.
final class WriteBehind: Sendable {
  /// A file's two handles.
  struct Target: Sendable {
    let file: SharedFile
    let direct: Handle
    let plain: Handle
  }

  /// `@unchecked Sendable`: a slot's bytes belong to who has its number, and are there until the
  /// writers have ended.
  private struct Piece: @unchecked Sendable {
    let slot: Int
    let bytes: UnsafeRawBufferPointer
    let offset: UInt64
    let target: Target
  }

  /// Of one write, in bytes: whole pages.
  private static let pieceByteCount = 512 << 10

  private let filled: BoundedQueue<Piece>
  /// Slots of `arena`.
  private let empty: BoundedQueue<Int>
  private let arena: Buffer
  private let writers: [WorkerThread]

  init(_ window: RestoreWindow, _ run: RestoreRun) {
    let isWanted = window.shared.contains { $0?.isWrittenDirectly(run) == true }
    // Two units for each thread that decodes, so that one is written while the next is decoded.
    let pieceCount = min(16 * run.threads, 64)
    let filled = BoundedQueue<Piece>(capacity: pieceCount)
    let empty = BoundedQueue<Int>(capacity: pieceCount)
    self.filled = filled
    self.empty = empty
    guard isWanted else {
      arena = Buffer(capacity: 0)
      writers = []
      return
    }
    arena = Buffer(inHugePages: pieceCount * WriteBehind.pieceByteCount)
    for slot in 0..<pieceCount { _ = empty.push(slot) }
    // Short writes wait longer than they take, and a thread whose write is done waits for a core.
    writers = (0..<min(4 * run.threads, 16)).map { _ in
      WorkerThread.start(name: "muninn-write") {
        while let piece = filled.pop() {
          WriteBehind.put(piece, run)
          if let identity = piece.target.file.complete(1, run) {
            window.identities.withLock { $0.append(identity) }
          }
          _ = empty.push(piece.slot)
        }
      }
    }
  }

  deinit { end() }

  /// Copies the parts, each of whole pages, which come one behind the other from a page's offset of
  /// the file on. What goes wrong later fails the file. Until all is written the file has an extent
  /// more for each piece.
  func write(_ parts: [UnsafeRawBufferPointer], at offset: UInt64, of target: Target) {
    precondition(!writers.isEmpty, "a file of another window")
    let whole = parts.reduce(0) { $0 + $1.count }
    target.file.add((whole + WriteBehind.pieceByteCount - 1) / WriteBehind.pieceByteCount)
    var done = 0
    var part = 0
    var place = 0
    while done < whole, let slot = empty.pop() {
      let start = slot * WriteBehind.pieceByteCount
      let bytes = arena.bytes[start..<(start + WriteBehind.pieceByteCount)]
      var count = 0
      while count < WriteBehind.pieceByteCount, part < parts.count {
        let more = min(WriteBehind.pieceByteCount - count, parts[part].count - place)
        UnsafeMutableRawBufferPointer(rebasing: bytes.dropFirst(count)).copyMemory(
          from: UnsafeRawBufferPointer(rebasing: parts[part][place..<(place + more)]))
        count += more
        place += more
        if place == parts[part].count { (part, place) = (part + 1, 0) }
      }
      let piece = Piece(
        slot: slot, bytes: UnsafeRawBufferPointer(rebasing: bytes.prefix(count)),
        offset: offset + UInt64(done), target: target)
      _ = filled.push(piece)
      done += count
    }
  }

  /// Returns when everything is written and counted.
  func end() {
    filled.close()
    for writer in writers { writer.join() }
  }

  private static func put(_ piece: Piece, _ run: RestoreRun) {
    let (bytes, offset, target) = (piece.bytes, piece.offset, piece.target)
    let file = target.file
    guard !file.hasFailed else { return }
    let path = { displayPath(file.planned.entry.path) }
    do throws(DiskError) {
      do throws(DiskError) {
        try FileCalls.write(target.direct.descriptor, at: offset, bytes, path: path())
      } catch {
        // Another alignment is wanted, or the file system does not know direct writes.
        guard error.errno == EINVAL else { throw error }
        run.direct.noteUnsupported()
        try FileCalls.write(target.plain.descriptor, at: offset, bytes, path: path())
      }
    } catch {
      file.fail(error, run)
    }
  }
}
