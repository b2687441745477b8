internal import CMuninn
internal import Crypto

/// Turns payloads into frames and back for one object: compression, then encryption where the suite
/// asks for it.
///
/// A value belongs to one object and its salt. Frame numbers are nonces: a number is used once
/// under a salt, and nothing is ever appended to or rewritten under a salt.
package struct Seal: Sendable {
  private let envelope: Envelope
  private let key: SymmetricKey?

  /// The bytes that sealing adds to a payload.
  package var overhead: Int { key == nil ? 0 : 16 }

  /// `masterKey` is nil where the repository is not encrypted. Throws `wrongKey` where one is
  /// needed and missing.
  package init(envelope: Envelope, masterKey: MasterKey?) throws(FormatError) {
    self.envelope = envelope
    switch envelope.suite {
    case .none: key = nil
    case .aes256gcm:
      guard let masterKey else {
        throw FormatError(.wrongKey, "the object is encrypted and no key was given")
      }
      key = masterKey.subkey(for: envelope)
    }
  }

  /// The key is found on the ring by the name in the envelope; `keys` is nil where the repository
  /// is not encrypted.
  package init(envelope: Envelope, keys: KeyRing?) throws(FormatError) {
    guard envelope.suite != .none, let keys else {
      try self.init(envelope: envelope, masterKey: nil)
      return
    }
    try self.init(envelope: envelope, masterKey: try keys.master(envelope.key))
  }

  /// Bytes that `frame` may need for a payload of `count` bytes.
  package func capacity(for count: Int) -> Int {
    Frame.byteCount + max(count, mn_compress_bound(count)) + overhead
  }

  /// Writes one frame into `target`, which has at least `capacity(for:)` bytes, and returns its
  /// size.
  ///
  /// `level` 0 stores raw; 1 is LZ4's fast method, 3 to 12 are LZ4-HC's. What does not shrink is
  /// stored raw.
  package func frame(
    _ payload: UnsafeRawBufferPointer, kind: FrameKind, number: UInt32, level: Int,
    scratch: UnsafeMutableRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(FormatError) -> Int {
    let body = UnsafeMutableRawBufferPointer(rebasing: target[Frame.byteCount...])
    var encoding = FrameEncoding.raw
    var count = payload.count
    let source = payload.bindMemory(to: UInt8.self).baseAddress
    if level > 0, payload.count > 64, !mn_looks_incompressible(source, payload.count) {
      let packed = mn_compress(
        source, payload.count,
        body.bindMemory(to: UInt8.self).baseAddress,
        min(body.count, payload.count - payload.count / 32), Int32(level), scratch.baseAddress)
      if packed > 0 {
        encoding = .lz4
        count = packed
      }
    }
    if let key {
      // From where the payload lies now: what is not compressed is not copied first.
      let plain = encoding == .raw ? payload : UnsafeRawBufferPointer(rebasing: body[..<count])
      do {
        let box = try AES.GCM.seal(
          plain, using: key, nonce: Seal.nonce(number),
          authenticating: authenticated(kind, encoding, number, payload.count))
        // Not `copyBytes`: that one copies swift-crypto's results byte by byte.
        let sealed = body.bindMemory(to: UInt8.self)
        _ = sealed.initialize(from: box.ciphertext)
        _ = UnsafeMutableBufferPointer(rebasing: sealed[count...]).initialize(from: box.tag)
      } catch {
        throw FormatError(.invalidValue, "AES-GCM refused a payload of \(count) bytes")
      }
      count += 16
    } else if encoding == .raw {
      body.copyMemory(from: payload)
    }
    let frame = Frame(
      kind: kind, encoding: encoding, number: number, storedByteCount: count,
      rawByteCount: payload.count)
    frame.write(before: target)
    return Frame.byteCount + count
  }

  /// One frame as an array, for the objects that are small.
  package func frame(_ payload: [UInt8], kind: FrameKind, number: UInt32, level: Int = 1)
    throws(FormatError) -> [UInt8]
  {
    let target = UnsafeMutableRawBufferPointer.allocate(
      byteCount: capacity(for: payload.count), alignment: 16)
    defer { target.deallocate() }
    let scratch = UnsafeMutableRawBufferPointer.allocate(
      byteCount: mn_compress_scratch_size(Int32(max(level, 1))), alignment: 16)
    defer { scratch.deallocate() }
    let count = try payload.withUnsafeBytesTyped { (source) throws(FormatError) in
      try frame(
        source, kind: kind, number: number, level: level, scratch: scratch, into: target)
    }
    return [UInt8](target[..<count])
  }

  /// Opens the frame at the start of `bytes` into `target`, which it must fill exactly or be
  /// shorter than. Returns the bytes of the payload and of the whole frame.
  package func open(
    _ bytes: UnsafeRawBufferPointer, kind: FrameKind, number: UInt32,
    into target: UnsafeMutableRawBufferPointer
  ) throws(FormatError) -> (payload: Int, frame: Int) {
    let (frame, stored) = try Frame.checked(bytes, kind: kind, number: number)
    guard frame.rawByteCount <= target.count else {
      throw FormatError(.invalidValue, "frame \(number) holds \(frame.rawByteCount) bytes")
    }
    let output = UnsafeMutableRawBufferPointer(rebasing: target[..<frame.rawByteCount])
    if let key {
      try decrypt(stored, frame: frame, key: key, into: output)
    } else {
      try unpack(stored, frame: frame, into: output)
    }
    return (frame.rawByteCount, Frame.byteCount + frame.storedByteCount)
  }

  /// Opens the frame at the start of `bytes` into an array; `limit` bounds the memory it may take.
  package func open(
    _ bytes: UnsafeRawBufferPointer, kind: FrameKind, number: UInt32, limit: Int
  ) throws(FormatError) -> (payload: [UInt8], frame: Int) {
    let header = try Frame(header: bytes)
    guard header.rawByteCount <= limit else {
      throw FormatError(.invalidValue, "frame \(number) holds \(header.rawByteCount) bytes")
    }
    let target = UnsafeMutableRawBufferPointer.allocate(
      byteCount: header.rawByteCount, alignment: 16)
    defer { target.deallocate() }
    let sizes = try open(bytes, kind: kind, number: number, into: target)
    return ([UInt8](target[..<sizes.payload]), sizes.frame)
  }

  private func unpack(
    _ stored: UnsafeRawBufferPointer, frame: Frame, into output: UnsafeMutableRawBufferPointer
  ) throws(FormatError) {
    switch frame.encoding {
    case .raw:
      guard stored.count == frame.rawByteCount else {
        throw FormatError(.invalidValue, "frame \(frame.number) has two sizes")
      }
      output.copyMemory(from: stored)
    case .lz4:
      let good = mn_decompress(
        stored.bindMemory(to: UInt8.self).baseAddress, stored.count,
        output.bindMemory(to: UInt8.self).baseAddress, frame.rawByteCount)
      guard good else {
        throw FormatError(.invalidValue, "frame \(frame.number) does not decompress")
      }
    }
  }

  private func decrypt(
    _ stored: UnsafeRawBufferPointer, frame: Frame, key: SymmetricKey,
    into output: UnsafeMutableRawBufferPointer
  ) throws(FormatError) {
    guard stored.count >= 16 else {
      throw FormatError(.truncated, "frame \(frame.number) is shorter than its tag")
    }
    let split = stored.count - 16
    let opened = Result {
      let box = try AES.GCM.SealedBox(
        nonce: Seal.nonce(frame.number),
        ciphertext: UnsafeRawBufferPointer(rebasing: stored[..<split]),
        tag: UnsafeRawBufferPointer(rebasing: stored[split...]))
      return try AES.GCM.open(
        box, using: key,
        authenticating: authenticated(
          frame.kind, frame.encoding, frame.number, frame.rawByteCount))
    }
    guard case .success(var plain) = opened else {
      throw FormatError(
        .checksumMismatch,
        "frame \(frame.number) cannot be decrypted: it was tampered with, or sealed under another "
          + "key")
    }
    if frame.encoding == .raw {
      guard split == frame.rawByteCount else {
        throw FormatError(.invalidValue, "frame \(frame.number) has two sizes")
      }
      _ = output.bindMemory(to: UInt8.self).initialize(from: plain)
      // The secrets of the repository's header.
      if frame.kind == .repository { zero(inPlace: &plain) }
      return
    }
    let unpacked = withBytes(of: plain) { plain in
      Result { () throws(FormatError) in try unpack(plain, frame: frame, into: output) }
    }
    try unpacked.get()
  }

  private static func nonce(_ number: UInt32) throws -> AES.GCM.Nonce {
    var writer = ByteWriter(reserving: 12)
    writer.integer(UInt64(number))
    writer.integer(UInt32(0))
    return try AES.GCM.Nonce(data: writer.bytes)
  }

  /// Names repository, kind, object and frame, so that none can stand in another's place.
  private func authenticated(
    _ kind: FrameKind, _ encoding: FrameEncoding, _ number: UInt32, _ rawByteCount: Int
  ) -> [UInt8] {
    var writer = ByteWriter(reserving: 48)
    writer.identifier(envelope.repository)
    writer.identifier(envelope.object)
    writer.byte(envelope.kind.rawValue)
    writer.byte(kind.rawValue)
    writer.byte(encoding.rawValue)
    writer.integer(number)
    writer.integer(UInt32(rawByteCount))
    return writer.bytes
  }
}

/// The bytes of what swift-crypto returns, where they lie. Its type is Foundation's, whose own
/// members the engine does not import.
func withBytes<R>(
  of bytes: some Collection<UInt8>, _ body: (UnsafeRawBufferPointer) -> R
) -> R {
  bytes.withContiguousStorageIfAvailable { body(UnsafeRawBufferPointer($0)) }
    ?? [UInt8](bytes).withUnsafeBytes(body)
}

extension [UInt8] {
  /// `withUnsafeBytes` that keeps the error's type.
  package func withUnsafeBytesTyped<R, E: Error>(
    _ body: (UnsafeRawBufferPointer) throws(E) -> R
  ) throws(E) -> R {
    let result: Result<R, E> = withUnsafeBytes { bytes in
      do throws(E) { return .success(try body(bytes)) } catch { return .failure(error) }
    }
    return try result.get()
  }
}

/// SHA-256 of some bytes: 32 of them.
package func sha256(_ bytes: [UInt8]) -> [UInt8] { [UInt8](SHA256.hash(data: bytes)) }

package func sha256(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
  var hash = SHA256()
  hash.update(bufferPointer: bytes)
  return [UInt8](hash.finalize())
}
