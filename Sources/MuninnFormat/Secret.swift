internal import Glibc

/// Bytes that nobody else may see: a passphrase, or what a key file holds.
///
/// They lie in memory of their own, which is zeroed before it is given back, and neither a
/// description nor a dump of the value shows them.
// Unchecked, because a pointer is not Sendable: the bytes are written before `init` returns, only
// read from then on, and freed when nobody holds the value any more.
package final class Secret: @unchecked Sendable {
  private let bytes: UnsafeMutableRawBufferPointer

  package convenience init(copying source: UnsafeRawBufferPointer) {
    self.init(byteCount: source.count)
    bytes.copyMemory(from: source)
  }

  /// Takes the bytes over and zeroes the array, which nobody else may share.
  package convenience init(taking source: inout [UInt8]) {
    self.init(byteCount: source.count)
    bytes.copyBytes(from: source)
    zero(&source)
  }

  private init(byteCount: Int) {
    bytes = .allocate(byteCount: max(1, byteCount), alignment: 16)
    count = byteCount
  }

  deinit {
    zero(bytes)
    bytes.deallocate()
  }

  /// In bytes.
  package let count: Int

  package func withBytes<R, E: Error>(
    _ body: (UnsafeRawBufferPointer) throws(E) -> R
  ) throws(E) -> R {
    try body(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
  }
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  package var description: String { "(secret)" }
  package var debugDescription: String { description }
  package var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// Zeroes memory in a way that no optimiser leaves out.
package func zero(_ bytes: UnsafeMutableRawBufferPointer) {
  guard let start = bytes.baseAddress else { return }
  explicit_bzero(start, bytes.count)
}

/// Zeroes an array's bytes. It must be the only one that holds them: else a copy is zeroed.
package func zero(_ bytes: inout [UInt8]) { bytes.withUnsafeMutableBytes { zero($0) } }

/// Zeroes the bytes of a value of swift-crypto's in their place, which nobody else may hold.
func zero(inPlace bytes: inout some MutableCollection<UInt8>) {
  var index = bytes.startIndex
  while index != bytes.endIndex {
    bytes[index] = 0
    bytes.formIndex(after: &index)
  }
}
