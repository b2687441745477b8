internal import MuninnDisk
internal import MuninnFormat
internal import MuninnStore

/// Puts the entries of finished batches back into path order and writes the manifest.
final class AssembleStage: Sendable {
  private struct State {
    var done: [UInt64: FinishedBatch] = [:]
    var next: UInt64 = 0
    /// Entries of each batch that is on its way, and of all of them.
    var counts: [UInt64: Int] = [:]
    var entryCount = 0
    /// The number of batches, once the walk has ended.
    var end: UInt64?
    var isCancelled = false
  }

  /// Entries that may be on their way from the walk to the manifest.
  private static let maximumEntries = 1 << 16

  private let state = Monitor(State())

  func deliver(_ batch: FinishedBatch, sequence: UInt64) {
    state.update { $0.done[sequence] = batch }
  }

  /// Blocks the walk while it is too far ahead; false where the backup was given up.
  func waitForRoom(_ batch: Batch) -> Bool {
    waitForRoom(batch.sequence, entryCount: batch.entryCount)
  }

  func waitForRoom(_ sequence: UInt64, entryCount: Int) -> Bool {
    state.wait(until: {
      $0.isCancelled || $0.entryCount < AssembleStage.maximumEntries || sequence == $0.next
    }) { state in
      state.counts[sequence] = entryCount
      state.entryCount += entryCount
      return !state.isCancelled
    }
  }

  func end(after count: UInt64) { state.update { $0.end = count } }

  func cancel() { state.update { $0.isCancelled = true } }

  private enum Next {
    case batch(FinishedBatch)
    case nothingYet
    case end
  }

  /// The entries of the next batch in order, unless the time is up first.
  private func next(within nanoseconds: Int64?) -> Next {
    func isReady(_ state: borrowing State) -> Bool {
      state.isCancelled || state.done[state.next] != nil || state.end == state.next
    }
    if let nanoseconds, !state.wait(nanoseconds: nanoseconds, until: isReady) { return .nothingYet }
    let batch = state.wait(until: isReady) { state -> FinishedBatch? in
      guard !state.isCancelled, let batch = state.done.removeValue(forKey: state.next) else {
        return nil
      }
      state.entryCount -= state.counts.removeValue(forKey: state.next) ?? 0
      state.next += 1
      return batch
    }
    state.notifyAll()
    return batch.map { .batch($0) } ?? .end
  }

  /// Runs on a thread of its own until the walk has ended and every batch has come. Nil where the
  /// backup was given up.
  func run(
    _ shared: BackupShared, partial: consuming PartialStage?
  ) throws(PipelineError) -> ManifestWriter.Result? {
    let late = LateReader(shared)
    defer { late.leave() }
    var writer = ManifestWriter(
      manifest: shared.manifest,
      live: LiveContainers(session: shared.session, store: shared.store, usage: shared.usage),
      usage: shared.usage)
    var linked = LinkedFiles()
    var partial = partial
    loop: while true {
      let left = partial?.nanosecondsLeft(at: writer.place)
      if left == 0 {
        try late.finish()
        try partial?.save(writer)
        continue
      }
      switch next(within: left) {
      case .end: break loop
      case .nothingYet: break
      case .batch(let batch):
        if partial != nil, writer.meetsNewContainer(batch) { partial?.remember(writer) }
        try append(batch, to: &writer, &linked, late)
        shared.counters.add(entries: UInt64(batch.entryCount))
      }
    }
    guard !state.withLock({ $0.isCancelled }) else {
      late.leave()
      partial?.saveInterrupted(writer)
      return nil
    }
    try late.finish()
    return try fromStore { () throws(StoreError) in try writer.finish(at: writer.place) }
  }

  /// The same for batches whose entries are all complete: nothing is left to be read.
  func run(
    _ first: ManifestWriter, counters: ProgressCounters
  ) throws(PipelineError) -> ManifestWriter.Result? {
    var writer = first
    while case .batch(let batch) = next(within: nil) {
      for entry in batch.entries {
        try fromStore { () throws(StoreError) in try writer.append(entry) }
      }
      writer.end(batch)
      counters.add(entries: UInt64(batch.entries.count))
    }
    guard !state.withLock({ $0.isCancelled }) else { return nil }
    return try fromStore { () throws(StoreError) in try writer.finish(at: writer.place) }
  }

  private func append(
    _ batch: FinishedBatch, to writer: inout ManifestWriter, _ linked: inout LinkedFiles,
    _ late: LateReader
  ) throws(PipelineError) {
    for place in batch.firsts {
      linked.note(batch.entries[place], as: batch.entries[place].path)
    }
    var batch = batch
    var links = batch.links[...]
    var pages = batch.pages[...]
    for (place, entry) in batch.entries.enumerated() {
      try append(&pages, upTo: place, to: &writer)
      var found: ManifestEntry? = entry
      if let link = links.first, link.place == place {
        links.removeFirst()
        found = linked.entry(of: link.walked, link.name)
        if let found {
          late.shared.counters.add(bytes: found.size)
        } else {
          let read = try late.read(link.walked, .later(link.name.first))
          batch.listed.formUnion(read.listed)
          batch.readByteCount += read.readByteCount
          found = read.entries.first
          if let found, found.hardLink != .none, !link.name.isLast {
            linked.note(found, as: link.name.first)
          }
        }
      }
      if let found { try fromStore { () throws(StoreError) in try writer.append(found) } }
    }
    try append(&pages, upTo: batch.entries.count, to: &writer)
    writer.end(batch)
  }

  /// Appends the pages that come before an entry.
  private func append(
    _ pages: inout ArraySlice<(place: Int, page: ParentPage)>, upTo place: Int,
    to writer: inout ManifestWriter
  ) throws(PipelineError) {
    while let first = pages.first, first.place <= place {
      pages.removeFirst()
      try fromStore { () throws(StoreError) in try writer.append(first.page) }
    }
  }
}

/// Reads files whose first names could not be read, by a further one. Belongs to one thread.
private final class LateReader {
  let shared: BackupShared
  private var worker: BackupWorker?

  init(_ shared: BackupShared) { self.shared = shared }

  func read(_ walked: WalkedEntry, _ link: HardLink) throws(PipelineError) -> FinishedBatch {
    let worker = self.worker ?? BackupWorker(shared: shared, isOfPool: false)
    self.worker = worker
    return try worker.readAlone(walked, link)
  }

  /// Closes the container of what was read so far.
  func finish() throws(PipelineError) { try worker?.finish() }

  func leave() {
    worker?.leave()
    worker = nil
  }
}
