/// A block's place in its container.
package struct BlockRecord: Sendable, Equatable {
  /// Offset of the block's frame from the start of the container.
  package let offset: UInt64
  /// Bytes of the frame: header and stored payload.
  package let frameByteCount: UInt32
  /// Bytes of the payload: the chunks, then the table of their lengths.
  package let rawByteCount: UInt32
  /// The first chunk's slot; the block's chunks have consecutive slots.
  package let firstSlot: UInt32
  /// The number of chunks.
  package let chunkCount: UInt32

  package init(
    offset: UInt64, frameByteCount: UInt32, rawByteCount: UInt32, firstSlot: UInt32,
    chunkCount: UInt32
  ) {
    self.offset = offset
    self.frameByteCount = frameByteCount
    self.rawByteCount = rawByteCount
    self.firstSlot = firstSlot
    self.chunkCount = chunkCount
  }
}

/// A container's directory: where its blocks lie, and which chunks they hold. It alone rebuilds the
/// index.
///
/// Payload of the directory's frame: block count (4), chunk count (4), then 24 bytes a block
/// (offset 8, frame bytes 4, raw bytes 4, first slot 4, chunk count 4), then 32 bytes of identity a
/// chunk, then 4 bytes of length a chunk. A block's payload ends with its chunks' lengths (4 bytes
/// each) and their count (4), so that blocks alone rebuild the directory.
package struct ContainerDirectory: Sendable, Equatable {
  package var blocks: [BlockRecord] = []
  package var identities: [ChunkIdentity] = []
  package var lengths: [UInt32] = []

  package init() {}

  package var chunkCount: Int { identities.count }

  package func encoded() -> [UInt8] {
    var writer = ByteWriter(reserving: 8 + blocks.count * 24 + identities.count * 36)
    writer.integer(UInt32(blocks.count))
    writer.integer(UInt32(identities.count))
    for block in blocks {
      writer.integer(block.offset)
      writer.integer(block.frameByteCount)
      writer.integer(block.rawByteCount)
      writer.integer(block.firstSlot)
      writer.integer(block.chunkCount)
    }
    for identity in identities { writer.chunkIdentity(identity) }
    for length in lengths { writer.integer(length) }
    return writer.bytes
  }

  package init(decoding bytes: UnsafeRawBufferPointer) throws(FormatError) {
    var reader = ByteReader(bytes)
    let blockCount = Int(try reader.integer(UInt32.self))
    let chunkCount = Int(try reader.integer(UInt32.self))
    guard blockCount <= chunkCount, chunkCount <= FormatLimit.chunksPerContainer,
      bytes.count == 8 + blockCount * 24 + chunkCount * 36
    else {
      throw FormatError(
        .invalidValue,
        "a directory of \(blockCount) blocks and \(chunkCount) chunks in \(bytes.count) bytes")
    }
    blocks.reserveCapacity(blockCount)
    identities.reserveCapacity(chunkCount)
    lengths.reserveCapacity(chunkCount)
    var offset = UInt64(Envelope.byteCount)
    var slot: UInt32 = 0
    for _ in 0..<blockCount {
      let block = BlockRecord(
        offset: try reader.integer(UInt64.self), frameByteCount: try reader.integer(UInt32.self),
        rawByteCount: try reader.integer(UInt32.self), firstSlot: try reader.integer(UInt32.self),
        chunkCount: try reader.integer(UInt32.self))
      // Blocks follow each other without a gap, and so do slots.
      guard block.offset == offset, block.firstSlot == slot, block.chunkCount > 0,
        Int(block.rawByteCount) <= FormatLimit.blockByteCount,
        Int(block.chunkCount) <= chunkCount - Int(slot)
      else { throw FormatError(.invalidValue, "block \(blocks.count) of a directory is not sound") }
      offset += UInt64(block.frameByteCount)
      slot += block.chunkCount
      blocks.append(block)
    }
    guard Int(slot) == chunkCount else {
      throw FormatError(.invalidValue, "a directory whose blocks hold \(slot) of \(chunkCount)")
    }
    for _ in 0..<chunkCount { identities.append(try reader.chunkIdentity()) }
    for _ in 0..<chunkCount { lengths.append(try reader.integer(UInt32.self)) }
    for block in blocks { try checkLengths(of: block) }
  }

  /// The lengths of a block's chunks and of the table behind them make up its payload.
  private func checkLengths(of block: BlockRecord) throws(FormatError) {
    var sum = 4 + 4 * UInt64(block.chunkCount)
    let first = Int(block.firstSlot)
    for length in lengths[first..<(first + Int(block.chunkCount))] { sum += UInt64(length) }
    guard sum == UInt64(block.rawByteCount) else {
      throw FormatError(
        .invalidValue, "a block of \(block.rawByteCount) bytes whose chunks say \(sum)")
    }
  }

  /// The ordinal of the block that holds the chunk at `slot`; nil where there is no such slot.
  package func block(ofSlot slot: UInt32) -> Int? {
    guard Int(slot) < identities.count else { return nil }
    var low = 0
    var high = blocks.count
    while high - low > 1 {
      let middle = (low + high) / 2
      if blocks[middle].firstSlot <= slot { low = middle } else { high = middle }
    }
    return low
  }
}

/// The last 48 bytes of a container. A copy of its envelope comes before them, so that a damaged
/// beginning does not take the salt, and with it every block, away.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 8 | XXH3-64 of the 40 bytes after these |
/// | 8 | 8 | magic `MUNFOOT1` |
/// | 16 | 8 | offset of the directory's frame |
/// | 24 | 8 | bytes of the directory's frame |
/// | 32 | 8 | bytes of the container, footer included |
/// | 40 | 4 | blocks |
/// | 44 | 4 | chunks |
package struct ContainerFooter: Sendable, Equatable {
  package static let byteCount = 48
  /// The footer and the envelope's copy before it.
  package static let tailByteCount = Envelope.byteCount + byteCount
  static let magic = [UInt8]("MUNFOOT1".utf8)

  package let directoryOffset: UInt64
  package let directoryByteCount: UInt64
  package let containerByteCount: UInt64
  package let blockCount: UInt32
  package let chunkCount: UInt32

  package init(
    directoryOffset: UInt64, directoryByteCount: UInt64, containerByteCount: UInt64,
    blockCount: UInt32, chunkCount: UInt32
  ) {
    self.directoryOffset = directoryOffset
    self.directoryByteCount = directoryByteCount
    self.containerByteCount = containerByteCount
    self.blockCount = blockCount
    self.chunkCount = chunkCount
  }

  package func encoded() -> [UInt8] {
    var body = ByteWriter(reserving: 40)
    body.raw(ContainerFooter.magic)
    body.integer(directoryOffset)
    body.integer(directoryByteCount)
    body.integer(containerByteCount)
    body.integer(blockCount)
    body.integer(chunkCount)
    var writer = ByteWriter(reserving: ContainerFooter.byteCount)
    writer.integer(body.bytes.withUnsafeBytes { checksum($0) })
    writer.raw(body.bytes)
    return writer.bytes
  }

  /// `objectByteCount` is the size of the whole object as the storage tells it.
  package init(decoding bytes: UnsafeRawBufferPointer, objectByteCount: UInt64)
    throws(FormatError)
  {
    guard bytes.count == ContainerFooter.byteCount else {
      throw FormatError(.truncated, "\(bytes.count) bytes where a footer has 48")
    }
    var reader = ByteReader(bytes)
    let sum = try reader.integer(UInt64.self)
    guard try reader.array(8) == ContainerFooter.magic else {
      throw FormatError(.truncated, "the container has no footer: it was cut short")
    }
    guard checksum(UnsafeRawBufferPointer(rebasing: bytes[8...])) == sum else {
      throw FormatError(.checksumMismatch, "the container's footer is damaged (checksum)")
    }
    directoryOffset = try reader.integer(UInt64.self)
    directoryByteCount = try reader.integer(UInt64.self)
    containerByteCount = try reader.integer(UInt64.self)
    blockCount = try reader.integer(UInt32.self)
    chunkCount = try reader.integer(UInt32.self)
    let tail = UInt64(ContainerFooter.tailByteCount)
    guard containerByteCount == objectByteCount, objectByteCount >= tail,
      directoryOffset >= UInt64(Envelope.byteCount), directoryOffset <= objectByteCount - tail,
      directoryByteCount == objectByteCount - tail - directoryOffset
    else {
      throw FormatError(
        .invalidValue,
        "the footer says \(containerByteCount) bytes, the container has \(objectByteCount)")
    }
  }
}
