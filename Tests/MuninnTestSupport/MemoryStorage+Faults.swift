import Glibc
import MuninnDisk

// What tests do to it.
extension MemoryStorage {
  /// The calls so far; the next one has this number.
  package var callCount: Int { state.withLock { $0.calls.count } }

  /// The calls so far, oldest first.
  package var calls: [Call] { state.withLock { $0.calls } }

  /// Makes the call of that number (counted from 0, see `callCount`) throw, after it has done so
  /// much of its work: all of it is a request whose answer was lost, a part a short write.
  package func failCall(_ number: Int, errno: CInt, effect: FaultEffect = .none) {
    state.withLock {
      $0.faults.single[number] = FaultPlan.Fault(errno: errno, effect: effect)
    }
  }

  /// Makes all calls from that number on throw, like a disk that is gone.
  package func failCalls(from number: Int, errno: CInt = EIO) {
    state.withLock { $0.faults.everythingFrom = (number, errno) }
  }

  /// The power fails before the call of that number, or while it is at work: then what it does is
  /// done, and nothing of it durable.
  package func cutPower(at number: Int, during: Bool) {
    state.withLock {
      $0.faults.everythingFrom = (during ? number + 1 : number, EIO)
      if during {
        $0.faults.single[number] = FaultPlan.Fault(errno: EIO, effect: .notDurable)
      }
    }
  }

  /// Makes the next list miss a name that is there, as one may that was made while names came.
  package func missInNextList(_ name: String) {
    state.withLock { _ = $0.missedByNextList.insert(name) }
  }

  package func clearFaults() { state.withLock { $0.faults = FaultPlan() } }

  /// Whether every fault of `failCall` has happened: a test that never got there tested nothing.
  package var allFaultsHappened: Bool {
    state.withLock { state in state.faults.single.keys.allSatisfy { $0 < state.calls.count } }
  }

  /// The most bytes that it holds, nil for no limit.
  package func setCapacity(_ byteCount: UInt64?) { state.withLock { $0.capacity = byteCount } }

  /// Loses power and comes back. What is durable is there; what is not, deletions too, is there or
  /// not as `loss` says. Writers are dead and faults cleared.
  package func crash(_ loss: CrashLoss, seed: UInt64) {
    state.withLock { state in
      var generator = SeededGenerator(seed: seed)
      var survivors: [String: [UInt8]] = [:]
      for name in Set(state.visible.keys).union(state.durable.keys).sorted() {
        // Each of them by itself: names reach the disk in any order.
        let isKept = loss.keeps(&generator)
        survivors[name] = isKept ? state.visible[name] : state.durable[name]
      }
      for (_, torn) in state.unfinished.sorted(by: { $0.key < $1.key })
      where loss == .torn && generator.oneIn(2) && survivors[torn.name] == nil {
        survivors[torn.name] = generator.torn(torn.content)
      }
      state.visible = survivors
      state.durable = survivors
      state.unfinished = [:]
      state.faults = FaultPlan()
      state.life += 1
    }
  }

  /// An object's bytes, past counting and faults; nil where there is none.
  package func peek(_ name: String) -> [UInt8]? { state.withLock { $0.visible[name] } }

  /// Puts an object there, or with nil takes it away, past counting and faults: damage.
  package func poke(_ name: String, _ bytes: [UInt8]?) {
    state.withLock {
      $0.visible[name] = bytes
      $0.durable[name] = bytes
    }
  }
}
