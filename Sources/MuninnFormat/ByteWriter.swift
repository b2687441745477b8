/// Encodes values into bytes that `ByteReader` reads back. All integers are little-endian.
package struct ByteWriter: Sendable {
  package private(set) var bytes: [UInt8] = []

  package init(reserving count: Int = 0) { bytes.reserveCapacity(count) }

  package var count: Int { bytes.count }

  package mutating func integer<T: FixedWidthInteger>(_ value: T) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }

  package mutating func byte(_ value: UInt8) { bytes.append(value) }

  package mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(truncatingIfNeeded: rest))
  }

  package mutating func count(_ value: Int) { varint(UInt64(value)) }

  package mutating func signed(_ value: Int64) {
    varint(UInt64(bitPattern: (value << 1) ^ (value >> 63)))
  }

  package mutating func raw(_ source: [UInt8]) { bytes.append(contentsOf: source) }

  package mutating func raw(_ source: UnsafeRawBufferPointer) { bytes.append(contentsOf: source) }

  package mutating func raw(_ source: ArraySlice<UInt8>) { bytes.append(contentsOf: source) }

  package mutating func lengthPrefixed(_ source: [UInt8]) {
    count(source.count)
    raw(source)
  }

  package mutating func identifier(_ value: Identifier) {
    integer(value.high)
    integer(value.low)
  }

  package mutating func chunkIdentity(_ value: ChunkIdentity) {
    integer(value.fingerprint.low)
    integer(value.fingerprint.high)
    integer(value.tag.low)
    integer(value.tag.high)
  }

  package mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }
}
