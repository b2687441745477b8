import Glibc
import MuninnTestSupport

/// What happens at the call that a case of a sweep is about.
enum SweepFault: Sendable, CustomStringConvertible {
  /// The power fails before the call, or while it is at work.
  case crash(during: Bool, CrashLoss)
  /// The call fails, and the next ones do not.
  case error(CInt, FaultEffect, name: String)

  static let crashes: [SweepFault] =
    [false, true].flatMap { during in
      CrashLoss.allCases.map { .crash(during: during, $0) }
    }
  static let inputOutput = SweepFault.error(EIO, .none, name: "eio")
  static let noSpace = SweepFault.error(ENOSPC, .none, name: "enospc")
  static let short = SweepFault.error(ENOSPC, .part, name: "short")
  /// The work is done, and the answer lost.
  static let unanswered = SweepFault.error(ETIMEDOUT, .whole, name: "unanswered")
  static let all = crashes + [inputOutput, noSpace, short, unanswered]

  var description: String {
    switch self {
    case .crash(let during, let loss): (during ? "during-" : "before-") + loss.rawValue
    case .error(_, _, let name): name
    }
  }

  var isCrash: Bool {
    switch self {
    case .crash: true
    case .error: false
    }
  }

  /// Those that differ at a call: what reads leaves nothing to lose.
  static func worthTrying(at operation: String) -> [SweepFault] {
    switch operation {
    case "read", "statx", "mmap", "list", "statvfs":
      [.crash(during: false, .torn), inputOutput]
    case "append": crashesButSome + [inputOutput, noSpace, short]
    default: crashesButSome + [inputOutput, noSpace, unanswered]
    }
  }

  /// Torn is some and more.
  private static var crashesButSome: [SweepFault] {
    [false, true].flatMap { during in
      [CrashLoss.lost, .kept, .torn].map { .crash(during: during, $0) }
    }
  }

  func arm(_ storage: MemoryStorage, at call: Int) {
    switch self {
    case .crash(let during, _): storage.cutPower(at: call, during: during)
    case .error(let errno, let effect, _): storage.failCall(call, errno: errno, effect: effect)
    }
  }

  func settle(_ storage: MemoryStorage, seed: UInt64) {
    switch self {
    case .crash(_, let loss): storage.crash(loss, seed: seed)
    case .error: storage.clearFaults()
    }
  }
}
