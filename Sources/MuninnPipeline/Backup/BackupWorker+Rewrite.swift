internal import MuninnDisk
internal import MuninnFormat
internal import MuninnStore

// Files that are taken over from the parent without being read, but for chunks that lie in sparse
// containers: those are copied, within the repository, to where the new chunks go.
extension BackupWorker {
  /// The entry with the copies in place of what it had; nil where the repository cannot be read
  /// there, so that the file is.
  func rewritten(_ entry: ManifestEntry) throws(PipelineError) -> ManifestEntry? {
    // What waits goes before, so that chunks lie in path order.
    try settle()
    var result = entry
    switch entry.content {
    case .none, .inline: break
    case .extents(let extents):
      guard let moved = try rewritten(extents) else { return nil }
      result.content = .extents(moved)
    case .tree(let root, _):
      guard let content = try rewrittenTree(root) else { return nil }
      result.content = content
    }
    return result
  }

  /// A long file's pages, made anew: those that hold the same extents are found again.
  private func rewrittenTree(_ root: TreeRoot) throws(PipelineError) -> EntryContent? {
    let file = LargeFile(manifest: shared.manifest, usage: shared.usage)
    var count = 0
    guard var tree = try? TreeReader(root, reader: chunks) else { return nil }
    while true {
      guard !shared.cancellation.isCancelled else { throw PipelineError.cancelled }
      let page: [Extent]
      do throws(StoreError) {
        guard let leaf = try tree.nextLeaf() else { break }
        page = try chunks.extents(of: leaf)
      } catch {
        return nil
      }
      guard let moved = try rewritten(page) else { return nil }
      let ordinal = count
      try fromStore { () throws(StoreError) in try file.add(moved, ordinal: ordinal) }
      count += 1
    }
    let segmentCount = count
    try fromStore { () throws(StoreError) in try file.finish(segmentCount: segmentCount) }
    guard let result = file.result else { return nil }
    finished.listed.formUnion(result.listed)
    return result.content
  }

  private func rewritten(_ extents: [Extent]) throws(PipelineError) -> [Extent]? {
    guard shared.rewriting.wants(extents) else { return extents }
    var result = extents
    var places: [Int] = []
    for (place, extent) in extents.enumerated() {
      guard case .chunk(let chunk) = extent, shared.rewriting.wants(chunk.location.container) else {
        continue
      }
      guard let bytes = try? chunks.read(chunk) else {
        forgetClaims()
        return nil
      }
      if !hasRoom(for: bytes.count) { try store(into: &result, &places) }
      take(bytes, identity: chunk.identity)
      places.append(place)
    }
    try store(into: &result, &places)
    return result
  }

  /// Stores the chunks that were taken, and says where they lie now.
  private func store(
    into extents: inout [Extent], _ places: inout [Int]
  ) throws(PipelineError) {
    defer {
      forgetClaims()
      places.removeAll(keepingCapacity: true)
    }
    guard !places.isEmpty else { return }
    try store(in: small.bytes)
    for (claim, place) in zip(claims, places) { extents[place] = .chunk(claim.reference) }
  }

  /// Whether a chunk can be taken before the others are stored.
  private func hasRoom(for count: Int) -> Bool {
    fill + count <= small.capacity && fill <= BackupWorker.smallFileByteCount
  }

  /// Takes a chunk whose identity is known into the batch's buffer.
  private func take(_ chunk: [UInt8], identity: ChunkIdentity) {
    UnsafeMutableRawBufferPointer(rebasing: small.bytes[fill...]).copyBytes(from: chunk)
    claims.append(ChunkClaim(identity: identity, length: UInt32(chunk.count)))
    offsets.append(fill)
    fill += chunk.count
  }
}
