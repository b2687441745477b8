import MuninnDisk
import MuninnFormat
import MuninnStore
import Synchronization

/// Stores the chunks of entries in the other repository. Belongs to one thread, with a container of
/// its own.
final class CopyWorker {
  private static let maximumClaims = 256

  private let run: CopyRun
  private let reader: ChunkReader
  private let writer: ContainerWriter
  /// What the lists of long files name that were made for this batch.
  private var listed: Set<Identifier> = []

  init(_ run: CopyRun) {
    self.run = run
    reader = ChunkReader(store: run.source)
    writer = run.session.makeContainerWriter(isManifest: false)
  }

  func copy(_ batch: CopyBatch) throws(PipelineError) {
    listed = []
    var entries: [ManifestEntry] = []
    entries.reserveCapacity(batch.items.count)
    if let first = batch.items.first { run.counters.setCurrentPath(first.entry.path) }
    for item in batch.items {
      var entry = item.entry
      if item.needsCopy {
        do throws(StoreError) {
          entry.content = try copy(entry.content)
        } catch {
          // The store's own error knows nothing of the path.
          throw PipelineError(
            .damaged,
            "'\(displayPath(entry.path))' cannot be copied: \(error.description)",
            path: displayPath(entry.path))
        }
        run.counters.add(bytes: entry.size)
      }
      entries.append(entry)
    }
    var finished = FinishedBatch(entries: entries)
    finished.listed = listed
    run.assemble.deliver(finished, sequence: batch.sequence)
  }

  func finish() throws(PipelineError) {
    try fromStore { () throws(StoreError) in try writer.finish() }
  }

  func discard() { writer.discard() }

  private func copy(_ content: EntryContent) throws(StoreError) -> EntryContent {
    switch content {
    case .none, .inline: return content
    case .extents(let extents): return .extents(try copy(extents))
    case .tree(let root, _):
      let file = LargeFile(manifest: run.manifest, usage: run.usage)
      var tree = try TreeReader(root, reader: reader)
      var count = 0
      while let leaf = try tree.nextLeaf() {
        guard run.failure == nil else { throw StoreError(.cancelled, "the copy has ended") }
        try file.add(try copy(reader.extents(of: leaf)), ordinal: count)
        count += 1
      }
      try file.finish(segmentCount: count)
      guard let result = file.result else {
        throw StoreError(.damaged, "a file whose extents have no end")
      }
      listed.formUnion(result.listed)
      return result.content
    }
  }

  /// The same extents, of chunks that the other repository has.
  private func copy(_ extents: [Extent]) throws(StoreError) -> [Extent] {
    var result: [Extent] = []
    result.reserveCapacity(extents.count)
    for start in stride(from: 0, to: extents.count, by: CopyWorker.maximumClaims) {
      result += try copy(
        part: extents[start..<min(start + CopyWorker.maximumClaims, extents.count)])
    }
    return result
  }

  private func copy(part: ArraySlice<Extent>) throws(StoreError) -> [Extent] {
    var claims: [ChunkClaim] = []
    var bytes: [[UInt8]] = []
    for case .chunk(let chunk) in part {
      let content = try reader.read(chunk)
      let identity = content.withUnsafeBytes { run.target.identifying.identity(of: $0) }
      claims.append(ChunkClaim(identity: identity, length: chunk.length))
      bytes.append(content)
    }
    if !claims.isEmpty {
      try run.session.index.resolve(&claims, next: try writer.nextLocation())
      var newCount: UInt64 = 0
      for (ordinal, claim) in claims.enumerated() where claim.isNew {
        try bytes[ordinal].withUnsafeBytesTyped { (raw) throws(StoreError) in
          try writer.append(raw, identity: claim.identity)
        }
        newCount += 1
      }
      run.counters.chunksNew.add(newCount, ordering: .relaxed)
      run.counters.chunksDuplicate.add(UInt64(claims.count) - newCount, ordering: .relaxed)
      run.counters.bytesStored.store(run.session.bytesStored, ordering: .relaxed)
    }
    var next = 0
    return part.map { extent in
      guard case .chunk = extent else { return extent }
      defer { next += 1 }
      let claim = claims[next]
      return .chunk(
        ChunkReference(identity: claim.identity, length: claim.length, location: claim.location))
    }
  }
}
