internal import CMuninn
internal import MuninnDisk
package import MuninnFormat
internal import Synchronization

/// A container that is complete but for its sync.
struct UnsyncedContainer: Sendable {
  let writer: any ObjectWriter
  let record: ContainerRecord
  let directory: ContainerDirectory
}

/// Collects new chunks into blocks, and blocks into containers. Belongs to one thread.
///
/// Invariant: a chunk's location is fixed when it is appended, before its block is compressed or
/// written, because the writer owns its container alone. So a duplicate of it can be recorded at
/// once by any other thread.
package final class ContainerWriter {
  /// Bytes of chunks in a block; a larger chunk has a block of its own.
  static let blockByteCount = 256 << 10
  /// Stored bytes after which a container is closed.
  static let containerByteCount: UInt64 = 32 << 20

  private let session: WriteSession
  private let isManifest: Bool
  private let level: Int
  private var block: Buffer
  private var blockFill = 0
  private var blockLengths: [UInt32] = []
  private var frame: Buffer
  private var scratch: Buffer
  private var open: OpenObject?

  private struct OpenObject {
    let id: Identifier
    let envelope: Envelope
    let seal: Seal
    /// The object, made with its first block: a container that stays empty leaves no trace.
    var writer: (any ObjectWriter)?
    var directory = ContainerDirectory()
    var blockCount: UInt32 = 0
    var offset = UInt64(Envelope.byteCount)
    var rawByteCount: UInt64 = 0
  }

  init(session: WriteSession, isManifest: Bool, level: Int) {
    self.session = session
    self.isManifest = isManifest
    self.level = level
    let largest = max(Int(session.store.header.maximumChunkSize), 1 << 20)
    block = Buffer(capacity: ContainerWriter.blockByteCount + largest + (1 << 20))
    frame = Buffer(capacity: block.capacity + block.capacity / 128 + 4096)
    scratch = Buffer(capacity: mn_compress_scratch_size(Int32(max(level, 1))))
  }

  /// Where the next chunk will lie. Opens a container where none is open or the open one is full:
  /// call it before a batch, and append the whole batch to the container that it names.
  package func nextLocation() throws(StoreError) -> ChunkLocation {
    if let current = open,
      current.offset + UInt64(blockFill) >= ContainerWriter.containerByteCount
        || current.directory.chunkCount >= FormatLimit.chunksPerContainer / 2
    {
      try closeContainer()
    }
    if let current = open {
      return ChunkLocation(container: current.id, slot: UInt32(current.directory.chunkCount))
    }
    let id = session.newContainerID()
    let envelope = session.store.newEnvelope(
      kind: isManifest ? .manifestContainer : .dataContainer, object: id)
    let name = ObjectName.container(id)
    let seal = try decoding(name) { () throws(FormatError) in
      try Seal(envelope: envelope, keys: session.store.keys)
    }
    open = OpenObject(id: id, envelope: envelope, seal: seal)
    return ChunkLocation(container: id, slot: 0)
  }

  private func object(_ name: String) throws(StoreError) -> any ObjectWriter {
    if let made = open?.writer { return made }
    guard let current = open else { throw StoreError(.inputOutput, "no container is open") }
    let header = current.envelope.encoded()
    let made = try onDisk(name) { () throws(DiskError) in
      let made = try session.store.storage.create(
        name, expectedByteCount: ContainerWriter.containerByteCount)
      try header.withUnsafeBytesTyped { (bytes) throws(DiskError) in try made.append(bytes) }
      return made
    }
    open?.writer = made
    return made
  }

  /// Takes a chunk over into the open container, at the slot after the last one's.
  package func append(_ chunk: UnsafeRawBufferPointer, identity: ChunkIdentity)
    throws(StoreError)
  {
    if blockFill > 0, blockFill + chunk.count > ContainerWriter.blockByteCount { try closeBlock() }
    guard open != nil, blockFill + chunk.count + 8 <= block.capacity else {
      throw StoreError(.inputOutput, "a chunk of \(chunk.count) bytes fits in no block")
    }
    UnsafeMutableRawBufferPointer(rebasing: block.bytes[blockFill...]).copyMemory(from: chunk)
    blockFill += chunk.count
    blockLengths.append(UInt32(chunk.count))
    open?.directory.identities.append(identity)
    open?.directory.lengths.append(UInt32(chunk.count))
  }

  private func closeBlock() throws(StoreError) {
    guard blockFill > 0 || !blockLengths.isEmpty, let current = open else { return }
    let first = current.directory.chunkCount - blockLengths.count
    // Very many tiny chunks: their length table must fit as well.
    var end = blockFill
    guard end + 4 * blockLengths.count + 4 <= block.capacity else {
      throw StoreError(.inputOutput, "a block of \(blockLengths.count) chunks")
    }
    for length in blockLengths + [UInt32(blockLengths.count)] {
      block.bytes.storeBytes(of: length.littleEndian, toByteOffset: end, as: UInt32.self)
      end += 4
    }
    let payload = UnsafeRawBufferPointer(rebasing: block.bytes[..<end])
    let name = ObjectName.container(current.id)
    let size = try decoding(name) { () throws(FormatError) in
      try current.seal.frame(
        payload, kind: .block, number: current.blockCount, level: level,
        scratch: scratch.bytes, into: frame.bytes)
    }
    let object = try object(name)
    try onDisk(name) { () throws(DiskError) in
      try object.append(UnsafeRawBufferPointer(rebasing: frame.bytes[..<size]))
    }
    open?.directory.blocks.append(
      BlockRecord(
        offset: current.offset, frameByteCount: UInt32(size), rawByteCount: UInt32(end),
        firstSlot: UInt32(first), chunkCount: UInt32(blockLengths.count)))
    open?.blockCount += 1
    open?.offset += UInt64(size)
    open?.rawByteCount += UInt64(blockFill)
    session.blockBytes.add(UInt64(size), ordering: .relaxed)
    blockFill = 0
    blockLengths.removeAll(keepingCapacity: true)
  }

  private func closeContainer() throws(StoreError) {
    try closeBlock()
    guard let current = open else { return }
    open = nil
    guard let writer = current.writer else { return }
    let name = ObjectName.container(current.id)
    let directory = try decoding(name) { () throws(FormatError) in
      try current.seal.frame(
        current.directory.encoded(), kind: .directory, number: current.blockCount, level: 0)
    }
    let total =
      current.offset + UInt64(directory.count) + UInt64(ContainerFooter.tailByteCount)
    let footer = ContainerFooter(
      directoryOffset: current.offset, directoryByteCount: UInt64(directory.count),
      containerByteCount: total, blockCount: current.blockCount,
      chunkCount: UInt32(current.directory.chunkCount))
    let tail = directory + current.envelope.encoded() + footer.encoded()
    try onDisk(name) { () throws(DiskError) in
      try tail.withUnsafeBytesTyped { (bytes) throws(DiskError) in
        try writer.append(bytes)
      }
    }
    let record = ContainerRecord(
      id: current.id, isManifest: isManifest, byteCount: total,
      chunkCount: UInt32(current.directory.chunkCount), rawByteCount: current.rawByteCount)
    try session.sync(
      UnsyncedContainer(writer: writer, record: record, directory: current.directory))
  }

  /// Closes what is open. The container is durable once the session's `waitForSyncs` has returned.
  package func finish() throws(StoreError) { try closeContainer() }

  /// Gives up what is open and not complete.
  package func discard() {
    open?.writer?.discard()
    open = nil
    blockFill = 0
    blockLengths.removeAll()
  }
}
