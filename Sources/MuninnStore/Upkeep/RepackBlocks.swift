internal import MuninnDisk
internal import MuninnFormat

/// The blocks that were decoded last. Belongs to one thread.
final class RepackBlocks {
  private struct Key: Hashable {
    let container: Identifier
    let ordinal: Int
  }

  private final class Block {
    let bytes: Buffer
    /// Where each of its chunks starts, and which were found to be what they should be.
    let starts: [Int]
    var isVerified: [Bool]
    var lastUse: UInt64 = 0

    init(_ bytes: consuming Buffer, starts: [Int]) {
      self.bytes = bytes
      self.starts = starts
      isVerified = [Bool](repeating: false, count: starts.count)
    }
  }

  private static let maximumByteCount = 64 << 20

  private let store: Store
  private var blocks: [Key: Block] = [:]
  private var byteCount = 0
  private var uses: UInt64 = 0

  init(store: Store) { self.store = store }

  /// A chunk's bytes, verified by fingerprint and tag; valid until the next call.
  func chunk(
    _ container: OpenContainer, _ slot: UInt32, _ grant: (UInt64) -> Void
  ) throws(StoreError) -> UnsafeRawBufferPointer {
    let directory = container.directory
    guard let ordinal = directory.block(ofSlot: slot) else {
      throw StoreError(
        .damaged, "has no slot \(slot)", object: ObjectName.container(container.id))
    }
    let key = Key(container: container.id, ordinal: ordinal)
    let block: Block
    if let known = blocks[key] {
      block = known
    } else {
      block = try decode(container, ordinal, grant)
      blocks[key] = block
      byteCount += block.bytes.capacity
      evict(but: key)
    }
    uses += 1
    block.lastUse = uses
    let number = Int(slot - directory.blocks[ordinal].firstSlot)
    let start = block.starts[number]
    let bytes = UnsafeRawBufferPointer(
      rebasing: block.bytes.bytes[start..<(start + Int(directory.lengths[Int(slot)]))])
    if !block.isVerified[number] {
      guard store.identifying.identity(of: bytes) == directory.identities[Int(slot)] else {
        throw StoreError(
          .damaged, "the chunk at slot \(slot) is not what its fingerprint says",
          object: ObjectName.container(container.id))
      }
      block.isVerified[number] = true
    }
    return bytes
  }

  private func decode(
    _ container: OpenContainer, _ ordinal: Int, _ grant: (UInt64) -> Void
  ) throws(StoreError) -> Block {
    let record = container.directory.blocks[ordinal]
    grant(UInt64(record.frameByteCount))
    let frame = try store.read(
      ObjectName.container(container.id), at: record.offset, count: Int(record.frameByteCount))
    let target = Buffer(capacity: max(1, Int(record.rawByteCount)))
    _ = try frame.withUnsafeBytesTyped { (bytes) throws(StoreError) in
      try container.decodeBlock(ordinal, frame: bytes, into: target.bytes)
    }
    var starts: [Int] = []
    var start = 0
    for slot in Int(record.firstSlot)..<Int(record.firstSlot + record.chunkCount) {
      starts.append(start)
      start += Int(container.directory.lengths[slot])
    }
    return Block(target, starts: starts)
  }

  private func evict(but kept: Key) {
    while byteCount > RepackBlocks.maximumByteCount, blocks.count > 1,
      let oldest = blocks.lazy.filter({ $0.key != kept })
        .min(by: { $0.value.lastUse < $1.value.lastUse }),
      let gone = blocks.removeValue(forKey: oldest.key)
    {
      byteCount -= gone.bytes.capacity
    }
  }
}
