internal import MuninnDisk
package import MuninnFormat

/// What a repair puts into one journal record.
package struct RepairCommit: Sendable {
  /// A container that leaves, and those that hold what could be had of its chunks.
  package struct Repacked: Sendable {
    package let removed: Identifier
    package let holders: Set<Identifier>

    package init(removed: Identifier, holders: Set<Identifier>) {
      self.removed = removed
      self.holders = holders
    }
  }

  package var repacked: [Repacked] = []
  package var lostSegments: Set<Identifier> = []
  /// Each repairs a snapshot; its container set is made here.
  package var snapshots: [SnapshotRecord] = []
  /// Of the repaired snapshots, those whose container set is a difference to one that is lost: they
  /// need every live container from here on, since nobody knows better.
  package var withoutBase: Set<Identifier> = []

  package init() {}
}

extension WriteSession {
  /// Commits a repair together with everything that this session stored: repacked containers, new
  /// manifests, and segments over all live containers that no sound segment lists.
  package func commit(_ repair: RepairCommit) throws(StoreError) -> JournalState {
    let stored = try storedContainers()
    // Damaged segments are evidence: they are moved aside, not deleted.
    let journal = try commitInOrder(keeping: repair.lostSegments) { () throws(StoreError) in
      for segment in index.segments where repair.lostSegments.contains(segment.record.id) {
        try index.replace(segment)
      }
      return try index.flush(mergesSmall: false)
    } prepare: { (state, change) throws(StoreError) in
      try checkUnchanged(repair, state)
      return try operations(repair, stored, change, state)
    }
    didNameAll()
    return journal
  }

  private func checkUnchanged(
    _ repair: RepairCommit, _ state: JournalState
  ) throws(StoreError) {
    let superseded = state.superseded
    let isGone = repair.repacked.contains { state.containers[$0.removed] == nil }
    let isRepaired = repair.snapshots.contains { $0.repairs.map(superseded.contains) ?? false }
    if isGone || isRepaired {
      throw StoreError(
        .damaged, "another repair was first: run it again to see what is left",
        object: store.storage.location)
    }
  }

  private func operations(
    _ repair: RepairCommit, _ stored: [ContainerRecord], _ change: IndexChange?,
    _ state: JournalState
  ) throws(StoreError) -> [JournalOperation] {
    var records = state.containers
    for record in stored { records[record.id] = record }
    var operations: [JournalOperation] = []
    var holders: Set<Identifier> = []
    for one in repair.repacked {
      let added = one.holders.sorted().compactMap { records[$0] }
      guard added.count == one.holders.count else {
        throw StoreError(
          .damaged, "what was salvaged is no longer in the repository: run repair again",
          object: ObjectName.container(one.removed))
      }
      holders.formUnion(one.holders)
      operations.append(.repacked(added: added, removed: [one.removed]))
    }
    // They are moved aside at once, so nobody is to rescue them.
    if !repair.repacked.isEmpty {
      operations.append(
        .swept(containers: repair.repacked.map(\.removed).sorted(), segments: []))
    }
    let others = stored.filter { !holders.contains($0.id) }
    if !others.isEmpty { operations.append(.containers(others)) }
    if let change { operations.append(change.operation(in: state)) }
    let manifests = Set(stored.filter(\.isManifest).map(\.id))
    var everything: Identifier?
    for snapshot in repair.snapshots {
      guard let original = snapshot.repairs else { continue }
      if repair.withoutBase.contains(original) {
        var committed = snapshot
        let live = Set(records.keys).subtracting(repair.repacked.map(\.removed))
        committed.containers = ContainerSet(
          base: everything, added: everything == nil ? live.sorted() : [], removed: [])
        everything = everything ?? snapshot.id
        operations.append(.snapshot(committed))
        continue
      }
      var base = state.containerSet(of: original)
      for one in repair.repacked where base.remove(one.removed) != nil {
        base.formUnion(one.holders)
      }
      var committed = snapshot
      // Containers that are lost whole are in no set any more.
      let gone = base.filter { records[$0] == nil }
      committed.containers = ContainerSet(
        base: original, added: manifests.subtracting(base).sorted(), removed: gone.sorted())
      operations.append(.snapshot(committed))
    }
    return operations
  }
}
