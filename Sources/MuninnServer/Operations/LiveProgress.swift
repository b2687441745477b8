package import Muninn
import Synchronization

/// The latest progress of a running operation: written from the engine's threads, read by requests.
package final class LiveProgress: Sendable {
  private let latest = Mutex(Progress())

  package func set(_ progress: Progress) { latest.withLock { $0 = progress } }

  var json: JSONValue { .progress(latest.withLock { $0 }) }
}
