/// What a frame holds.
package enum FrameKind: UInt8, Sendable {
  case block = 1
  case directory = 2
  case record = 3
  case segmentPage = 4
  case segmentTables = 5
  case repository = 6
  case segmentFilter = 7
  case checkpoint = 8
  case head = 9
  case segmentLists = 10
  case slotParameters = 16
  case wrappedKeys = 17
  case keyEpoch = 18
}

/// How a frame's payload was made smaller before it was sealed.
package enum FrameEncoding: UInt8, Sendable {
  case raw = 0
  case lz4 = 1
}

/// The 32 bytes before each stored payload, in the clear: enough to find and check it without key
/// or index.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 8 | XXH3-64 of everything after these 8 bytes, payload included |
/// | 8 | 4 | magic `MFRM` |
/// | 12 | 4 | number of the frame within its object; the nonce where the object is sealed |
/// | 16 | 4 | stored bytes that follow |
/// | 20 | 4 | bytes of the payload before compression |
/// | 24 | 1 | kind |
/// | 25 | 1 | encoding |
/// | 26 | 6 | zero |
package struct Frame: Sendable, Equatable {
  package static let byteCount = 32
  static let magic: UInt32 = 0x4D52_464D

  package let kind: FrameKind
  package let encoding: FrameEncoding
  package let number: UInt32
  package let storedByteCount: Int
  package let rawByteCount: Int

  package init(
    kind: FrameKind, encoding: FrameEncoding, number: UInt32, storedByteCount: Int,
    rawByteCount: Int
  ) {
    self.kind = kind
    self.encoding = encoding
    self.number = number
    self.storedByteCount = storedByteCount
    self.rawByteCount = rawByteCount
  }

  /// Writes the header into the first 32 bytes of `target`, behind which the stored payload already
  /// lies.
  package func write(before target: UnsafeMutableRawBufferPointer) {
    target.storeBytes(of: Frame.magic.littleEndian, toByteOffset: 8, as: UInt32.self)
    target.storeBytes(of: number.littleEndian, toByteOffset: 12, as: UInt32.self)
    target.storeBytes(
      of: UInt32(storedByteCount).littleEndian, toByteOffset: 16, as: UInt32.self)
    target.storeBytes(of: UInt32(rawByteCount).littleEndian, toByteOffset: 20, as: UInt32.self)
    target.storeBytes(of: kind.rawValue, toByteOffset: 24, as: UInt8.self)
    target.storeBytes(of: encoding.rawValue, toByteOffset: 25, as: UInt8.self)
    for offset in 26..<32 { target.storeBytes(of: 0, toByteOffset: offset, as: UInt8.self) }
    let covered = UnsafeRawBufferPointer(
      rebasing: target[8..<(Frame.byteCount + storedByteCount)])
    target.storeBytes(of: checksum(covered).littleEndian, toByteOffset: 0, as: UInt64.self)
  }

  /// Reads the header at the start of `bytes`, without looking at the payload.
  package init(header bytes: UnsafeRawBufferPointer) throws(FormatError) {
    var reader = ByteReader(bytes)
    _ = try reader.integer(UInt64.self)
    guard try reader.integer(UInt32.self) == Frame.magic else {
      throw FormatError(.invalidValue, "no frame begins here")
    }
    number = try reader.integer(UInt32.self)
    let stored = try reader.integer(UInt32.self)
    let raw = try reader.integer(UInt32.self)
    let rawKind = try reader.byte()
    let rawEncoding = try reader.byte()
    guard let kind = FrameKind(rawValue: rawKind),
      let encoding = FrameEncoding(rawValue: rawEncoding),
      Int(stored) <= FormatLimit.recordByteCount, Int(raw) <= FormatLimit.recordByteCount
    else {
      throw FormatError(
        .invalidValue,
        "a frame of kind \(rawKind), encoding \(rawEncoding), \(stored) stored, \(raw) raw bytes")
    }
    self.kind = kind
    self.encoding = encoding
    storedByteCount = Int(stored)
    rawByteCount = Int(raw)
  }

  /// Reads the header and checks header and payload against the checksum; returns the stored
  /// payload as well.
  package static func checked(
    _ bytes: UnsafeRawBufferPointer, kind: FrameKind, number: UInt32
  ) throws(FormatError) -> (frame: Frame, stored: UnsafeRawBufferPointer) {
    let frame = try Frame(header: bytes)
    guard bytes.count - byteCount >= frame.storedByteCount else {
      throw FormatError(
        .truncated,
        "a frame of \(frame.storedByteCount) bytes of which \(bytes.count - byteCount) are there")
    }
    let end = byteCount + frame.storedByteCount
    let stored = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    guard checksum(UnsafeRawBufferPointer(rebasing: bytes[8..<end])) == stored else {
      throw FormatError(.checksumMismatch, "frame \(frame.number) is damaged (checksum)")
    }
    guard frame.kind == kind, frame.number == number else {
      throw FormatError(
        .wrongIdentity, "frame \(frame.number) of kind \(frame.kind) where \(number) belongs")
    }
    return (frame, UnsafeRawBufferPointer(rebasing: bytes[byteCount..<end]))
  }
}
