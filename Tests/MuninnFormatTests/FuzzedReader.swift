import MuninnFormat

/// The readers that `Tests/Fuzz` drives with bytes from anywhere; the corpus that it found is
/// replayed by the tests.
///
/// A reader refuses bytes, or reads a value from them. What it read is written and read again, and
/// must be the same value. Checksums are put right where a layout has them, so that what lies behind
/// them is reached.
enum FuzzedReader: String, CaseIterable, Sendable {
  case envelope
  case frame
  case block
  case sealedBlock = "sealed-block"
  case containerDirectory = "container-directory"
  case containerFooter = "container-footer"
  case segmentTables = "segment-tables"
  case segmentFooter = "segment-footer"
  case referencePage = "reference-page"
  case entryPage = "entry-page"
  case extentPage = "extent-page"
  case containerList = "container-list"
  case journalRecord = "journal-record"
  case checkpoint
  case repository
  case keySlot = "key-slot"

  /// What the reader did wrong with the input; nil where it did nothing wrong.
  func fault(_ input: [UInt8]) -> String? {
    switch self {
    case .envelope: envelopeFault(input) ?? envelopeFault(mendedEnvelope(input))
    case .frame: frameFault(input) ?? frameFault(mendedFrame(input))
    case .block: blockFault(input, seal: FuzzedSeal.plain)
    case .sealedBlock: blockFault(input, seal: FuzzedSeal.sealed) ?? tamperingFault(input)
    case .containerDirectory: directoryFault(input)
    case .containerFooter: containerFooterFault(input)
    case .segmentTables: segmentTablesFault(input)
    case .segmentFooter: segmentFooterFault(input) ?? segmentFooterFault(mendedFooter(input))
    case .referencePage: referencePageFault(input)
    case .entryPage: entryPageFault(input)
    case .extentPage:
      roundTripFault(
        input, read: { (raw) throws(FormatError) in try ExtentPage.decode(raw) },
        write: { ExtentPage.encoded($0) })
    case .containerList:
      roundTripFault(
        input, read: { (raw) throws(FormatError) in try ContainerList.decode(raw) },
        write: { ContainerList.encoded($0) })
    case .journalRecord:
      roundTripFault(
        input, read: { (raw) throws(FormatError) in try JournalRecord(decodingPayload: raw) },
        write: { $0.encodedPayload() })
    case .checkpoint:
      roundTripFault(
        input, read: { (raw) throws(FormatError) in try Checkpoint(decodingPayload: raw) },
        write: { $0.encodedPayload() })
    case .repository: repositoryFault(input) ?? repositoryFault(wrappedHeader(input))
    case .keySlot: keySlotFault(input) ?? keySlotFault(wrappedParameters(input))
    }
  }
}

/// Reads, writes and reads again.
private func roundTripFault<Value: Equatable>(
  _ input: [UInt8], read: (UnsafeRawBufferPointer) throws(FormatError) -> Value,
  write: (Value) throws(FormatError) -> [UInt8]
) -> String? {
  guard let value = try? withExactly(input, read) else { return nil }
  do throws(FormatError) {
    let again = try withExactly(try write(value), read)
    return again == value ? nil : "another value is read back"
  } catch {
    return "what was written is refused: \(error)"
  }
}

/// Calls `body` with memory that ends where the bytes end, so that a sanitizer sees a read behind
/// them.
private func withExactly<Value>(
  _ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws(FormatError) -> Value
) throws(FormatError) -> Value {
  let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
  defer { copy.deallocate() }
  copy.copyBytes(from: bytes)
  return try body(UnsafeRawBufferPointer(copy))
}

// MARK: - Envelopes and frames

private func envelopeFault(_ input: [UInt8]) -> String? {
  roundTripFault(
    input, read: { (raw) throws(FormatError) in try Envelope(decoding: raw) },
    write: { $0.encoded() })
}

private func mendedEnvelope(_ input: [UInt8]) -> [UInt8] {
  guard input.count >= Envelope.byteCount else { return input }
  let head = Envelope.magic + littleEndian(formatVersion) + input[10..<120]
  return head + littleEndian(head.withUnsafeBytes { checksum($0) }) + input[Envelope.byteCount...]
}

private enum FuzzedSeal {
  /// Both suites' keys are made once; nil would be a fault of its own.
  static let plain = seal(.none)
  static let sealed = seal(.aes256gcm)

  private static func seal(_ suite: CipherSuite) -> Seal? {
    let envelope = Envelope(
      kind: .dataContainer, suite: suite, repository: Identifier(high: 1, low: 2),
      object: Identifier(high: 3, low: 4))
    let key = try? MasterKey(bytes: [UInt8](repeating: 7, count: 32))
    return try? Seal(envelope: envelope, masterKey: key)
  }
}

/// What no input's payload exceeds.
private let payloadLimit = 1 << 20

/// Takes the frame for what its header says that it is.
private func frameFault(_ input: [UInt8]) -> String? {
  guard let seal = FuzzedSeal.plain else { return "no seal" }
  guard
    let header = try? withExactly(
      input, { (raw) throws(FormatError) in try Frame(header: raw) })
  else { return nil }
  return roundTripFault(
    input,
    read: { (raw) throws(FormatError) in
      try seal.open(raw, kind: header.kind, number: header.number, limit: payloadLimit).payload
    },
    write: { (payload) throws(FormatError) in
      try seal.frame(payload, kind: header.kind, number: header.number, level: 1)
    })
}

/// Magic number and checksum put right; the sizes stay the input's.
private func mendedFrame(_ input: [UInt8]) -> [UInt8] {
  guard input.count >= Frame.byteCount else { return input }
  let head = input[..<8] + Array("MFRM".utf8) + input[12...]
  guard
    let header = try? Array(head).withUnsafeBytesTyped({ (raw) throws(FormatError) in
      try Frame(header: raw)
    }), header.storedByteCount <= input.count - Frame.byteCount
  else { return Array(head) }
  let covered = Array(head[8..<(Frame.byteCount + header.storedByteCount)])
  return littleEndian(covered.withUnsafeBytes { checksum($0) }) + head[8...]
}

/// The frame that says: encoding and payload size as the first four bytes do, then `input`'s others.
private func wrappedBlock(_ input: [UInt8]) -> [UInt8] {
  guard input.count >= 4 else { return input }
  let stored = input[4...]
  let raw = Int(input[1]) | Int(input[2]) << 8 | Int(input[3] & 0xF) << 16
  let frame = Frame(
    kind: .block, encoding: input[0] & 1 == 0 ? .raw : .lz4, number: 5,
    storedByteCount: stored.count, rawByteCount: raw)
  var bytes = [UInt8](repeating: 0, count: Frame.byteCount) + stored
  bytes.withUnsafeMutableBytes { frame.write(before: $0) }
  return bytes
}

private func blockFault(_ input: [UInt8], seal: Seal?) -> String? {
  guard let seal else { return "no seal" }
  return roundTripFault(
    wrappedBlock(input),
    read: { (raw) throws(FormatError) in
      try seal.open(raw, kind: .block, number: 5, limit: payloadLimit).payload
    },
    write: { (payload) throws(FormatError) in
      try seal.frame(payload, kind: .block, number: 5, level: 1)
    })
}

/// Seals the input and opens it, whole and with one bit behind the magic number changed under a right
/// checksum.
private func tamperingFault(_ input: [UInt8]) -> String? {
  guard let seal = FuzzedSeal.sealed else { return "no seal" }
  guard input.count >= 4 else { return nil }
  func opened(_ bytes: [UInt8]) throws(FormatError) -> [UInt8] {
    try withExactly(bytes) { (raw) throws(FormatError) in
      try seal.open(raw, kind: .block, number: 5, limit: payloadLimit).payload
    }
  }
  do throws(FormatError) {
    let level = [0, 1, 3][Int(input[0]) % 3]
    var frame = try seal.frame(input, kind: .block, number: 5, level: level)
    guard try opened(frame) == input else { return "another payload is opened" }
    let place = 12 + (Int(input[1]) | Int(input[2]) << 8) % (frame.count - 12)
    frame[place] ^= 1 << (input[3] & 7)
    guard let tampered = try? opened(mendedFrame(frame)) else { return nil }
    // Nothing covers the header's spare bytes and nothing reads them.
    return tampered == input && (26..<32).contains(place)
      ? nil : "a bit of byte \(place) was changed unnoticed"
  } catch {
    return "what was sealed is refused: \(error)"
  }
}

// MARK: - Containers and segments

private func directoryFault(_ input: [UInt8]) -> String? {
  roundTripFault(
    input,
    read: { (raw) throws(FormatError) in
      let directory = try ContainerDirectory(decoding: raw)
      for slot in 0..<UInt32(directory.chunkCount) {
        guard let ordinal = directory.block(ofSlot: slot),
          directory.blocks.indices.contains(ordinal),
          slot >= directory.blocks[ordinal].firstSlot,
          slot - directory.blocks[ordinal].firstSlot < directory.blocks[ordinal].chunkCount
        else { throw FormatError(.invalidValue, "slot \(slot) is in no block") }
      }
      return directory
    }, write: { $0.encoded() })
}

/// The object's size from the first 8 bytes, then from the footer itself.
private func containerFooterFault(_ input: [UInt8]) -> String? {
  guard input.count >= 8 else { return nil }
  let footer = Array(input[8...])
  let mended = mendedFooter(footer, magic: "MUNFOOT1")
  return containerFooterFault(footer, objectByteCount: word(input, at: 0))
    ?? containerFooterFault(mended, objectByteCount: word(input, at: 0))
    ?? containerFooterFault(
      mended, objectByteCount: mended.count >= 40 ? word(mended, at: 32) : 0)
}

private func containerFooterFault(_ footer: [UInt8], objectByteCount: UInt64) -> String? {
  roundTripFault(
    footer,
    read: { (raw) throws(FormatError) in
      try ContainerFooter(decoding: raw, objectByteCount: objectByteCount)
    }, write: { $0.encoded() })
}

/// The number of entries from the first 8 bytes.
private func segmentTablesFault(_ input: [UInt8]) -> String? {
  guard input.count >= 8 else { return nil }
  let entryCount = word(input, at: 0)
  return roundTripFault(
    Array(input[8...]),
    read: { (raw) throws(FormatError) in
      let tables = try SegmentTables(decoding: raw)
      _ = SegmentLists.byteCount(tables, entryCount: entryCount)
      return tables
    }, write: { $0.encoded() }) ?? listsFault(Array(input[8...]), entryCount)
    ?? filterFault(Array(input[8...]), entryCount)
}

private func listsFault(_ input: [UInt8], _ entryCount: UInt64) -> String? {
  let tables = SegmentTables(
    containerCount: entryCount >> 56,
    filter: FilterShape(entryCount: entryCount >> 40 & 0xFFFF, remainderBits: 8),
    filterWordCount: 1 << 20, listsOffset: 128)
  return roundTripFault(
    input,
    read: { (raw) throws(FormatError) in
      try SegmentLists(decoding: raw, tables, entryCount: entryCount & 0xFFFF)
    }, write: { $0.encoded() })
}

/// Whatever a filter's bytes are, asking it ends and stays inside.
private func filterFault(_ input: [UInt8], _ entryCount: UInt64) -> String? {
  let shape = FilterShape(
    entryCount: entryCount & 0x3FFF, remainderBits: 6 + Int(entryCount >> 60) % 11)
  let prefixes = (0..<64).map { entryCount &* UInt64($0) ^ UInt64($0) << 58 }
  for prefix in prefixes { _ = ChunkFilter.frame(input, of: shape, mayContain: prefix) }
  guard let filter = try? ChunkFilter(shape: shape, wordCount: UInt64(input.count / 8)) else {
    return nil
  }
  guard
    (try? withExactly(input, { (raw) throws(FormatError) in try filter.append(frame: raw) }))
      != nil, filter.isComplete
  else { return nil }
  for prefix in prefixes { _ = filter.mayContain(prefix) }
  return nil
}

private struct SegmentFooter: Equatable {
  let tablesOffset: UInt64
  let entryCount: UInt64
}

private func segmentFooterFault(_ input: [UInt8]) -> String? {
  roundTripFault(
    input,
    read: { (raw) throws(FormatError) in
      let (tablesOffset, entryCount) = try SegmentTables.decodeFooter(raw)
      // Never over what fits, whatever the count is.
      _ = SegmentTables.pageCount(of: entryCount)
      return SegmentFooter(tablesOffset: tablesOffset, entryCount: entryCount)
    },
    write: { SegmentTables.footer(tablesOffset: $0.tablesOffset, entryCount: $0.entryCount) })
}

/// A footer's magic number and checksum put right.
private func mendedFooter(_ input: [UInt8], magic: String = "MUNSEGM1") -> [UInt8] {
  guard input.count >= 16 else { return input }
  let body = Array(magic.utf8) + input[16...]
  return littleEndian(body.withUnsafeBytes { checksum($0) }) + body
}

// MARK: - Pages and the repository's header

/// The level from the first byte.
private func referencePageFault(_ input: [UInt8]) -> String? {
  guard let level = input.first else { return nil }
  return roundTripFault(
    Array(input[1...]),
    read: { (raw) throws(FormatError) in try ReferencePage.decode(raw, level: level) },
    write: { ReferencePage.encoded(level: level, $0) })
}

private func entryPageFault(_ input: [UInt8]) -> String? {
  roundTripFault(
    input, read: { (raw) throws(FormatError) in try EntryPage.decode(raw) },
    write: { entries in
      var writer = EntryPageWriter()
      for entry in entries { _ = writer.append(entry) }
      return writer.finish()
    })
}

private func repositoryFault(_ input: [UInt8]) -> String? {
  roundTripFault(
    input,
    read: { (raw) throws(FormatError) in try RepositoryHeader(decoding: [UInt8](raw)) },
    write: { (header) throws(FormatError) in try header.encoded() })
}

/// The object whose payload the input is.
private func wrappedHeader(_ input: [UInt8]) -> [UInt8] {
  let id = Identifier(high: 1, low: 2)
  let envelope = Envelope(kind: .repository, suite: .none, repository: id, object: id)
  let frame = try? Seal(envelope: envelope, masterKey: nil).frame(
    input, kind: .repository, number: 0, level: 0)
  return envelope.encoded() + (frame ?? [])
}

private func keySlotFault(_ input: [UInt8]) -> String? {
  roundTripFault(
    input, read: { (raw) throws(FormatError) in try KeySlot(decoding: raw) },
    write: { $0.encoded() })
}

/// The slot whose parameters the input is.
private func wrappedParameters(_ input: [UInt8]) -> [UInt8] {
  let envelope = Envelope(
    kind: .keySlot, suite: .aes256gcm, repository: Identifier(high: 1, low: 2),
    object: Identifier(high: 3, low: 4), key: KeyName(epoch: 1, id: Identifier(high: 5, low: 6)))
  let wrapped = [UInt8](repeating: 7, count: 48)
  return envelope.encoded() + framed(.slotParameters, 0, input, raw: input.count)
    + framed(.wrappedKeys, 1, wrapped, raw: 32)
}

private func framed(
  _ kind: FrameKind, _ number: UInt32, _ stored: [UInt8], raw: Int
) -> [UInt8] {
  let frame = Frame(
    kind: kind, encoding: .raw, number: number, storedByteCount: stored.count, rawByteCount: raw)
  var bytes = [UInt8](repeating: 0, count: Frame.byteCount) + stored
  bytes.withUnsafeMutableBytes { frame.write(before: $0) }
  return bytes
}

// MARK: - Numbers

private func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
  var writer = ByteWriter()
  writer.integer(value)
  return writer.bytes
}

/// The 8 bytes from `offset`, which must be there.
private func word(_ bytes: [UInt8], at offset: Int) -> UInt64 {
  bytes[offset..<(offset + 8)].reversed().reduce(0) { $0 << 8 | UInt64($1) }
}
