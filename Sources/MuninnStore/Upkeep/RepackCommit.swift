internal import MuninnDisk
package import MuninnFormat

/// Containers whose needed chunks were copied into others.
package struct RepackCommit: Sendable {
  /// For each old container, the new ones that hold what is needed of it.
  package var holders: [Identifier: Set<Identifier>] = [:]
  /// The snapshots that were asked what they need, forgotten ones with a minimum age too.
  package var seen: Set<Identifier>

  package init(seen: Set<Identifier>) { self.seen = seen }
}

extension JournalState {
  /// The snapshots that nothing may be taken from: the live ones, and those that were forgotten so
  /// lately that the minimum age protects what they had.
  package func heeded(at nanoseconds: Int64) -> Set<Identifier> {
    Set(snapshots.map(\.id)).union(upkeep.protectedSnapshots(at: nanoseconds))
  }
}

extension WriteSession {
  /// Commits a repacking: what this session stored lives from here on in the place of the old
  /// containers, which are condemned.
  ///
  /// Asked anew for every state that the commit is tried on: an old container that is not live any
  /// more is left out, and so is one that a snapshot has which was not seen when it was decided
  /// what is needed. Returns the old containers that the record took out; where there are none,
  /// nothing was committed.
  package func commit(_ repack: RepackCommit) throws(StoreError) -> Set<Identifier> {
    let stored = try storedContainers()
    var moved: Set<Identifier> = []
    _ = try commitInOrder { () throws(StoreError) in
      try index.flush(mergesSmall: true)
    } prepare: { (state, change) throws(StoreError) in
      guard !state.upkeep.isFenced(id) else { throw .fenced }
      moved = movable(repack, state)
      if moved.isEmpty { return [] }
      store.reach(.commitPrepared)
      return operations(repack, moved, stored, change, state)
    }
    return moved
  }

  private func movable(_ repack: RepackCommit, _ state: JournalState) -> Set<Identifier> {
    var moved = Set(repack.holders.keys.filter { state.containers[$0] != nil })
    for snapshot in state.heeded(at: Machine.nowNanoseconds()) where !repack.seen.contains(snapshot)
    {
      moved.subtract(state.containerSet(of: snapshot))
    }
    return moved
  }

  /// One operation for all old containers that went into the same new ones.
  private func operations(
    _ repack: RepackCommit, _ moved: Set<Identifier>, _ stored: [ContainerRecord],
    _ change: IndexChange?, _ state: JournalState
  ) -> [JournalOperation] {
    var removed: [Set<Identifier>: [Identifier]] = [:]
    for id in moved { removed[repack.holders[id] ?? [], default: []].append(id) }
    let groups = removed.map { (holders: $0.key, removed: $0.value.sorted()) }
      .sorted { $0.removed.lexicographicallyPrecedes($1.removed) }
    var operations: [JournalOperation] = groups.map { group in
      .repacked(
        added: stored.filter { group.holders.contains($0.id) }, removed: group.removed)
    }
    if let change { operations.append(change.operation(in: state)) }
    return operations
  }
}
