import Glibc
import Muninn
import Synchronization

/// One line at the bottom of a terminal that says how far an operation is. Where standard error is
/// no terminal, it writes nothing.
final class ProgressLine: Sendable {
  private let isShown = Terminal.isErrorTerminal
  /// Whether there is a line to be erased, and no more may be drawn.
  private let state = Mutex((isDrawn: false, isOver: false))

  /// What to hand to the engine.
  var handler: ProgressHandler? {
    guard isShown else { return nil }
    return { [self] progress in draw(progress) }
  }

  private func draw(_ progress: Progress) {
    let text = Self.text(progress, columns: Terminal.columns)
    state.withLock { state in
      guard !state.isOver else { return }
      Terminal.write("\r\u{1B}[K" + text, to: STDERR_FILENO)
      state.isDrawn = true
    }
  }

  /// Erases the line; nothing is drawn any more.
  func end() {
    state.withLock { state in
      if state.isDrawn { Terminal.write("\r\u{1B}[K", to: STDERR_FILENO) }
      state = (false, true)
    }
  }

  /// The line for `progress`, shorter than `columns`.
  static func text(_ progress: Progress, columns: Int) -> String {
    var parts = [progress.phase.rawValue]
    let total = progress.filesTotal.map { " of \(Quantity.count($0))" } ?? ""
    parts.append("\(Quantity.count(progress.filesDone))\(total) files")
    let bytes = progress.bytesTotal.map { " of \(Quantity.size($0))" } ?? ""
    parts.append("\(Quantity.size(progress.bytesDone))\(bytes)")
    parts.append(Quantity.rate(progress.bytesPerSecond))
    if let left = progress.secondsLeft { parts.append("\(Quantity.duration(left)) left") }
    parts.append(Terminal.safe(progress.currentPath))
    return String(parts.joined(separator: "  ").prefix(max(columns - 1, 1)))
  }
}
