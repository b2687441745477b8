internal import MuninnDisk
internal import Synchronization

/// What all operations of this process have in common: how they share the machine, with each other
/// and with the rest of the process.
public enum Engine {
  /// By how much the threads of backups, restores and all other long work are nicer than the
  /// process, 0 to 19; what is under way stays as it began. For a program that answers requests
  /// meanwhile: threads that compute without a pause would keep those waiting that wake up to
  /// answer.
  public static var niceness: Int {
    get { state.niceness.load(ordering: .relaxed) }
    set { state.niceness.store(max(0, min(newValue, 19)), ordering: .relaxed) }
  }

  /// How many operations run in this process.
  public static var operationCount: Int { state.running.load(ordering: .relaxed) }

  /// One more operation runs. The caller ends it with `leave`.
  static func enter() { state.running.add(1, ordering: .relaxed) }
  static func leave() { state.running.subtract(1, ordering: .relaxed) }

  /// The workers of an operation that begins now: what it asks for, or else its part of the
  /// processors, as if all that run had begun with it. So one alone has them all, and many together
  /// neither wait for one that came first nor have a worker a processor each.
  static func workers(_ asked: Int?) -> Int {
    max(1, asked ?? Machine.coreCount / max(1, operationCount))
  }

  private static let state = State()

  private final class State: Sendable {
    let niceness = Atomic(0)
    let running = Atomic(0)
  }
}
