internal import MuninnDisk
internal import MuninnFormat
internal import MuninnStore
internal import Synchronization

/// Holds chunks against what the repository has under the same fingerprint and tag, byte by byte:
/// in a repository whose secrets an attacker can read, the two can be made to collide.
///
/// A container of this session cannot be read before it is complete. Until then the SHA-256 of each
/// of its chunks is kept here: as many as fit into the containers that are open or being synced.
final class DuplicateProof: Sendable {
  private struct State {
    var digests: [Identifier: [UInt32: [UInt8]]] = [:]
    var isCancelled = false
  }

  private let store: Store
  private let session: WriteSession
  private let state = Monitor(State())
  private let refused = Atomic<UInt64>(0)

  init(_ store: Store, _ session: WriteSession) {
    self.store = store
    self.session = session
  }

  /// A reader for one thread.
  func makeReader() -> ChunkReader { ChunkReader(store: store) }

  var refusedCount: UInt64 { refused.load(ordering: .relaxed) }

  func countRefused() { refused.add(1, ordering: .relaxed) }

  /// Nobody waits any more: the backup is given up.
  func cancel() { state.update { $0.isCancelled = true } }

  /// Takes note of a chunk that the caller has just claimed, and before it waits for anybody
  /// else's: so of two that wait for each other's notes there are none.
  func note(_ chunk: UnsafeRawBufferPointer, at location: ChunkLocation) {
    let digest = sha256(chunk)
    let others = state.update { state in
      let isFirst = state.digests[location.container] == nil
      state.digests[location.container, default: [:]][location.slot] = digest
      return isFirst ? state.digests.keys.filter { $0 != location.container } : []
    }
    let complete = others.filter { isComplete($0) }
    guard !complete.isEmpty else { return }
    state.update { state in
      for id in complete { state.digests[id] = nil }
    }
  }

  /// Whether the repository's bytes under that reference are these. False also where they cannot be
  /// read. Throws `cancelled`, and what keeps every read from working.
  func isSame(
    _ chunk: UnsafeRawBufferPointer, as reference: ChunkReference, _ reader: ChunkReader
  ) throws(StoreError) -> Bool {
    let location = reference.location
    let isOwn = location.container.high == session.id.high
    while isOwn {
      let (digest, isCancelled) = state.withLock { state in
        (state.digests[location.container]?[location.slot], state.isCancelled)
      }
      if let digest { return digest == sha256(chunk) }
      if isCancelled { throw StoreError(.cancelled, "the backup was given up") }
      if isComplete(location.container) { break }
      // Its claimer is about to note it.
      _ = state.wait(nanoseconds: 10_000_000) { state in
        state.isCancelled || state.digests[location.container]?[location.slot] != nil
      }
    }
    do throws(StoreError) {
      let stored = try reader.read(reference)
      return stored.withUnsafeBytes { $0.elementsEqual(chunk) }
    } catch {
      switch error.code {
      case .damaged, .notFound, .inputOutput: return false
      default: throw error
      }
    }
  }

  /// An object has its name once its content is on stable storage.
  private func isComplete(_ container: Identifier) -> Bool {
    (try? store.storage.size(of: ObjectName.container(container))) != nil
  }
}

extension BackupWorker {
  /// The chunks that a claim came to: one, unless it was refused as a duplicate.
  func references(of place: Int) -> [ChunkReference] {
    pieces[place] ?? [claims[place].reference]
  }

  var tooManyPieces: StoreError {
    StoreError(
      .damaged,
      "nearly all chunks of a file collide with others: back up to a repository that was made with "
        + "--fingerprint sha256")
  }

  /// Proves what `claims` were taken for; returns what stands for those that were refused.
  func prove(
    in bytes: UnsafeMutableRawBufferPointer, _ proof: DuplicateProof
  ) throws(StoreError) -> [Int: [ChunkReference]] {
    func chunk(_ ordinal: Int) -> UnsafeRawBufferPointer {
      let start = offsets[ordinal]
      return UnsafeRawBufferPointer(
        rebasing: bytes[start..<(start + Int(claims[ordinal].length))])
    }
    for (ordinal, claim) in claims.enumerated() where claim.isNew {
      proof.note(chunk(ordinal), at: claim.location)
    }
    var pieces: [Int: [ChunkReference]] = [:]
    for (ordinal, claim) in claims.enumerated() where !claim.isNew {
      if try proof.isSame(chunk(ordinal), as: claim.reference, chunks) { continue }
      proof.countRefused()
      pieces[ordinal] = try storeInPieces(chunk(ordinal), proof, depth: 1)
    }
    return pieces
  }

  /// Stores a chunk as two halves, whose fingerprints and tags are others than the whole's. An
  /// attacker would have to have made these collide as well, and theirs.
  private func storeInPieces(
    _ chunk: UnsafeRawBufferPointer, _ proof: DuplicateProof, depth: Int
  ) throws(StoreError) -> [ChunkReference] {
    guard depth <= BackupWorker.maximumSplitDepth, chunk.count >= 2 else {
      throw StoreError(
        .damaged,
        "the repository holds other bytes under the fingerprints and tags of a chunk and of its "
          + "parts: somebody who can read its secrets made them so; back up to one that was made "
          + "with --fingerprint sha256")
    }
    let middle = chunk.count / 2
    let halves = [chunk[..<middle], chunk[middle...]].map { UnsafeRawBufferPointer(rebasing: $0) }
    var halfClaims = halves.map {
      ChunkClaim(identity: shared.store.identifying.identity(of: $0), length: UInt32($0.count))
    }
    try shared.session.index.resolve(&halfClaims, next: try writer.nextLocation())
    for (half, claim) in zip(halves, halfClaims) where claim.isNew {
      try writer.append(half, identity: claim.identity)
      proof.note(half, at: claim.location)
      shared.bytesNew.add(UInt64(half.count), ordering: .relaxed)
      shared.counters.chunksNew.add(1, ordering: .relaxed)
    }
    var references: [ChunkReference] = []
    for (half, claim) in zip(halves, halfClaims) {
      if claim.isNew {
        references.append(claim.reference)
      } else if try proof.isSame(half, as: claim.reference, chunks) {
        references.append(claim.reference)
      } else {
        references += try storeInPieces(half, proof, depth: depth + 1)
      }
    }
    return references
  }

  private static let maximumSplitDepth = 4
}
