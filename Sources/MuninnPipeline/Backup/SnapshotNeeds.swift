internal import MuninnDisk
package import MuninnFormat
package import MuninnStore

/// How many bytes of each container a snapshot needs. What it knows of the last snapshot tells the
/// next backup which containers are sparse: history-aware rewriting (Fu and others, USENIX ATC'14).
///
/// Kept by the machine that made the snapshot. All integers little-endian: magic `MUNUSAGE` (8),
/// version (4, 1), repository (16), snapshot (16), shares (8), then for each, sorted by id:
/// container (16), bytes that entries name (8), bytes that pages of long files name (8); then
/// XXH3-64 of all before.
package struct SnapshotNeeds: Sendable, Equatable {
  /// What is needed of a container, in bytes of chunks, each chunk counted once.
  package struct Share: Sendable, Equatable {
    package var inEntries: UInt64 = 0
    package var inPages: UInt64 = 0

    package init(inEntries: UInt64 = 0, inPages: UInt64 = 0) {
      self.inEntries = inEntries
      self.inPages = inPages
    }

    package var byteCount: UInt64 {
      let (sum, overflow) = inEntries.addingReportingOverflow(inPages)
      return overflow ? .max : sum
    }
  }

  /// A container of which less than this is needed is sparse.
  static let sparseBelow = 0.5

  private static let magic = [UInt8]("MUNUSAGE".utf8)
  private static let shareByteCount = 32

  package let snapshot: Identifier
  package var shares: [Identifier: Share]

  package init(snapshot: Identifier, shares: [Identifier: Share]) {
    self.snapshot = snapshot
    self.shares = shares
  }

  /// The sparse containers, the emptiest first, as many as a backup that copies `budget` bytes can
  /// begin with.
  package func sparse(in journal: JournalState, budget: UInt64) -> Set<Identifier> {
    var candidates: [(id: Identifier, bytes: UInt64, part: Double)] = []
    for (id, share) in shares {
      guard let record = journal.containers[id], !record.isManifest, record.rawByteCount > 0,
        share.byteCount > 0
      else { continue }
      let part = Double(share.byteCount) / Double(record.rawByteCount)
      if part < SnapshotNeeds.sparseBelow { candidates.append((id, share.byteCount, part)) }
    }
    candidates.sort { $0.part != $1.part ? $0.part < $1.part : $0.id < $1.id }
    var chosen: Set<Identifier> = []
    var sum: UInt64 = 0
    for candidate in candidates where sum < budget {
      chosen.insert(candidate.id)
      sum += candidate.bytes
    }
    return chosen
  }

  package func encoded(repository: Identifier) -> [UInt8] {
    var writer = ByteWriter(reserving: 60 + shares.count * SnapshotNeeds.shareByteCount)
    writer.raw(SnapshotNeeds.magic)
    writer.integer(UInt32(1))
    writer.identifier(repository)
    writer.identifier(snapshot)
    writer.integer(UInt64(shares.count))
    for (id, share) in shares.sorted(by: { $0.key < $1.key }) {
      writer.identifier(id)
      writer.integer(share.inEntries)
      writer.integer(share.inPages)
    }
    writer.integer(writer.bytes.withUnsafeBytes { checksum($0) })
    return writer.bytes
  }

  /// Throws for anything but a whole one of this repository; whoever reads does without.
  package init(decoding bytes: [UInt8], repository: Identifier) throws(FormatError) {
    guard bytes.count >= 60 else { throw FormatError(.truncated, "\(bytes.count) bytes of usage") }
    let sum = bytes.withUnsafeBytes {
      UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: bytes.count - 8, as: UInt64.self))
    }
    guard bytes.dropLast(8).withUnsafeBytes({ checksum($0) }) == sum else {
      throw FormatError(.checksumMismatch, "the usage of containers is damaged")
    }
    var shares: [Identifier: Share] = [:]
    snapshot = try bytes.withUnsafeBytesTyped { (raw) throws(FormatError) in
      var reader = ByteReader(raw)
      guard try reader.array(8) == SnapshotNeeds.magic,
        try reader.integer(UInt32.self) == 1, try reader.identifier() == repository
      else { throw FormatError(.wrongKind, "not the usage of this repository's containers") }
      let snapshot = try reader.identifier()
      let count = try reader.integer(UInt64.self)
      guard count <= UInt64(reader.remaining / SnapshotNeeds.shareByteCount) else {
        throw FormatError(.truncated, "the usage of \(count) containers")
      }
      for _ in 0..<count {
        let id = try reader.identifier()
        shares[id] = Share(
          inEntries: try reader.integer(UInt64.self), inPages: try reader.integer(UInt64.self))
      }
      return snapshot
    }
    self.shares = shares
  }
}

/// Counts what a snapshot needs while its manifest is made. Several threads add to it.
///
/// What the pages of a long file name is not looked at where the file is taken over from the
/// parent. For the containers that such a file has listed, what pages needed of them in the parent
/// still counts, and where that is not known all that they hold: too much where another file has
/// let go of them, so that a container is rewritten too late at worst, never without need.
final class UsageCounter: Sendable {
  fileprivate struct State {
    var places: [Identifier: Int] = [:]
    var ids: [Identifier] = []
    var shares: [SnapshotNeeds.Share] = []
    /// For the first containers the chunks that were counted, a bit for each slot.
    var slots: [[UInt64]] = []
    var carried: Set<Identifier> = []
    var last = -1
  }

  /// Containers whose chunks are told apart, in at most half a KiB each mostly. Of further ones a
  /// chunk counts as often as it is named.
  fileprivate static let distinguishedCount = 1 << 16

  private let state = Monitor(State())
  private let parent: SnapshotNeeds?

  init(parent: SnapshotNeeds?) { self.parent = parent }

  func add(_ extents: [Extent], inPages: Bool) {
    state.withLock { state in
      for case .chunk(let chunk) in extents { state.add(chunk, inPages: inPages) }
    }
  }

  /// Notes the containers of a long file that was taken over unseen.
  func carry(_ containers: [Identifier]) {
    state.withLock { $0.carried.formUnion(containers) }
  }

  func usage(of snapshot: Identifier) -> SnapshotNeeds {
    state.withLock { state in
      var shares = Dictionary(uniqueKeysWithValues: zip(state.ids, state.shares))
      for id in state.carried {
        let before = parent?.shares[id]?.inPages ?? .max
        guard before > 0 else { continue }
        shares[id, default: .init()].inPages = max(shares[id]?.inPages ?? 0, before)
      }
      return SnapshotNeeds(snapshot: snapshot, shares: shares)
    }
  }
}

extension UsageCounter.State {
  mutating func add(_ chunk: ChunkReference, inPages: Bool) {
    let id = chunk.location.container
    let slot = Int(chunk.location.slot)
    if last < 0 || ids[last] != id {
      if let known = places[id] {
        last = known
      } else {
        last = ids.count
        places[id] = last
        ids.append(id)
        shares.append(SnapshotNeeds.Share())
        if slots.count < UsageCounter.distinguishedCount { slots.append([]) }
      }
    }
    if last < slots.count {
      // A slot that no container can have is in a crafted manifest alone.
      guard slot < FormatLimit.chunksPerContainer else { return }
      let word = slot >> 6
      while slots[last].count <= word { slots[last].append(0) }
      let bit = UInt64(1) << UInt64(slot & 63)
      if slots[last][word] & bit != 0 { return }
      slots[last][word] |= bit
    }
    if inPages {
      shares[last].inPages &+= UInt64(chunk.length)
    } else {
      shares[last].inEntries &+= UInt64(chunk.length)
    }
  }
}
