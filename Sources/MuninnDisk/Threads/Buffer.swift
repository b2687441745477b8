/// Owned raw memory, aligned to 4096 bytes so that direct I/O can use it; freed in deinit.
/// Its bytes are not cleared.
///
/// `@unchecked Sendable`: there is one owner at a time, and the memory moves with it.
package struct Buffer: ~Copyable, @unchecked Sendable {
  package static let alignment = 4096

  /// In bytes, as asked for.
  package let capacity: Int
  private let base: UnsafeMutableRawPointer

  package init(capacity: Int) {
    precondition(capacity >= 0, "a buffer has no negative size")
    self.capacity = capacity
    base = .allocate(byteCount: max(capacity, 1), alignment: Self.alignment)
  }

  deinit { base.deallocate() }

  /// All of it. Valid as long as this buffer lives; whoever holds it does not outlive the owner.
  package var bytes: UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: base, count: capacity)
  }
}
