internal import MuninnFormat
package import MuninnStore

/// How a snapshot's content lies in the repository.
package struct Fragmentation: Sendable, Equatable {
  /// Containers that hold content of the snapshot.
  package var containers: UInt64 = 0
  /// Those of which it needs less than half.
  package var sparseContainers: UInt64 = 0
  /// Bytes of the files, holes included.
  package var contentByteCount: UInt64 = 0
  /// Bytes of the chunks that it needs, each counted once, before compression.
  package var neededByteCount: UInt64 = 0
  /// Bytes of all chunks in those containers.
  package var containedByteCount: UInt64 = 0
  /// What a restore reads, where it was planned.
  package var plan: RestoreCost?

  package init() {}

  /// Counts what is known of each container, without a look into any.
  package init(_ usage: SnapshotNeeds, contentByteCount: UInt64, journal: JournalState) {
    self.contentByteCount = contentByteCount
    for (id, share) in usage.shares {
      guard let record = journal.containers[id], !record.isManifest else { continue }
      let needed = min(share.byteCount, record.rawByteCount)
      containers += 1
      neededByteCount += needed
      containedByteCount += record.rawByteCount
      if Double(needed) < SnapshotNeeds.sparseBelow * Double(record.rawByteCount) {
        sparseContainers += 1
      }
    }
  }

  /// Bytes of chunks that are restored for each container that is touched: the speed factor of
  /// Lillibridge and others (FAST'13).
  package var bytesPerContainer: Double {
    containers == 0 ? 0 : Double(neededByteCount) / Double(containers)
  }

  /// The part of the containers' chunks that the snapshot needs, 0 to 1.
  package var utilisation: Double {
    containedByteCount == 0 ? 1 : Double(neededByteCount) / Double(containedByteCount)
  }
}

/// What a restore of a whole snapshot reads of containers.
package struct RestoreCost: Sendable, Equatable {
  /// Containers, each as often as a window of the plan reads it.
  package var containerReads: UInt64 = 0
  /// Reads, each of neighbouring blocks.
  package var requests: UInt64 = 0
  /// Bytes that are read, what lies between wanted blocks included.
  package var byteCount: UInt64 = 0
  /// Of those, the stored bytes of the wanted chunks alone: each one's part of its block.
  package var neededByteCount: UInt64 = 0

  package init() {}

  /// Bytes that are read for each that is needed; 1 where nothing else lies in the blocks.
  package var amplification: Double {
    neededByteCount == 0 ? 1 : Double(byteCount) / Double(neededByteCount)
  }
}
