/// Open files of objects that were read lately, so that ranged reads of a container do not open and
/// close it each time. The least recently used one goes when there are too many; readers that still
/// use it keep it open until they are done.
final class DescriptorCache: Sendable {
  /// An open object, shared by whoever reads it.
  final class Entry: Sendable {
    let object: OpenObject
    init(_ object: consuming OpenObject) { self.object = object }
  }

  private struct Slot: Sendable {
    var entry: Entry
    var lastUse: UInt64
  }

  private struct State: Sendable {
    var slots: [String: Slot] = [:]
    var clock: UInt64 = 0
    /// Counts the removals: a file opened before one must not enter after it.
    var removalCount: UInt64 = 0
  }

  private let capacity: Int
  private let state = Monitor(State())

  init(capacity: Int) { self.capacity = capacity }

  /// The open file of that name, from the cache or from `open`, which runs without the lock.
  func entry(
    for name: String, open: () throws(DiskError) -> OpenObject
  ) throws(DiskError) -> Entry {
    let (known, removalCount) = state.withLock { state -> (Entry?, UInt64) in
      state.clock += 1
      state.slots[name]?.lastUse = state.clock
      return (state.slots[name]?.entry, state.removalCount)
    }
    if let known { return known }
    let opened = Entry(try open())
    // What is dropped here closes its file after the lock is released.
    let dropped = state.withLock { state -> Entry? in
      guard state.removalCount == removalCount, state.slots[name] == nil else { return nil }
      state.slots[name] = Slot(entry: opened, lastUse: state.clock)
      guard state.slots.count > capacity else { return nil }
      let oldest = state.slots.min { $0.value.lastUse < $1.value.lastUse }
      return oldest.flatMap { state.slots.removeValue(forKey: $0.key)?.entry }
    }
    withExtendedLifetime(dropped) {}
    return opened
  }

  /// Forgets the file, because the name is about to mean something else or nothing.
  func remove(_ name: String) {
    let dropped = state.withLock { state -> Entry? in
      state.removalCount += 1
      return state.slots.removeValue(forKey: name)?.entry
    }
    withExtendedLifetime(dropped) {}
  }
}
