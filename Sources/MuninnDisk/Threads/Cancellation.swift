import Synchronization

/// A flag that is raised once and that workers look at between two pieces of work.
package final class Cancellation: Sendable {
  private let flag = Atomic<Bool>(false)

  package init() {}

  package func cancel() { flag.store(true, ordering: .releasing) }
  package var isCancelled: Bool { flag.load(ordering: .acquiring) }
}
