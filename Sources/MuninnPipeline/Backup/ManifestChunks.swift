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
    /// Reads what duplicates are held against; nil where they are taken at their word.
    let reader: ChunkReader?
  }

  private let proof: DuplicateProof?

  init(session: WriteSession, identifying: Identifying, proof: DuplicateProof? = nil) {
    self.session = session
    self.identifying = identifying
    self.proof = proof
    writer = Monitor(
      OwnedWriter(
        writer: session.makeContainerWriter(isManifest: true),
        reader: proof?.makeReader()))
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
        try prove(bytes, claims[0], owned.reader)
        result = .success(claims[0].reference)
      } catch {
        result = .failure(error)
      }
    }
    guard let result else { throw StoreError(.inputOutput, "no manifest chunk was stored") }
    let reference = try result.get()
    used.withLock { _ = $0.insert(reference.location.container) }
    return reference
  }

  /// A page is built of names and times: that somebody made it collide is nothing to store around.
  private func prove(
    _ bytes: [UInt8], _ claim: ChunkClaim, _ reader: ChunkReader?
  ) throws(StoreError) {
    guard let proof, let reader else { return }
    let isSame = try bytes.withUnsafeBytesTyped { (raw) throws(StoreError) in
      if claim.isNew { proof.note(raw, at: claim.location) }
      return claim.isNew ? true : try proof.isSame(raw, as: claim.reference, reader)
    }
    guard isSame else {
      throw StoreError(
        .damaged,
        "holds something else than the manifest's chunk of the same fingerprint and tag, or it "
          + "cannot be read: run check --read-data, and repair",
        object: ObjectName.container(claim.location.container))
    }
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

extension ChunkClaim {
  var reference: ChunkReference {
    ChunkReference(identity: identity, length: length, location: location)
  }
}
