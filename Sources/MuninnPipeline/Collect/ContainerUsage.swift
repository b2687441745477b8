internal import MuninnDisk
internal import MuninnFormat
internal import MuninnStore

/// What snapshots need of each live container: a bit a chunk, and sums. Belongs to one thread.
final class ContainerUsage {
  struct Item {
    let record: ContainerRecord
    /// Bytes of needed chunks, before compression.
    var usedByteCount: UInt64 = 0
    /// What the needed chunks add up to, to be held against the directory before any is left out.
    var sum = EntrySum()
    /// Where its chunks' bits begin.
    let firstBit: Int
    /// Somebody may need something of it that nobody can name: it stays as it is.
    var isUnknown = false

    /// What of it nobody needs, in bytes on the disk.
    var unusedByteCount: UInt64 {
      guard usedByteCount < record.rawByteCount else { return 0 }
      let part = Double(record.rawByteCount - usedByteCount) / Double(record.rawByteCount)
      return UInt64(Double(record.byteCount) * part)
    }

    var storedUsedByteCount: UInt64 { record.byteCount - unusedByteCount }
  }

  private(set) var items: [Item] = []
  private(set) var ordinals: [Identifier: Int] = [:]
  private var bits: [UInt64]
  private let live: [Identifier: ContainerRecord]
  private let index: ChunkIndex
  private var lineage: RepackLineage
  private var last: (id: Identifier, ordinal: Int)?
  struct Met {
    let item: Int
    let slot: UInt32
    let length: UInt32
    let page: UInt32
    /// Whether it was never met before.
    let isNew: Bool
  }

  /// Told of each needed chunk, each time that it is met.
  var onChunk: (Met) -> Void = { _ in }

  /// `needed` are the containers of snapshots' sets; what only the minimum age protects is unknown.
  init(_ journal: JournalState, needed: Set<Identifier>, index: ChunkIndex) {
    live = journal.containers
    self.index = index
    lineage = RepackLineage(journal)
    var count = 0
    for record in journal.containers.values.sorted(by: { $0.id < $1.id })
    where needed.contains(record.id) {
      ordinals[record.id] = items.count
      items.append(Item(record: record, firstBit: count))
      count += Int(record.chunkCount)
    }
    bits = [UInt64](repeating: 0, count: (count + 63) / 64)
  }

  /// Takes containers out of all that may be rewritten.
  func leaveAlone(_ ids: some Sequence<Identifier>) {
    for id in ids { if let ordinal = ordinals[id] { items[ordinal].isUnknown = true } }
  }

  func isUsed(_ item: Int, slot: Int) -> Bool {
    let bit = items[item].firstBit + slot
    return bits[bit >> 6] & (1 << UInt64(bit & 63)) != 0
  }

  /// Slots of a container's needed chunks.
  func usedSlots(of item: Int) -> [UInt32] {
    (0..<Int(items[item].record.chunkCount)).filter { isUsed(item, slot: $0) }.map { UInt32($0) }
  }

  /// Marks what a reference means. False where the chunk is nowhere to be found.
  func mark(_ reference: ChunkReference, page: UInt32) -> Bool {
    let hint = reference.location
    if let last, last.id == hint.container {
      return mark(reference, hint.slot, in: last.ordinal, page)
    }
    guard let heirs = lineage.heirs(of: hint.container) else {
      if live[hint.container] != nil { return mark(reference, at: hint, page) }
      // It left with a repair, or is damaged: wherever the chunk is now.
      return markEveryPlace(of: reference, page)
    }
    let isLive = live[hint.container] != nil
    if heirs.isSimple, !isLive, let place = try? index.find(reference.identity),
      heirs.live.contains(place.container)
    {
      return mark(reference, at: place, page)
    }
    return markEveryPlace(of: reference, page)
  }

  /// Marks the chunk in every container that has it. Once in each: whoever looks for it there finds
  /// it by its identity, and what several repackings have brought together is needed once.
  private func markEveryPlace(of reference: ChunkReference, _ page: UInt32) -> Bool {
    guard let places = try? index.everyPlace(of: reference.identity), !places.isEmpty else {
      return false
    }
    var chosen: [Identifier: ChunkLocation] = [:]
    for place in places {
      let other = chosen[place.container]
      if other == nil || (isMarked(place) && !(other.map(isMarked) ?? false)) {
        chosen[place.container] = place
      }
    }
    var isSound = true
    for place in places where chosen[place.container] == place {
      isSound = mark(reference, at: place, page) && isSound
    }
    return isSound
  }

  private func isMarked(_ place: ChunkLocation) -> Bool {
    guard let ordinal = ordinals[place.container],
      place.slot < items[ordinal].record.chunkCount
    else { return false }
    return isUsed(ordinal, slot: Int(place.slot))
  }

  private func mark(
    _ reference: ChunkReference, at place: ChunkLocation, _ page: UInt32
  ) -> Bool {
    // A live container that no set has: it is another session's and no concern of this one.
    guard let ordinal = ordinals[place.container] else { return live[place.container] != nil }
    if place == reference.location, lineage.heirs(of: place.container) == nil {
      last = (place.container, ordinal)
    }
    return mark(reference, place.slot, in: ordinal, page)
  }

  private func mark(
    _ reference: ChunkReference, _ slot: UInt32, in ordinal: Int, _ page: UInt32
  ) -> Bool {
    guard slot < items[ordinal].record.chunkCount else { return false }
    let bit = items[ordinal].firstBit + Int(slot)
    let isNew = bits[bit >> 6] & (1 << UInt64(bit & 63)) == 0
    if isNew {
      bits[bit >> 6] |= 1 << UInt64(bit & 63)
      items[ordinal].usedByteCount += UInt64(reference.length)
      items[ordinal].sum.add(prefix: reference.identity.fingerprint.low, slot: slot)
    }
    onChunk(
      Met(item: ordinal, slot: slot, length: reference.length, page: page, isNew: isNew))
    return true
  }
}
