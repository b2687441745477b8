import Glibc

/// How much of its work a call that fails has done.
package enum FaultEffect: Sendable {
  case none
  /// Half of what was to be appended; nothing of other calls.
  case part
  /// All of it, and none of it is durable.
  case notDurable
  case whole
}

/// What a crash does to what was not durable.
package enum CrashLoss: String, Sendable, CaseIterable {
  /// All of it is lost, and deleted objects are back.
  case lost
  /// All of it is there by luck.
  case kept
  /// Some of it is there, as the seed decides, in any order.
  case some
  /// Like `some`, and parts of what was being written are found under its name, as on a store that
  /// names objects early.
  case torn

  func keeps(_ generator: inout SeededGenerator) -> Bool {
    switch self {
    case .lost: false
    case .kept: true
    case .some, .torn: generator.oneIn(2)
    }
  }
}

/// Which calls of a `MemoryStorage` fail, by number.
struct FaultPlan: Sendable {
  struct Fault: Sendable {
    let errno: CInt
    let effect: FaultEffect
  }

  var single: [Int: Fault] = [:]
  var everythingFrom: (number: Int, errno: CInt)?

  func fault(at number: Int) -> Fault? {
    if let everythingFrom, number >= everythingFrom.number {
      return Fault(errno: everythingFrom.errno, effect: .none)
    }
    return single[number]
  }
}

extension SeededGenerator {
  /// What a crash leaves of bytes that were not synced: the beginning, or sectors here and there
  /// with zeros between them.
  mutating func torn(_ bytes: [UInt8]) -> [UInt8] {
    if oneIn(2) { return Array(bytes.prefix(Int(next() % UInt64(bytes.count + 1)))) }
    var torn = bytes
    for start in stride(from: 0, to: bytes.count, by: 512) where oneIn(2) {
      for offset in start..<min(start + 512, bytes.count) { torn[offset] = 0 }
    }
    return torn
  }
}
