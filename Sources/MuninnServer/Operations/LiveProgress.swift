package import Muninn
import Synchronization

/// The latest progress of a running operation: written from the engine's threads, read by requests.
package final class LiveProgress: Sendable {
  private let latest = Mutex(Progress())

  package func set(_ progress: Progress) { latest.withLock { $0 = progress } }

  var json: JSONValue { .progress(latest.withLock { $0 }) }
}

/// The status of a running backup. Its JSON is made by whoever asks, not by who keeps it.
struct LiveStatus: Sendable {
  private let status: BackupStatus
  private let progress: LiveProgress

  init(_ status: BackupStatus, _ progress: LiveProgress) {
    self.status = status
    self.progress = progress
  }

  var json: JSONValue {
    var status = status
    if status.isRunning { status.progress = progress.json }
    return status.json
  }
}
