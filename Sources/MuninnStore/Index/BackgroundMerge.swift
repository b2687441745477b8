internal import MuninnDisk
internal import MuninnFormat

// Merging in the background. Writers never wait for it. Before the session's commit the result is
// the session's own, and its commit puts it in the place of what it merged; after that it is
// committed in a record of its own, if all that it merged is still live: the loser of such a race
// discards its work. A crash leaves objects that no record names.
extension ChunkIndex {
  /// Starts a thread that merges until the policy is content, unless one is at it.
  func mergeInBackground() {
    guard let runs, !runs.cancellation.isCancelled, mergeChoice(besides: []) != nil else { return }
    let isFirst = runs.state.withLock { state in
      defer { state.isMerging = true }
      return !state.isMerging
    }
    guard isFirst else { return }
    let thread = WorkerThread.start(name: "muninn-merge") { [self] in
      mergeAll(runs)
      runs.state.update { $0.isMerging = false }
    }
    runs.thread.withLock { $0 = thread }
  }

  private func mergeChoice(besides damaged: Set<Identifier>) -> [Segment]? {
    let all = segments.filter { !damaged.contains($0.record.id) }
    return MergePolicy.choose(all.map(\.record.entryCount)).map { $0.map { all[$0] } }
  }

  private func mergeAll(_ runs: SessionRuns) {
    var damaged: Set<Identifier> = []
    while let sources = mergeChoice(besides: damaged), !runs.cancellation.isCancelled {
      do throws(StoreError) {
        var cursors: [any RunCursor] = []
        for segment in sources { cursors.append(try SegmentCursor(segment)) }
        let record = try merged(cursors, cancellation: runs.cancellation)
        try settle(record, sources, runs)
      } catch {
        // A damaged segment is left alone until a commit or a repair makes it anew; any other
        // failure ends the merging, and costs nothing but the time that it would have saved.
        let source = sources.first { error.object?.hasPrefix($0.name) ?? false }
        guard let source, damaged.insert(source.record.id).inserted else { return }
      }
    }
  }

  /// Puts the result where the session's phase wants it.
  private func settle(
    _ record: SegmentRecord, _ sources: [Segment], _ runs: SessionRuns
  ) throws(StoreError) {
    let removed = sources.map(\.record.id)
    // While a commit is under way it is open whether the session's segments are named.
    let isApart = runs.state.wait(
      until: { $0.phase != .committing },
      then: { state in
        let isApart = state.phase == .committed && !state.own.contains { removed.contains($0.id) }
        state.isPublishing = !isApart
        return isApart
      })
    guard isApart else {
      defer { runs.state.update { $0.isPublishing = false } }
      try publish(record, replacing: sources)
      return
    }
    try onDisk(store.storage.location) { () throws(DiskError) in
      try store.storage.makeNamesDurable()
    }
    var journal = try store.loadJournal()
    do throws(StoreError) {
      try store.commit(session: runs.session, state: &journal) { (state) throws(StoreError) in
        // Else a collection that fenced it could be deleting what this record names.
        guard !state.upkeep.isFenced(runs.session) else { throw .fenced }
        guard removed.allSatisfy({ state.segments[$0] != nil }) else {
          throw StoreError(.cancelled, "another session merged the same index segments first")
        }
        return [.segments(added: [record], removed: removed)]
      }
    } catch {
      // What is not named in the journal now never will be: its name is known to nobody else.
      if error.code == .cancelled { delete([record.id]) }
      throw error
    }
    try publish(record, replacing: sources, isCommitted: true)
    delete(removed)
  }

  /// Deletes segments that no record names any more, or never did.
  ///
  /// At once, although readers of an older state of the journal may still want them: a segment only
  /// proposes places. Who finds one missing reads the journal's newer state when it opens an index,
  /// and meanwhile stores a chunk again at worst. What cannot be deleted is garbage.
  func delete(_ ids: [Identifier]) {
    for id in ids { try? store.storage.delete(ObjectName.segment(id)) }
  }

  // MARK: The session's commit

  /// From here on no merge exchanges segments that the commit may name.
  func beginCommit() {
    runs?.state.wait(until: { !$0.isPublishing }, then: { $0.phase = .committing })
  }

  /// The commit named the session's segments, or it failed; more may follow unless it was the last.
  /// Of the segments that it took out those in `kept` are left where they are.
  func endCommit(
    _ change: IndexChange?, isCommitted: Bool, keeping kept: Set<Identifier> = [],
    isLast: Bool = true
  ) {
    guard let runs else { return }
    let named = Set(change?.added.map(\.id) ?? [])
    let superseded = runs.state.update { state in
      state.phase = isCommitted && isLast ? .committed : .open
      guard isCommitted else { return [Identifier]() }
      defer {
        state.superseded = []
        // What was made meanwhile is for the next commit.
        state.own.removeAll { named.contains($0.id) }
        state.removed.subtract(change?.removed ?? [])
      }
      return state.superseded
    }
    guard isCommitted else { return }
    delete(superseded + (change?.removed ?? []).filter { !kept.contains($0) })
    mergeInBackground()
  }

  /// Ends the session's merging: with a commit it is brought to its end, without one given up.
  func endMerging() {
    guard let runs else { return }
    let isCommitted = runs.state.withLock { $0.phase == .committed }
    if !isCommitted { runs.cancellation.cancel() }
    runs.thread.withLock { $0.take() }?.join()
    runs.cancellation.cancel()
  }
}
