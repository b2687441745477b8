import ServiceLifecycle

/// Lets one restore run at a time; the others wait in order of arrival, each as long as it asked
/// to.
struct RestoreGate {
  private var isTaken = false
  private var nextTicket: UInt64 = 0
  private var waiting: [(ticket: UInt64, continuation: CheckedContinuation<Bool, Never>)] = []

  /// Takes the gate if it is free.
  mutating func tryTake() -> Bool {
    if isTaken { return false }
    isTaken = true
    return true
  }

  mutating func ticket() -> UInt64 {
    nextTicket += 1
    return nextTicket
  }

  mutating func wait(_ ticket: UInt64, _ continuation: CheckedContinuation<Bool, Never>) {
    waiting.append((ticket, continuation))
  }

  /// Hands the gate to the one that has waited longest, or leaves it free.
  mutating func release() {
    guard !waiting.isEmpty else {
      isTaken = false
      return
    }
    waiting.removeFirst().continuation.resume(returning: true)
  }

  /// Sends a waiting one away, if it still waits.
  mutating func refuse(_ ticket: UInt64) {
    guard let index = waiting.firstIndex(where: { $0.ticket == ticket }) else { return }
    waiting.remove(at: index).continuation.resume(returning: false)
  }

  mutating func refuseAll() {
    for one in waiting { one.continuation.resume(returning: false) }
    waiting.removeAll()
  }
}

extension Operations {
  /// The longest that a request is held: a day.
  private static let longestWait = 86_400.0

  /// Takes the restore gate, waiting at most `seconds` for it; 503 where it stays taken.
  package func takeRestoreGate(waiting seconds: Double?) async throws(Refusal) {
    await settle()
    try refuseWhileStopping()
    if gate.tryTake() { return }
    guard let seconds, seconds > 0 else {
      throw Refusal(
        .serviceUnavailable,
        "Another restore is running. Set RestoreStartTimeout to the seconds to wait for it.")
    }
    let ticket = gate.ticket()
    let timer = Task {
      try await Task.sleep(for: .seconds(min(seconds, Self.longestWait)))
      self.gate.refuse(ticket)
    }
    defer { timer.cancel() }
    let isTaken = await withGracefulShutdownHandler {
      await withCheckedContinuation { gate.wait(ticket, $0) }
    } onGracefulShutdown: {
      Task { await self.refuse(ticket) }
    }
    guard isTaken else {
      throw Refusal(
        .serviceUnavailable,
        "Another restore is still running after \(Int(seconds.rounded(.up))) s of waiting.")
    }
  }

  private func refuse(_ ticket: UInt64) { gate.refuse(ticket) }

  package func releaseRestoreGate() { gate.release() }
}
