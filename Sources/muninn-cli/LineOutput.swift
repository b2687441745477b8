import Muninn
import Synchronization

/// Writes lines, or the items of a JSON list, as they come, so that memory does not grow with them.
final class LineOutput: Sendable {
  private let isJSON: Bool
  private let pending = Mutex((text: "", count: 0))

  /// With JSON, `key` names the list.
  init(isJSON: Bool, key: String) {
    self.isJSON = isJSON
    if isJSON { pending.withLock { $0.text = "{\"\(key)\":[" } }
  }

  var count: Int { pending.withLock { $0.count } }

  func add(_ item: some Encodable, line: () -> String) {
    let text = isJSON ? (try? JSONOutput.text(item)) ?? "null" : line() + "\n"
    pending.withLock { pending in
      if isJSON, pending.count > 0 { pending.text += ",\n" }
      pending.text += text
      pending.count += 1
      if pending.text.utf8.count > 1 << 16 {
        Terminal.write(pending.text, to: 1)
        pending.text = ""
      }
    }
  }

  func end() {
    pending.withLock { pending in
      if isJSON { pending.text += "]}\n" }
      Terminal.write(pending.text, to: 1)
      pending.text = ""
    }
  }
}
