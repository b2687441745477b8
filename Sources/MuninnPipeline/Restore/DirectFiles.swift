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
  private static let leastByteCount = 16 << 10
  /// Pages of all files that wait for their other part: of very many pieces each has one or two.
  /// 4 MiB.
  private static let maximumSeamCount = 1024

  private let isPossible = Atomic<Bool>(true)
  private let seamCount = Atomic<Int>(0)

  /// Whether a file is one that is written directly, once its space is reserved.
  func isFor(_ entry: ManifestEntry) -> Bool {
    entry.size >= Self.leastFileByteCount && isPossible.load(ordering: .relaxed)
  }

  /// From now on files are written through the page cache: this file system refused.
  func noteUnsupported() { isPossible.store(false, ordering: .relaxed) }

  /// Which bytes of a run of a file are whole pages that are written past the page cache; what is
  /// before and behind them shares pages with the runs beside this one. Nil where the run is too
  /// short for that.
  func pages(of count: Int, at offset: UInt64) -> Range<Int>? {
    let mask = PageSeams.pageByteCount - 1
    let head = -Int(offset & UInt64(mask)) & mask
    let whole = (count - head) & ~mask
    guard whole >= Self.leastByteCount, isPossible.load(ordering: .relaxed) else { return nil }
    return head..<(head + whole)
  }

  /// Counts pages more, or fewer, that wait. Returns whether they are too many.
  func countSeams(_ change: Int) -> Bool {
    seamCount.add(change, ordering: .relaxed).newValue >= Self.maximumSeamCount
  }
}
