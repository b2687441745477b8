internal import MuninnDisk
package import MuninnFormat

/// The live segments, as far as they can be opened, and what they leave uncovered.
struct OpenSegments {
  var segments: [Segment] = []
  var problems: [StoreError] = []
  /// Live segments that cannot be read.
  var lost: [Identifier] = []
  /// Live containers that no readable segment lists, sorted.
  var uncovered: [Identifier] = []
  var journal: JournalState

  /// A segment that is gone may have been merged into another since the journal was read: the
  /// journal's newer state is taken then.
  init(store: Store, journal: JournalState, limits: IndexLimits) throws(StoreError) {
    self.journal = journal
    while true {
      try open(store: store, limits: limits)
      guard problems.contains(where: { $0.code == .notFound }) else { break }
      var newer = self.journal
      try store.extend(&newer)
      guard newer.head > self.journal.head else { break }
      self.journal = newer
    }
    var covered: Set<Identifier> = []
    for segment in segments { covered.formUnion(segment.lists.containers) }
    uncovered = self.journal.containers.keys.filter { !covered.contains($0) }.sorted()
  }

  private mutating func open(store: Store, limits: IndexLimits) throws(StoreError) {
    segments = []
    problems = []
    lost = []
    var budget = limits.loadsFilters ? limits.filterBytes : 0
    // A small filter saves as many reads as a large one: they come first.
    for record in journal.segments.values.sorted(by: {
      ($0.entryCount, $0.id) < ($1.entryCount, $1.id)
    }) {
      do throws(StoreError) {
        segments.append(try Segment(record, store: store, filterBudget: &budget))
      } catch {
        if error.code == .unsupportedFormat || error.code == .wrongKey { throw error }
        problems.append(error)
        lost.append(record.id)
      }
    }
  }
}

extension Store {
  /// The entries of containers that no segment lists, from their directories; nil where there are
  /// none. A container that cannot be read proposes nothing.
  func standIn(_ containers: [Identifier], _ maximumCount: Int) -> MemoryRun? {
    guard !containers.isEmpty else { return nil }
    var entries: [SegmentEntry] = []
    for (ordinal, id) in containers.enumerated() {
      guard let container = try? openContainer(id) else { continue }
      guard entries.count + container.directory.chunkCount <= maximumCount else { break }
      for (slot, identity) in container.directory.identities.enumerated() {
        entries.append(
          SegmentEntry(
            prefix: identity.fingerprint.low, container: UInt32(ordinal), slot: UInt32(slot)))
      }
    }
    return MemoryRun(entries, containers: containers)
  }
}

/// What a session changes in the index, to be committed as one operation.
package struct IndexChange: Sendable {
  package var added: [SegmentRecord]
  package var removed: [Identifier]

  /// The operation, on top of `state`: another session may have taken a segment out first.
  func operation(in state: JournalState) -> JournalOperation {
    .segments(added: added, removed: removed.filter { state.segments[$0] != nil })
  }
}

extension Store {
  /// Makes the index whole again, for a repair: containers that no readable segment lists get a new
  /// one, from their directories, and segments that cannot be read, or with `readsPages` have a
  /// page that cannot, are replaced. Takes memory for `IndexLimits.ownChunks` entries at a time.
  ///
  /// Returns what is to be committed, as `JournalOperation.segments`, once `makeNamesDurable` has
  /// returned; nil where the index is whole. `session` names what is written. Nothing that is there
  /// is changed or deleted.
  package func rebuildSegments(
    session: Identifier, journal: JournalState, readsPages: Bool
  ) throws(StoreError) -> IndexChange? {
    let index = try ChunkIndex(store: self, journal: journal, session: session)
    if readsPages {
      for segment in index.segments where !segment.damagedPages().isEmpty {
        try index.replace(segment)
      }
    }
    return try index.flush(mergesSmall: false)
  }
}
