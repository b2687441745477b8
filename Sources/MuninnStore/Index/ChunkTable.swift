internal import MuninnFormat

/// An open-addressing hash table from chunk identity to place: 40 bytes a slot, at most 3/4 full.
///
/// The fingerprint is uniformly distributed and keyed, so its words serve as the hash.
struct ChunkTable: ~Copyable {
  struct Place {
    /// Ordinal that the owner gives to a container.
    var container: UInt32
    var slot: UInt32
  }

  private struct Slot {
    var identity: ChunkIdentity
    /// 0 where the slot is free; else the container's ordinal + 1.
    var container: UInt32
    var slot: UInt32
  }

  private static let free = Slot(
    identity: ChunkIdentity(
      fingerprint: Pair128(low: 0, high: 0), tag: Pair128(low: 0, high: 0)),
    container: 0, slot: 0)

  // Sound: allocated, initialised and freed here alone, and indexed with a mask below its count.
  private var slots: UnsafeMutablePointer<Slot>
  private var mask: Int
  private(set) var count = 0

  init(capacity: Int = 1 << 12) {
    var size = 1 << 6
    while size * 3 / 4 < capacity { size <<= 1 }
    slots = .allocate(capacity: size)
    slots.initialize(repeating: ChunkTable.free, count: size)
    mask = size - 1
  }

  deinit { slots.deallocate() }

  var byteCount: Int { (mask + 1) * MemoryLayout<Slot>.stride }

  func find(_ identity: ChunkIdentity) -> Place? {
    var at = Int(truncatingIfNeeded: identity.fingerprint.high) & mask
    while slots[at].container != 0 {
      if slots[at].identity == identity {
        return Place(container: slots[at].container - 1, slot: slots[at].slot)
      }
      at = (at + 1) & mask
    }
    return nil
  }

  /// Adds an identity that is not in the table; keeps the first place where it is.
  mutating func insert(_ identity: ChunkIdentity, _ place: Place) {
    if (count + 1) * 4 > (mask + 1) * 3 { grow() }
    var at = Int(truncatingIfNeeded: identity.fingerprint.high) & mask
    while slots[at].container != 0 {
      if slots[at].identity == identity { return }
      at = (at + 1) & mask
    }
    slots[at] = Slot(identity: identity, container: place.container + 1, slot: place.slot)
    count += 1
  }

  mutating func removeAll() {
    slots.update(repeating: ChunkTable.free, count: mask + 1)
    count = 0
  }

  /// Removes every chunk of these containers; the memory stays.
  mutating func removeAll(in containers: Set<UInt32>) {
    var kept: [Slot] = []
    for index in 0...mask where slots[index].container != 0 {
      if !containers.contains(slots[index].container - 1) { kept.append(slots[index]) }
      slots[index] = ChunkTable.free
    }
    count = kept.count
    for slot in kept {
      var at = Int(truncatingIfNeeded: slot.identity.fingerprint.high) & mask
      while slots[at].container != 0 { at = (at + 1) & mask }
      slots[at] = slot
    }
  }

  private mutating func grow() {
    let old = slots
    let oldSize = mask + 1
    slots = .allocate(capacity: oldSize * 2)
    slots.initialize(repeating: ChunkTable.free, count: oldSize * 2)
    mask = oldSize * 2 - 1
    for index in 0..<oldSize where old[index].container != 0 {
      var at = Int(truncatingIfNeeded: old[index].identity.fingerprint.high) & mask
      while slots[at].container != 0 { at = (at + 1) & mask }
      slots[at] = old[index]
    }
    old.deallocate()
  }
}
