import Glibc

/// Owned raw memory, aligned to 4096 bytes so that direct I/O can use it; freed in deinit.
/// Its bytes are not cleared.
///
/// `@unchecked Sendable`: there is one owner at a time, and the memory moves with it.
package struct Buffer: ~Copyable, @unchecked Sendable {
  package static let alignment = 4096
  private static let hugePageByteCount = 2 << 20

  /// In bytes, as asked for.
  package let capacity: Int
  private let base: UnsafeMutableRawPointer

  package init(capacity: Int) {
    precondition(capacity >= 0, "a buffer has no negative size")
    self.capacity = capacity
    base = .allocate(byteCount: max(capacity, 1), alignment: Self.alignment)
  }

  /// In huge pages where the system has some: a device is handed few long pieces instead of many
  /// pages. For buffers of several MiB.
  package init(inHugePages capacity: Int) {
    precondition(capacity > 0, "a buffer of huge pages has a size")
    self.capacity = capacity
    base = .allocate(byteCount: capacity, alignment: Self.hugePageByteCount)
    // Only advice.
    _ = madvise(base, capacity, MADV_HUGEPAGE)
  }

  deinit { base.deallocate() }

  /// All of it. Valid as long as this buffer lives; whoever holds it does not outlive the owner.
  package var bytes: UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: base, count: capacity)
  }
}
