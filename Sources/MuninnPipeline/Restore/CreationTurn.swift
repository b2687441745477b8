import MuninnDisk

/// Lets one thread at a time make new files, several of them, where that is faster.
///
/// Before ext4 puts an inode into a block of its table it reads the block from the device, unless
/// no other inode of it is in use. Threads that make files at the same time find each other's
/// inodes in every block, and wait behind whatever the device is writing; one that makes as many
/// as a block holds finds the block unused.
struct CreationTurn: Sendable {
  /// How many inodes such a block holds: 256 bytes each in 4 KiB.
  static let fileCount = 16
  /// Where more threads make files, each would wait for the others more than for the device.
  private static let maximumThreadCount = 4
  /// ext2 and ext3 have the same.
  private static let ext4Type: UInt64 = 0xEF53

  /// A value of some size: ThreadSanitizer takes access to none for access to the monitor itself.
  private let turn = Monitor(false)
  private let isTaken: Bool

  /// For files below an open directory, made by so many threads.
  init(below directory: CInt, threads: Int) {
    isTaken =
      threads > 1 && threads <= Self.maximumThreadCount
      && (try? FileCalls.fileSystemType(of: directory, path: "")) == Self.ext4Type
  }

  /// Makes `fileCount` files at most.
  func take(_ body: () -> Void) {
    guard isTaken else { return body() }
    turn.withLock { _ in body() }
  }
}
