internal import MuninnDisk
internal import MuninnFormat
internal import MuninnStore

/// Stores the chunks of manifests: pages, extent pages and container lists, in containers of their
/// own kind.
final class ManifestChunks: Sendable {
  private let session: WriteSession
  private let identifying: Identifying
  private let writer: Monitor<OwnedWriter>
  /// Every container that holds a chunk which was put or found here, and those that were noted.
  private let used = Monitor<Set<Identifier>>([])

  /// `@unchecked Sendable` is sound: a container writer belongs to one thread at a time, and this
  /// one is only reached under the mutex.
  private struct OwnedWriter: @unchecked Sendable {
    let writer: ContainerWriter
  }

  init(session: WriteSession, identifying: Identifying) {
    self.session = session
    self.identifying = identifying
    writer = Monitor(OwnedWriter(writer: session.makeContainerWriter(isManifest: true)))
  }

  /// The manifest needs these too.
  func noteUsed(_ ids: Set<Identifier>) { used.withLock { $0.formUnion(ids) } }

  var containers: Set<Identifier> { used.withLock { $0 } }

  /// Stores a chunk unless the repository has it.
  func put(_ bytes: [UInt8]) throws(StoreError) -> ChunkReference {
    let identity = bytes.withUnsafeBytes { identifying.identity(of: $0) }
    var result: Result<ChunkReference, StoreError>?
    writer.withLock { owned in
      do throws(StoreError) {
        var claims = [ChunkClaim(identity: identity, length: UInt32(bytes.count))]
        try session.index.resolve(&claims, next: try owned.writer.nextLocation())
        if claims[0].isNew {
          try bytes.withUnsafeBytesTyped { (raw) throws(StoreError) in
            try owned.writer.append(raw, identity: identity)
          }
        }
        result = .success(
          ChunkReference(
            identity: identity, length: UInt32(bytes.count), location: claims[0].location))
      } catch {
        result = .failure(error)
      }
    }
    guard let result else { throw StoreError(.inputOutput, "no manifest chunk was stored") }
    let reference = try result.get()
    used.withLock { _ = $0.insert(reference.location.container) }
    return reference
  }

  func putContainerLists(_ ids: Set<Identifier>) throws(StoreError) -> [ChunkReference] {
    let sorted = ids.sorted()
    var lists: [ChunkReference] = []
    var start = 0
    while start < sorted.count {
      let end = min(start + ContainerList.idsPerChunk, sorted.count)
      lists.append(try put(ContainerList.encoded(sorted[start..<end])))
      start = end
    }
    return lists
  }

  func finish() throws(StoreError) {
    var failure: StoreError?
    writer.withLock { owned in
      do throws(StoreError) { try owned.writer.finish() } catch { failure = error }
    }
    if let failure { throw failure }
  }

  func discard() { writer.withLock { $0.writer.discard() } }
}
