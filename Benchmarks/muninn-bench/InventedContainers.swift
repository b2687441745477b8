import MuninnDisk
import MuninnFormat
import MuninnStore
import Synchronization

/// Chunks that exist as numbers: identity, container and slot follow from the number.
struct InventedChunks: Sendable {
  let seed: UInt64
  let perContainer: Int

  /// The fingerprint and tag of chunk `number`.
  func identity(_ number: Int) -> ChunkIdentity {
    var words = SeededGenerator(seed: seed &+ UInt64(number) &* 0xD134_2543_DE82_EF95)
    return ChunkIdentity(
      fingerprint: Pair128(low: words.next(), high: words.next()),
      tag: Pair128(low: words.next(), high: words.next()))
  }

  /// The container of chunks `ordinal` x `perContainer` on, of a session.
  func container(_ ordinal: Int, of session: Identifier) -> Identifier {
    Identifier(high: session.high, low: UInt64(ordinal))
  }

  func identities(_ container: Identifier, count: Int) -> [ChunkIdentity] {
    let first = Int(container.low) * perContainer
    return (first..<(first + count)).map(identity)
  }
}

/// A storage that answers for containers that were never written, from their numbers: envelope,
/// directory and tail, as a file would have them, but made at the moment of reading. All other
/// objects are in a directory as ever.
final class InventedContainers: Storage {
  private let inner: LocalStorage
  private let chunks: InventedChunks
  private let repository = Atomic<UInt64>(0)
  private let repositoryLow = Atomic<UInt64>(0)
  private let last = Monitor<(name: String, bytes: [UInt8])>(("", []))
  /// Reads of index segments.
  let segmentReads = Atomic<Int>(0)

  init(_ inner: LocalStorage, _ chunks: InventedChunks) {
    self.inner = inner
    self.chunks = chunks
  }

  func belong(to id: Identifier) {
    repository.store(id.high, ordering: .relaxed)
    repositoryLow.store(id.low, ordering: .relaxed)
  }

  private func invented(_ name: String) throws(DiskError) -> [UInt8]? {
    guard name.hasPrefix(ObjectName.containerPrefix), let id = ObjectName.id(name) else {
      return nil
    }
    if let known = last.withLock({ $0.name == name ? $0.bytes : nil }) { return known }
    guard let made = try? make(id) else {
      throw DiskError(errno: 5, operation: "invent", path: name)
    }
    last.withLock { $0 = (name, made) }
    return made
  }

  private func make(_ id: Identifier) throws -> [UInt8] {
    var directory = ContainerDirectory()
    directory.identities = chunks.identities(id, count: chunks.perContainer)
    directory.lengths = [UInt32](repeating: 1, count: chunks.perContainer)
    let count = UInt32(chunks.perContainer)
    let block = BlockRecord(
      offset: UInt64(Envelope.byteCount), frameByteCount: 64, rawByteCount: count * 5 + 4,
      firstSlot: 0, chunkCount: count)
    directory.blocks = [block]
    let envelope = Envelope(
      kind: .dataContainer, suite: .none,
      repository: Identifier(
        high: repository.load(ordering: .relaxed), low: repositoryLow.load(ordering: .relaxed)),
      object: id)
    let frame = try Seal(envelope: envelope, masterKey: nil).frame(
      directory.encoded(), kind: .directory, number: 1, level: 0)
    let offset = Envelope.byteCount + 64
    let total = offset + frame.count + ContainerFooter.tailByteCount
    let footer = ContainerFooter(
      directoryOffset: UInt64(offset), directoryByteCount: UInt64(frame.count),
      containerByteCount: UInt64(total), blockCount: 1, chunkCount: count)
    let head = envelope.encoded()
    return head + [UInt8](repeating: 0, count: 64) + frame + head + footer.encoded()
  }

  var location: String { inner.location }

  func read(_ name: String, maximumByteCount: Int) throws(DiskError) -> [UInt8] {
    try inner.read(name, maximumByteCount: maximumByteCount)
  }

  func read(
    _ name: String, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(DiskError) -> Int {
    guard let bytes = try invented(name) else {
      if name.hasPrefix(ObjectName.segmentPrefix) { segmentReads.add(1, ordering: .relaxed) }
      return try inner.read(name, at: offset, into: buffer)
    }
    guard offset < UInt64(bytes.count) else { return 0 }
    let part = bytes[Int(offset)...].prefix(buffer.count)
    buffer.copyBytes(from: part)
    return part.count
  }

  func size(of name: String) throws(DiskError) -> UInt64 {
    if let bytes = try invented(name) { return UInt64(bytes.count) }
    return try inner.size(of: name)
  }

  func putIfAbsent(_ name: String, _ bytes: [UInt8]) throws(DiskError) -> Bool {
    try inner.putIfAbsent(name, bytes)
  }
  func put(_ name: String, _ bytes: [UInt8]) throws(DiskError) { try inner.put(name, bytes) }
  func create(_ name: String, expectedByteCount: UInt64) throws(DiskError) -> any ObjectWriter {
    try inner.create(name, expectedByteCount: expectedByteCount)
  }
  func makeNamesDurable() throws(DiskError) { try inner.makeNamesDurable() }
  func makeDurable(_ name: String) throws(DiskError) { try inner.makeDurable(name) }
  func list(_ prefix: String) throws(DiskError) -> [StoredObject] { try inner.list(prefix) }
  func list(_ prefix: String, after name: String) throws(DiskError) -> [StoredObject] {
    try inner.list(prefix, after: name)
  }
  func delete(_ name: String) throws(DiskError) { try inner.delete(name) }
  func freeByteCount() throws(DiskError) -> UInt64? { try inner.freeByteCount() }
}
