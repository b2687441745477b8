package import MuninnDisk
package import MuninnFormat
package import MuninnStore
internal import Synchronization

/// How a repository is pruned.
package struct CollectOptions: Sendable {
  package var isDryRun = false
  package var maximumUnused = UnusedLimit.fraction(0.05)
  /// Bytes on the disk of what is copied at most.
  package var maximumRewrite: UInt64?
  /// Bytes that are read for copying in a second at most.
  package var bytesPerSecond: UInt64?
  package var threads: Int
  /// LZ4 level of what is copied.
  package var level = 1
  /// Bytes of chunks that are copied between two commits.
  package var windowByteCount: UInt64 = 512 << 20
  /// What an earlier prune found.
  package var earlier: KnownUsage?

  package init(threads: Int) { self.threads = threads }
}

/// What was found to be unneeded in live containers, as of a record.
package struct KnownUsage: Sendable, Equatable {
  package let record: UInt64
  package let unusedByteCount: UInt64

  package init(record: UInt64, unusedByteCount: UInt64) {
    self.record = record
    self.unusedByteCount = unusedByteCount
  }
}

/// What a prune did, or would do.
package struct CollectOutcome: Sendable {
  package var collection = CollectionOutcome()
  /// Containers that were rewritten, what was copied of them, and what they took.
  package var rewrittenContainers: UInt64 = 0
  package var rewrittenByteCount: UInt64 = 0
  package var replacedByteCount: UInt64 = 0
  /// What nobody needs in the containers that are left; nil where nobody looked.
  package var unusedByteCount: UInt64?
  /// Snapshots that could not be walked whole: nothing that they have was rewritten.
  package var unknown: [Identifier] = []
  /// Containers that stay as they are, since something of them could not be read.
  package var problems: [StoreError] = []
  /// Whether it stopped early, since much that was replaced waits for others to end.
  package var isHeldBack = false
  /// To be remembered for the next time.
  package var known: KnownUsage?

  package init() {}
}

/// Takes what nobody needs out of the repository, while others read and write:
///
/// ```
/// collect      fence the dead, condemn, sweep, delete                  -> GarbageCollection
/// survey       every page of every manifest once, a bit a chunk        -> UsageSurvey
/// select       the sparsest containers, as many as the options want    -> RewriteSelection
/// order        by who uses them                                        -> ChunkOrder
/// rewrite      window by window, a session and a commit each           -> ContainerRepack
/// collect      what was replaced
/// ```
///
/// It may stop between any two steps, and within them: what it did stays done, and the next goes
/// on. Where little enough is unneeded, or nothing was forgotten since that was last found, it ends
/// after the first step, whose time and memory go with the number of containers.
package struct PrunePipeline {
  private let store: Store
  private let options: CollectOptions
  private let counters: ProgressCounters
  private let cancellation: Cancellation

  package init(
    store: Store, options: CollectOptions, progress: ProgressCounters,
    cancellation: Cancellation
  ) {
    self.store = store
    self.options = options
    counters = progress
    self.cancellation = cancellation
  }

  /// Blocks; call it from a thread of its own.
  package func run() throws(PipelineError) -> CollectOutcome {
    try fromStore { () throws(StoreError) in try collectAndRewrite() }
  }

  private func collectAndRewrite() throws(StoreError) -> CollectOutcome {
    var outcome = CollectOutcome()
    counters.phase = .collecting
    outcome.collection = try GarbageCollection.run(
      store, isDryRun: options.isDryRun, cancellation: cancellation)
    if options.maximumUnused != .unlimited, try !isKnownToBeClean(&outcome) {
      counters.phase = .planning
      if let work = try survey(&outcome) {
        try RewriteRun(
          store: store, options: options, counters: counters, cancellation: cancellation
        ).run(work, &outcome)
        rememberUsage(&outcome)
      }
    }
    counters.phase = .done
    return outcome
  }

  /// Whether an earlier look still tells that there is nothing to be rewritten.
  private func isKnownToBeClean(_ outcome: inout CollectOutcome) throws(StoreError) -> Bool {
    guard let earlier = options.earlier else { return false }
    let journal = try store.loadJournal()
    let total = journal.containers.values.reduce(0) { $0 + $1.byteCount }
    guard earlier.unusedByteCount <= options.maximumUnused.allowed(of: total),
      !store.mayHaveLeftUnneeded(after: earlier.record, in: journal)
    else { return false }
    outcome.unusedByteCount = earlier.unusedByteCount
    outcome.known = KnownUsage(
      record: journal.head, unusedByteCount: earlier.unusedByteCount)
    return true
  }

  /// Finds what is to be rewritten; nil where nothing is.
  private func survey(
    _ outcome: inout CollectOutcome
  ) throws(StoreError) -> RewriteWork? {
    let (registration, journal) = try Registration.begin(store, .repack)
    defer { registration.end() }
    if let problem = journal.problems.first { throw problem }
    let survey = try UsageSurvey(journal, store: store, cancellation: cancellation)
    let selection = RewriteSelection(
      survey.usage, limit: options.maximumUnused, maximumRewrite: options.maximumRewrite)
    outcome.unknown = survey.unknown
    outcome.unusedByteCount =
      options.isDryRun ? selection.unusedAfter : selection.unusedBefore
    if options.isDryRun {
      outcome.rewrittenContainers = UInt64(selection.items.count)
      outcome.rewrittenByteCount = selection.rewrittenByteCount
      outcome.replacedByteCount = selection.items.reduce(0) {
        $0 + survey.usage.items[$1].record.byteCount
      }
    } else if survey.unknown.isEmpty {
      outcome.known = KnownUsage(
        record: journal.head, unusedByteCount: selection.unusedBefore)
    }
    guard !selection.items.isEmpty, !options.isDryRun else { return nil }
    let order = try survey.order(of: selection.items)
    return RewriteWork(
      windows: survey.windows(
        of: selection.items, order, byteCount: options.windowByteCount),
      seen: survey.seen, totalByteCount: selection.totalByteCount)
  }

  /// What was found holds for the newest record too, if nothing came between that leaves more.
  private func rememberUsage(_ outcome: inout CollectOutcome) {
    guard let known = outcome.known, let unused = outcome.unusedByteCount,
      let journal = try? store.loadJournal(),
      !store.mayHaveLeftUnneeded(after: known.record, in: journal)
    else {
      outcome.known = nil
      return
    }
    outcome.known = KnownUsage(record: journal.head, unusedByteCount: unused)
  }
}
