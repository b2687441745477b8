internal import MuninnDisk
internal import MuninnFormat

/// The chunks whose identities are in memory, spread by fingerprint over many small tables with a
/// lock each, so that threads seldom meet: the session's own, and those of containers that were
/// hit lately.
final class ChunkShards: Sendable {
  private struct Tables: ~Copyable {
    var own = ChunkTable(capacity: 48)
    /// What was loaded lately, and what was before: when `loaded` is full, `aging` is forgotten.
    var loaded = ChunkTable(capacity: 48)
    var aging = ChunkTable(capacity: 48)
  }

  private static let count = 64
  private let shards: [Monitor<Tables>]
  private let loadedPerShard: Int

  init(loadedChunks: Int) {
    shards = (0..<Self.count).map { _ in Monitor(Tables()) }
    loadedPerShard = max(1, loadedChunks / Self.count / 2)
  }

  @inline(__always)
  private func shard(_ identity: ChunkIdentity) -> Monitor<Tables> {
    // The tables themselves hash with the low bits of the same word.
    shards[Int(identity.fingerprint.high >> 58)]
  }

  /// Where a chunk is, if it is here.
  func find(_ identity: ChunkIdentity) -> ChunkTable.Place? {
    shard(identity).withLock {
      $0.own.find(identity) ?? $0.loaded.find(identity) ?? $0.aging.find(identity)
    }
  }

  /// Makes a chunk the session's own, at `place`, unless it is already here: then where it is.
  func claim(_ identity: ChunkIdentity, _ place: ChunkTable.Place) -> ChunkTable.Place? {
    shard(identity).withLock { tables in
      if let known = tables.own.find(identity) { return known }
      tables.own.insert(identity, place)
      return nil
    }
  }

  func load(_ identity: ChunkIdentity, _ place: ChunkTable.Place) {
    shard(identity).withLock { tables in
      if tables.loaded.count >= loadedPerShard {
        swap(&tables.loaded, &tables.aging)
        tables.loaded.removeAll()
      }
      tables.loaded.insert(identity, place)
    }
  }

  /// Removes the session's own chunks that lie in these containers.
  func removeOwn(in containers: Set<UInt32>) {
    for shard in shards { shard.withLock { $0.own.removeAll(in: containers) } }
  }

  var ownCount: Int { shards.reduce(0) { sum, shard in sum + shard.withLock { $0.own.count } } }

  /// Memory of the tables, in bytes.
  var byteCount: Int {
    shards.reduce(0) { sum, shard in
      sum
        + shard.withLock { $0.own.byteCount + $0.loaded.byteCount + $0.aging.byteCount }
    }
  }
}
