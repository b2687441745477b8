internal import MuninnDisk
internal import MuninnFormat
internal import MuninnStore
internal import Synchronization

/// What is to be rewritten, decided on one state of the journal.
struct RewriteWork {
  let windows: [RewriteWindow]
  /// The snapshots that were asked what they need.
  let seen: Set<Identifier>
  /// Of all containers, on the disk.
  let totalByteCount: UInt64
}

/// Rewrites window after window, and gives the space of what was replaced back on the way.
struct RewriteRun {
  let store: Store
  let options: CollectOptions
  let counters: ProgressCounters
  let cancellation: Cancellation

  /// What may wait for others before no more is copied: with less the disk would hardly notice.
  private static let leastWaiting: UInt64 = 2 << 30

  func run(_ work: RewriteWork, _ outcome: inout CollectOutcome) throws(StoreError) {
    counters.phase = .rewriting
    counters.bytesTotal.store(
      work.windows.reduce(0) { $0 + $1.usedByteCount }, ordering: .relaxed)
    let pace = options.bytesPerSecond.map { Pace(bytesPerSecond: $0) }
    let (counters, cancellation) = (counters, cancellation)
    let repack = ContainerRepack(
      store: store, level: options.level, threads: options.threads, cancellation: cancellation,
      grant: { pace?.wait(for: $0, unless: { cancellation.isCancelled }) },
      progress: { counters.add(bytes: $0) })
    var replaced: UInt64 = 0
    for (number, window) in work.windows.enumerated() {
      if cancellation.isCancelled {
        throw StoreError(.cancelled, "cancelled; what was rewritten and committed stays so")
      }
      let result = try repack.run(window.plan, seen: work.seen)
      for source in window.plan.sources where result.removed.contains(source.container.id) {
        outcome.rewrittenContainers += 1
        outcome.replacedByteCount += source.container.byteCount
        replaced += source.container.byteCount
        let gone = window.unused[source.container.id] ?? 0
        outcome.unusedByteCount = outcome.unusedByteCount.map { $0 - min(gone, $0) }
      }
      outcome.problems += result.problems
      outcome.rewrittenByteCount += result.storedByteCount
      counters.bytesStored.store(outcome.rewrittenByteCount, ordering: .relaxed)
      let isLast = number == work.windows.count - 1
      // A collection lists everything: not for every window, nor for nothing.
      guard isLast || replaced >= 2 * options.windowByteCount else { continue }
      replaced = 0
      outcome.collection.add(
        try GarbageCollection.run(store, isDryRun: false, cancellation: cancellation))
      if !isLast,
        outcome.collection.waiting.bytes
          > max(RewriteRun.leastWaiting, work.totalByteCount / 20)
      {
        outcome.isHeldBack = true
        return
      }
    }
  }
}
