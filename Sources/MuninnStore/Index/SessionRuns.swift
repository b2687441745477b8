internal import MuninnDisk
internal import MuninnFormat

/// What a session adds to the index and has not committed: entries in memory, and segments.
final class SessionRuns: Sendable {
  struct State: Sendable {
    /// Entries of containers that are on disk, and of lost segments' ones; their ordinals are
    /// places in `containers`.
    var entries: [SegmentEntry] = []
    var containers: [Identifier] = []
    /// The session's own segments, which the list holds as well.
    var own: [SegmentRecord] = []
    /// Live segments that the next commit takes out: they are lost, or merged into an own one.
    var removed: Set<Identifier> = []
    var phase = Phase.open
    /// Objects of own segments that were merged into others before a commit named them.
    var superseded: [Identifier] = []
    /// Whether a thread merges.
    var isMerging = false
    /// Whether a merge that was found in time for the next commit is taking its place.
    var isPublishing = false
  }

  enum Phase { case open, committing, committed }

  let session: Identifier
  let state: Monitor<State>
  let cancellation = Cancellation()
  let thread = Monitor<WorkerThread?>(nil)

  init(session: Identifier, lost: [Identifier]) {
    self.session = session
    var first = State()
    first.removed = Set(lost)
    state = Monitor(first)
  }

  func newSegmentID() -> Identifier {
    Identifier(high: session.high, low: randomIdentifier().low)
  }
}

// How a session's chunks move from memory to segments.
extension ChunkIndex {
  /// Takes over the chunks of a container that is on stable storage; their claims are in the
  /// tables. Past `limits.ownChunks` of them they move to a segment of the session's.
  func addDurable(_ id: Identifier, _ identities: [ChunkIdentity]) throws(StoreError) {
    guard let runs else { return }
    let count = runs.state.withLock { state in
      let ordinal = UInt32(state.containers.count)
      state.containers.append(id)
      for (slot, identity) in identities.enumerated() {
        state.entries.append(
          SegmentEntry(prefix: identity.fingerprint.low, container: ordinal, slot: UInt32(slot)))
      }
      return state.entries.count
    }
    if count >= limits.ownChunks {
      try spill()
      mergeInBackground()
    }
  }

  /// Takes containers that no segment lists into the session's own. What cannot be read proposes
  /// nothing.
  func adopt(_ containers: [Identifier]) throws(StoreError) {
    for id in containers {
      guard let container = try? store.openContainer(id) else { continue }
      let ordinal = ordinal(of: id)
      for (slot, identity) in container.directory.identities.enumerated() {
        own(identity, ChunkTable.Place(container: ordinal, slot: UInt32(slot)))
      }
      try addDurable(id, container.directory.identities)
    }
  }

  /// Lists a damaged segment's containers anew, from their directories.
  func replace(_ segment: Segment) throws(StoreError) {
    guard let runs else { return }
    runs.state.withLock { state in
      let count = state.own.count
      state.own.removeAll { $0.id == segment.record.id }
      if state.own.count == count { state.removed.insert(segment.record.id) }
    }
    exchange { $0.removeAll { $0.record.id == segment.record.id } }
    try adopt(segment.lists.containers.filter { isLive($0) })
  }

  /// Writes what is in memory as a segment, then forgets it.
  private func spill() throws(StoreError) {
    guard let runs else { return }
    let (entries, containers) = runs.state.withLock { state in
      defer {
        state.entries = []
        state.containers = []
      }
      return (state.entries, state.containers)
    }
    guard !entries.isEmpty else { return }
    let record = try merged(
      [MemoryCursor(MemoryRun(entries, containers: containers))], cancellation: nil)
    try publish(record, replacing: [])
    forgetOwn(in: Set(containers.map { ordinal(of: $0) }))
  }

  func merged(
    _ cursors: [any RunCursor], cancellation: Cancellation?
  ) throws(StoreError) -> SegmentRecord {
    let all = segments.reduce(UInt64(0)) { $0 + $1.record.entryCount }
    return try SegmentMerge(
      store: store, id: runs?.newSegmentID() ?? randomIdentifier(),
      remainderBits: limits.remainderBits(
        entries: max(all, cursors.reduce(0) { $0 + $1.entryCount })),
      cancellation: cancellation
    ).run(cursors) { isLive($0) || condemned[$0] != nil }
  }

  /// Puts a new segment in the place of others. Unless it is committed already the session's next
  /// commit will name it.
  func publish(
    _ record: SegmentRecord, replacing old: [Segment], isCommitted: Bool = false
  ) throws(StoreError) {
    guard let runs else { return }
    let others = segments.filter { known in !old.contains { $0.record.id == known.record.id } }
    let used = others.reduce(UInt64(0)) {
      $0 + UInt64($1.hasResidentFilter ? $1.residentByteCount : 0)
    }
    var budget = limits.loadsFilters ? limits.filterBytes - min(limits.filterBytes, used) : 0
    let segment = try Segment(record, store: store, filterBudget: &budget)
    let gone = Set(old.map(\.record.id))
    exchange { segments in
      segments.removeAll { gone.contains($0.record.id) }
      segments.append(segment)
    }
    guard !isCommitted else { return }
    runs.state.withLock { state in
      let own = state.own.map(\.id).filter { gone.contains($0) }
      state.own.removeAll { gone.contains($0.id) }
      state.own.append(record)
      state.superseded += own
      state.removed.formUnion(gone.subtracting(own))
    }
  }

  // MARK: Commit

  /// Writes what is in memory as a segment, together with the small ones that the merge policy
  /// names and that are little work, and returns what the session's commit changes; nil for
  /// nothing.
  func flush(mergesSmall: Bool) throws(StoreError) -> IndexChange? {
    guard let runs else { return nil }
    while true {
      do throws(StoreError) {
        try flushOnce(runs, mergesSmall: mergesSmall)
        break
      } catch {
        // A segment that turns out to be damaged is made anew from its containers' directories.
        guard error.code == .damaged || error.code == .notFound,
          let segment = segments.first(where: { error.object?.hasPrefix($0.name) ?? false })
        else { throw error }
        try replace(segment)
      }
    }
    let change = runs.state.withLock { state in
      IndexChange(added: state.own, removed: state.removed.sorted())
    }
    return change.added.isEmpty && change.removed.isEmpty ? nil : change
  }

  /// The same for a commit that more will follow: nothing is merged, and what is in a segment now
  /// is looked up there.
  func flushPart() throws(StoreError) -> IndexChange? {
    guard let runs else { return nil }
    try spill()
    let change = runs.state.withLock { state in
      IndexChange(added: state.own, removed: state.removed.sorted())
    }
    return change.added.isEmpty && change.removed.isEmpty ? nil : change
  }

  private func flushOnce(_ runs: SessionRuns, mergesSmall: Bool) throws(StoreError) {
    let (entries, containers) = runs.state.withLock { ($0.entries, $0.containers) }
    guard !entries.isEmpty else { return }
    var sources: [Segment] = []
    var sum = UInt64(entries.count)
    for segment in segments where mergesSmall {
      let count = segment.record.entryCount
      guard count <= 2 * sum, sum + count <= limits.commitEntries else { break }
      sources.append(segment)
      sum += count
    }
    var cursors: [any RunCursor] = [
      MemoryCursor(MemoryRun(entries, containers: containers))
    ]
    for segment in sources { cursors.append(try SegmentCursor(segment)) }
    let record = try merged(cursors, cancellation: nil)
    try publish(record, replacing: sources)
    runs.state.withLock { state in
      state.entries = []
      state.containers = []
    }
    // The chunks stay in the tables: the session ends soon, and its chunks are asked for again.
  }
}
