import MuninnDisk
import MuninnFormat
import MuninnTestSupport

@testable import MuninnStore

/// A repository in memory, with what tests do to one.
struct TestRepository {
  let storage: MemoryStorage
  let store: Store

  init(averageChunkSize: UInt32? = nil) throws {
    storage = MemoryStorage()
    store = try Store.create(in: storage, averageChunkSize: averageChunkSize, isShared: false)
  }

  /// The same objects in a storage of its own, opened anew.
  init(copyOf other: TestRepository) throws {
    storage = MemoryStorage()
    for object in try other.storage.list("") {
      storage.poke(object.name, other.storage.peek(object.name))
    }
    store = try Store.open(in: storage)
  }

  /// A new look at the same storage, with empty caches.
  func reopened() throws -> Store { try Store.open(in: storage) }

  func names(_ prefix: String) throws -> [String] { try storage.list(prefix).map(\.name) }

  /// Stores chunks in one session and commits a snapshot that needs them all.
  @discardableResult
  func commit(_ chunks: [[UInt8]]) throws -> (
    snapshot: SnapshotRecord, references: [ChunkReference], newCount: Int
  ) {
    let session = try WriteSession(store: store)
    defer { session.end() }
    return try session.commit(chunks)
  }
}

extension WriteSession {
  /// Stores chunks, those that the repository has not, and commits a snapshot over them.
  func commit(_ chunks: [[UInt8]]) throws -> (
    snapshot: SnapshotRecord, references: [ChunkReference], newCount: Int
  ) {
    let writer = makeContainerWriter(isManifest: false)
    let references = try chunks.map { try put($0, into: writer) }
    try writer.finish()
    let snapshot = try commit(
      draft(root: references.first?.reference),
      needed: Set(references.map(\.reference.location.container)))
    return (snapshot, references.map(\.reference), references.count { $0.isNew })
  }

  func put(
    _ bytes: [UInt8], into writer: ContainerWriter
  ) throws(StoreError) -> (reference: ChunkReference, isNew: Bool) {
    let identity = bytes.withUnsafeBytes { store.identifying.identity(of: $0) }
    var claims = [ChunkClaim(identity: identity, length: UInt32(bytes.count))]
    try index.resolve(&claims, next: try writer.nextLocation())
    if claims[0].isNew {
      try bytes.withUnsafeBytesTyped { (raw) throws(StoreError) in
        try writer.append(raw, identity: identity)
      }
    }
    let reference = ChunkReference(
      identity: identity, length: UInt32(bytes.count), location: claims[0].location)
    return (reference, claims[0].isNew)
  }
}

/// A snapshot as a backup drafts it.
func draft(root: ChunkReference?) -> SnapshotRecord {
  let nothing = ChunkReference(
    identity: ChunkIdentity(
      fingerprint: Pair128(low: 0, high: 0), tag: Pair128(low: 0, high: 0)),
    length: 0, location: ChunkLocation(container: .zero, slot: 0))
  return SnapshotRecord(
    id: randomIdentifier(), root: TreeRoot(level: 0, page: root ?? nothing),
    containers: ContainerSet(base: nil, added: [], removed: []))
}

extension Store {
  /// Reads chunks back and compares them.
  func holds(_ chunks: [[UInt8]], at references: [ChunkReference]) throws(StoreError) -> Bool {
    let reader = ChunkReader(store: self)
    for (chunk, reference) in zip(chunks, references) where try reader.read(reference) != chunk {
      return false
    }
    return true
  }
}
