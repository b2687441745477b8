/// Which 64-bit fingerprints were seen: open addressing, half full at most. 0 stands for an empty
/// slot.
struct DuplicateTable {
  private var slots = [UInt64](repeating: 0, count: 1 << 12)
  private(set) var count = 0

  /// True where the fingerprint is new.
  mutating func insert(_ fingerprint: UInt64) -> Bool {
    let key = fingerprint == 0 ? 1 : fingerprint
    if count * 2 >= slots.count { grow() }
    var slot = Int(truncatingIfNeeded: key) & (slots.count - 1)
    while slots[slot] != 0 {
      if slots[slot] == key { return false }
      slot = (slot + 1) & (slots.count - 1)
    }
    slots[slot] = key
    count += 1
    return true
  }

  private mutating func grow() {
    let old = slots
    slots = [UInt64](repeating: 0, count: old.count * 2)
    for key in old where key != 0 {
      var slot = Int(truncatingIfNeeded: key) & (slots.count - 1)
      while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
      slots[slot] = key
    }
  }
}
