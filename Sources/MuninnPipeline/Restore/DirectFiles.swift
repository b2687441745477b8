import Glibc
import MuninnDisk
import MuninnFormat
import Synchronization

/// Which files of a restore are written past the page cache, and how.
///
/// The pages of a large file would not stay in memory for long, and making them takes longer than
/// the disk needs for their content: memory is found and cleared, all of it copied, and the disk's
/// write left to a later time that a sync then waits for. Two threads that write to one file by way
/// of the page cache wait for each other besides (ext4 and others hold the inode's lock), which
/// direct writes to space that was reserved do not.
final class DirectFiles: Sendable {
  /// Smaller files are better off in the page cache: the kernel gathers them.
  private static let leastFileByteCount: UInt64 = 8 << 20
  /// Runs of a file that are shorter are handed to the page cache.
  private static let leastByteCount = 128 << 10
  /// What offsets, lengths and addresses of direct writes are multiples of.
  private static let alignment = Buffer.alignment

  private let isPossible = Atomic<Bool>(true)

  /// Whether a file is one that is written directly, once its space is reserved.
  func isFor(_ entry: ManifestEntry) -> Bool {
    entry.size >= Self.leastFileByteCount && isPossible.load(ordering: .relaxed)
  }

  /// From now on files are written through the page cache: this file system refused.
  func noteUnsupported() { isPossible.store(false, ordering: .relaxed) }

  /// Writes the whole pages of a run of a file past the page cache, by way of `piece`. Returns
  /// which of the bytes they were; what is before and behind them shares pages with the runs beside
  /// this one. Nil where nothing was written.
  func write(
    _ bytes: UnsafeRawBufferPointer, at offset: UInt64, to descriptor: CInt,
    piece: inout Buffer, path: @autoclosure () -> String
  ) throws(DiskError) -> Range<Int>? {
    let mask = Self.alignment - 1
    let head = (Self.alignment - Int(offset & UInt64(mask))) & mask
    let count = (bytes.count - head) & ~mask
    guard count >= Self.leastByteCount, isPossible.load(ordering: .relaxed) else { return nil }
    if piece.capacity < count { piece = Buffer(capacity: count) }
    let whole = UnsafeMutableRawBufferPointer(rebasing: piece.bytes[..<count])
    let pages = head..<(head + count)
    whole.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[pages]))
    do throws(DiskError) {
      try FileCalls.write(
        descriptor, at: offset + UInt64(head), UnsafeRawBufferPointer(whole), path: path())
    } catch {
      // Another alignment is wanted, or the file system does not know direct writes.
      guard error.errno == EINVAL else { throw error }
      noteUnsupported()
      return nil
    }
    return pages
  }
}
