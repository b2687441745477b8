import MuninnDisk

/// An open file or directory that several threads use; closed when the last lets go of it.
final class Handle: Sendable {
  let descriptor: CInt
  private let onCloseError: (@Sendable (DiskError) -> Void)?

  /// `onCloseError` is told what closing reports: some file systems refuse a write only then.
  init(_ file: consuming OpenFile, onCloseError: (@Sendable (DiskError) -> Void)? = nil) {
    descriptor = file.release()
    self.onCloseError = onCloseError
  }

  deinit {
    do throws(DiskError) {
      try OpenFile(adopting: descriptor).close()
    } catch {
      onCloseError?(error)
    }
  }
}

/// The handles that were used last, so that descriptors stay few however large the tree is.
final class HandleCache: Sendable {
  private struct Slot {
    let handle: Handle
    var lastUse: UInt64
  }

  private struct State {
    var slots: [UInt64: Slot] = [:]
    var clock: UInt64 = 0
  }

  private let capacity: Int
  private let state = Monitor(State())

  init(capacity: Int) { self.capacity = capacity }

  func handle(_ key: UInt64) -> Handle? {
    state.withLock { state in
      state.clock += 1
      state.slots[key]?.lastUse = state.clock
      return state.slots[key]?.handle
    }
  }

  /// Returns what made room for it, whose file closes once the caller lets go of it.
  @discardableResult
  func insert(_ handle: Handle, for key: UInt64) -> Handle? {
    state.withLock { state -> Handle? in
      state.clock += 1
      state.slots[key] = Slot(handle: handle, lastUse: state.clock)
      guard state.slots.count > capacity,
        let oldest = state.slots.min(by: { $0.value.lastUse < $1.value.lastUse })
      else { return nil }
      return state.slots.removeValue(forKey: oldest.key)?.handle
    }
  }

  func remove(_ key: UInt64) {
    let dropped = state.withLock { $0.slots.removeValue(forKey: key)?.handle }
    withExtendedLifetime(dropped) {}
  }
}
