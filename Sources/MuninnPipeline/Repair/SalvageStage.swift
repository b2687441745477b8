internal import MuninnDisk
internal import MuninnFormat
internal import MuninnStore

/// Copies the readable chunks of damaged containers into new ones. Belongs to one thread.
struct SalvageStage {
  private let store: Store
  private let session: WriteSession
  private let data: ContainerWriter
  private let manifest: ContainerWriter
  private(set) var chunkCount: UInt64 = 0

  init(store: Store, session: WriteSession) {
    self.store = store
    self.session = session
    data = session.makeContainerWriter(isManifest: false)
    manifest = session.makeContainerWriter(isManifest: true)
  }

  /// Returns the containers that hold what could be had of the container's chunks: new ones, and
  /// those that had a chunk already. Empty where nothing of it can be read.
  mutating func salvage(
    _ id: Identifier, isManifest: Bool
  ) throws(StoreError) -> Set<Identifier> {
    let container: OpenContainer
    do throws(StoreError) { container = try store.salvageContainer(id).container } catch {
      // Nothing is left of it. A disk that returns errors may still know better another time.
      guard error.code == .damaged || error.code == .notFound else { throw error }
      return []
    }
    let writer = isManifest ? manifest : data
    var holders: Set<Identifier> = []
    for (ordinal, block) in container.directory.blocks.enumerated() {
      let target = Buffer(capacity: Int(block.rawByteCount))
      // It was read a moment ago: a disk that changes its mind ends the repair, with nothing done.
      let frame = try store.read(
        ObjectName.container(id), at: block.offset, count: Int(block.frameByteCount))
      _ = try frame.withUnsafeBytesTyped { (bytes) throws(StoreError) in
        try container.decodeBlock(ordinal, frame: bytes, into: target.bytes)
      }
      let slots = Int(block.firstSlot)..<Int(block.firstSlot + block.chunkCount)
      var claims = slots.map {
        ChunkClaim(
          identity: container.directory.identities[$0], length: container.directory.lengths[$0])
      }
      try session.index.resolve(&claims, next: try writer.nextLocation())
      var start = 0
      for claim in claims {
        let end = start + Int(claim.length)
        if claim.isNew {
          try writer.append(
            UnsafeRawBufferPointer(rebasing: target.bytes[start..<end]), identity: claim.identity)
        }
        holders.insert(claim.location.container)
        start = end
      }
      chunkCount += UInt64(claims.count)
    }
    return holders
  }

  func finish() throws(StoreError) {
    try data.finish()
    try manifest.finish()
  }
}
