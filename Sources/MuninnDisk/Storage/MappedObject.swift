import Glibc

/// The bytes of a whole object, read-only, for as long as this lives.
///
/// A mapped file that is cut short by another program, or whose disk fails, raises SIGBUS when a
/// lost page is touched. Repository objects never change, so nothing of ours does that.
///
/// `@unchecked Sendable`: nobody writes through `bytes` after init.
package final class MappedObject: @unchecked Sendable {
  private enum Memory {
    case mapping(UnsafeMutableRawPointer, byteCount: Int)
    case allocation(UnsafeMutableRawPointer)
  }

  /// Valid as long as the object lives: hold on to it while using them (`withExtendedLifetime`).
  package let bytes: UnsafeRawBufferPointer
  private let memory: Memory

  package var count: Int { bytes.count }

  /// Keeps a copy.
  package convenience init(copying source: [UInt8]) {
    let copy = UnsafeMutableRawPointer.allocate(
      byteCount: max(source.count, 1), alignment: Buffer.alignment)
    source.withUnsafeBytes { source in
      UnsafeMutableRawBufferPointer(start: copy, count: source.count).copyMemory(from: source)
    }
    self.init(adopting: copy, byteCount: source.count)
  }

  /// Takes over memory from `allocate`, of which the first `byteCount` bytes are filled.
  init(adopting allocation: UnsafeMutableRawPointer, byteCount: Int) {
    bytes = UnsafeRawBufferPointer(start: allocation, count: byteCount)
    memory = .allocation(allocation)
  }

  /// Maps the first `byteCount` bytes, which must be more than 0, of an open file.
  init(mapping descriptor: CInt, byteCount: Int, path: () -> String) throws(DiskError) {
    guard
      let base = mmap(nil, byteCount, PROT_READ, MAP_SHARED, descriptor, 0),
      base != MAP_FAILED
    else { throw SystemCall.failure(errno, "mmap", path()) }
    bytes = UnsafeRawBufferPointer(start: base, count: byteCount)
    memory = .mapping(base, byteCount: byteCount)
  }

  deinit {
    switch memory {
    case .mapping(let base, let byteCount): munmap(base, byteCount)
    case .allocation(let base): base.deallocate()
    }
  }
}
