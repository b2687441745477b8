/// A checked cursor over bytes that nobody vouches for. Every read is bounds-checked and throws
/// `truncated`.
///
/// All integers are little-endian. The pointer must outlive the reader; readers are made inside
/// `withUnsafeBytes`.
package struct ByteReader {
  private let bytes: UnsafeRawBufferPointer
  package private(set) var offset = 0

  package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  package var remaining: Int { bytes.count - offset }

  @inline(__always)
  private mutating func advance(_ count: Int) throws(FormatError) -> Int {
    guard count >= 0, count <= bytes.count - offset else {
      throw FormatError(
        .truncated, "\(count) bytes expected at offset \(offset), \(bytes.count - offset) left")
    }
    defer { offset += count }
    return offset
  }

  package mutating func integer<T: FixedWidthInteger>(_ type: T.Type) throws(FormatError) -> T {
    let start = try advance(MemoryLayout<T>.size)
    return T(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: T.self))
  }

  package mutating func byte() throws(FormatError) -> UInt8 { bytes[try advance(1)] }

  /// A byte that is 0 or 1.
  package mutating func flag() throws(FormatError) -> Bool {
    switch try byte() {
    case 0: false
    case 1: true
    case let other: throw FormatError(.invalidValue, "\(other) where 0 or 1 belongs")
    }
  }

  /// LEB128, at most 10 bytes.
  package mutating func varint() throws(FormatError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      let next = try byte()
      guard shift < 63 || next <= 1 else {
        throw FormatError(.invalidValue, "integer over 64 bits before offset \(offset)")
      }
      value |= UInt64(next & 0x7F) << shift
      if next & 0x80 == 0 { return value }
      shift += 7
    }
  }

  /// A varint that counts or measures something in memory: at most `limit`. Below zero the limit
  /// refuses everything, as that of an ordinal into an empty table does.
  package mutating func count(limit: Int, _ what: StaticString) throws(FormatError) -> Int {
    let value = try varint()
    guard limit >= 0, value <= UInt64(limit) else {
      throw FormatError(.invalidValue, "\(what) of \(value) is over the limit of \(limit)")
    }
    return Int(value)
  }

  package mutating func signed() throws(FormatError) -> Int64 {
    let value = try varint()
    return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
  }

  package mutating func view(_ count: Int) throws(FormatError) -> UnsafeRawBufferPointer {
    let start = try advance(count)
    return UnsafeRawBufferPointer(rebasing: bytes[start..<(start + count)])
  }

  package mutating func array(_ count: Int) throws(FormatError) -> [UInt8] {
    [UInt8](try view(count))
  }

  /// Bytes with their length before them.
  package mutating func lengthPrefixed(limit: Int, _ what: StaticString) throws(FormatError)
    -> [UInt8]
  {
    try array(try count(limit: limit, what))
  }

  package mutating func identifier() throws(FormatError) -> Identifier {
    Identifier(high: try integer(UInt64.self), low: try integer(UInt64.self))
  }

  package mutating func chunkIdentity() throws(FormatError) -> ChunkIdentity {
    ChunkIdentity(
      fingerprint: Pair128(low: try integer(UInt64.self), high: try integer(UInt64.self)),
      tag: Pair128(low: try integer(UInt64.self), high: try integer(UInt64.self)))
  }

  /// Throws where bytes are left over.
  package func expectEnd() throws(FormatError) {
    guard remaining == 0 else {
      throw FormatError(.invalidValue, "\(remaining) bytes left over at offset \(offset)")
    }
  }
}
