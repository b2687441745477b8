package import MuninnDisk
internal import MuninnFormat
package import MuninnStore

/// What a defragmentation did, or would do.
package struct DefragmentOutcome: Sendable {
  package var work = CollectOutcome()
  /// How the newest snapshots lay before, and how they lie now; in a dry run, as before.
  package var before: LayoutFigures
  package var after: LayoutFigures
}

/// Lays the newest snapshot of each source out in path order, and groups the rest by the snapshots
/// that use it:
///
/// ```
/// collect      nothing dead is in the way                              -> GarbageCollection
/// survey       what is needed, and how the newest lie                  -> UsageSurvey
/// select       what they use in part, or out of order                  -> DefragmentSelection
/// order        path order, then groups                                 -> ChunkOrder
/// rewrite      window by window; space is given back on the way        -> RewriteRun
/// ```
///
/// A container that is used all over the newest snapshot comes into order with a first pass and in
/// its place with a second one, as in an external sort, so that the disk never grows by more than a
/// few windows. Stopped anywhere, what was committed stays, and the next goes on.
package struct DefragmentPipeline {
  private let store: Store
  private let options: CollectOptions
  private let counters: ProgressCounters
  private let cancellation: Cancellation

  private static let maximumPassCount = 2

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
  package func run() throws(PipelineError) -> DefragmentOutcome {
    try fromStore { () throws(StoreError) in try defragment() }
  }

  private func defragment() throws(StoreError) -> DefragmentOutcome {
    counters.phase = .collecting
    var work = CollectOutcome()
    work.collection = try GarbageCollection.run(
      store, isDryRun: options.isDryRun, cancellation: cancellation)
    var before: LayoutFigures?
    var passes = 0
    while true {
      counters.phase = .planning
      let (pass, figures) = try look(&work, isLast: passes == Self.maximumPassCount)
      let first = before ?? figures
      before = first
      guard let pass, !work.isHeldBack else {
        counters.phase = .done
        return DefragmentOutcome(work: work, before: first, after: figures)
      }
      try RewriteRun(
        store: store, options: options, counters: counters, cancellation: cancellation
      ).run(pass, &work)
      passes += 1
    }
  }

  private func look(
    _ outcome: inout CollectOutcome, isLast: Bool
  ) throws(StoreError) -> (work: RewriteWork?, figures: LayoutFigures) {
    let (registration, journal) = try Registration.begin(store, .repack)
    defer { registration.end() }
    if let problem = journal.problems.first { throw problem }
    let layout = NewestLayout()
    let survey = try UsageSurvey(
      journal, store: store, cancellation: cancellation, layout: layout)
    outcome.unknown = survey.unknown
    outcome.unusedByteCount = survey.usage.items.reduce(0) { $0 + $1.unusedByteCount }
    let figures = LayoutFigures(survey.usage, layout)
    let items = DefragmentSelection(
      survey.usage, layout, limit: options.maximumUnused
    ).items
    if options.isDryRun {
      outcome.rewrittenContainers = UInt64(items.count)
      for item in items {
        outcome.rewrittenByteCount += survey.usage.items[item].storedUsedByteCount
        outcome.replacedByteCount += survey.usage.items[item].record.byteCount
      }
    }
    // One that is alone lies as it will.
    guard items.count > 1, !isLast, !options.isDryRun else { return (nil, figures) }
    let order = try survey.order(of: items)
    let windows = survey.windows(
      of: items, order, byteCount: options.windowByteCount, separatesNewest: true)
    return (
      RewriteWork(
        windows: windows, seen: survey.seen,
        totalByteCount: journal.containers.values.reduce(0) { $0 + $1.byteCount }),
      figures
    )
  }
}
