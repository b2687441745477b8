package import MuninnDisk
internal import MuninnFormat
package import MuninnStore
internal import Synchronization

/// What a check found.
package struct CheckOutcome: Sendable {
  /// An object, or a snapshot and path, and what is wrong there.
  package struct Problem: Sendable {
    package let place: String
    package let message: String
  }

  package var snapshots: UInt64 = 0
  package var containers: UInt64 = 0
  package var chunks: UInt64 = 0
  package var bytesRead: UInt64 = 0
  package var problems: [Problem] = []
}

/// Verifies a repository: journal, segments, containers, and that every path of every snapshot can
/// be restored.
package struct CheckPipeline {
  private let store: Store
  private let readData: Bool
  private let threads: Int
  private let counters: ProgressCounters
  private let cancellation: Cancellation

  package init(
    store: Store, readData: Bool, threads: Int, progress: ProgressCounters,
    cancellation: Cancellation
  ) {
    self.store = store
    self.readData = readData
    self.threads = threads
    counters = progress
    self.cancellation = cancellation
  }

  /// Blocks; call it from a thread of its own.
  package func run() throws(PipelineError) -> CheckOutcome {
    counters.phase = .checking
    let journal = try fromStore { () throws(StoreError) in try store.verifyJournal() }
    var outcome = CheckOutcome()
    outcome.snapshots = UInt64(journal.snapshots.count)
    outcome.containers = UInt64(journal.containers.count)
    for problem in journal.problems { outcome.add(problem) }
    let containers = journal.containers.values.sorted { $0.id < $1.id }
    counters.entriesTotal.store(UInt64(containers.count), ordering: .relaxed)
    if readData {
      counters.bytesTotal.store(containers.reduce(0) { $0 + $1.byteCount }, ordering: .relaxed)
    }
    let damage = ContainerCheck(
      store: store, readData: readData, threads: threads, counters: counters,
      cancellation: cancellation
    ).run(containers)
    outcome.chunks = damage.chunkCount
    outcome.bytesRead = damage.bytesRead
    for problem in damage.problems.sorted(by: { $0.description < $1.description }) {
      outcome.add(problem)
    }
    let index = try fromStore { () throws(StoreError) in
      try ChunkIndex(store: store, journal: journal)
    }
    for problem in index.problems { outcome.add(problem) }
    if readData { for problem in index.damagedPages() { outcome.add(problem) } }
    var tree = TreeCheck(store: store, damage: damage, index: index)
    for snapshot in journal.snapshots {
      guard !cancellation.isCancelled else { throw PipelineError.cancelled }
      let name = String(snapshot.id.description.prefix(8))
      for problem in tree.problems(of: snapshot) {
        outcome.problems.append(
          CheckOutcome.Problem(
            place: "snapshot \(name): \(displayPath(problem.path))", message: problem.message))
      }
    }
    guard !cancellation.isCancelled else { throw PipelineError.cancelled }
    counters.phase = .done
    return outcome
  }
}

extension CheckOutcome {
  fileprivate mutating func add(_ error: StoreError) {
    problems.append(Problem(place: error.object ?? "repository", message: error.message))
  }
}
