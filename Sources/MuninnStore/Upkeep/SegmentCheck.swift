internal import MuninnDisk
package import MuninnFormat

/// What all entries of a container add up to, in whatever order they come: a directory's and a
/// segment's are held against each other by it.
package struct EntrySum: Sendable, Equatable {
  package private(set) var count: UInt64 = 0
  private var sum: UInt64 = 0

  package init() {}

  package init(_ directory: ContainerDirectory) {
    for (slot, identity) in directory.identities.enumerated() {
      add(prefix: identity.fingerprint.low, slot: UInt32(slot))
    }
  }

  package mutating func add(prefix: UInt64, slot: UInt32) {
    count += 1
    // Mixed, so that two entries cannot swap their slots unnoticed.
    let word = (prefix ^ UInt64(slot) &* 0x9E37_79B9_7F4A_7C15) &* 0xBF58_476D_1CE4_E5B9
    sum &+= word ^ (word >> 29)
  }
}

extension Store {
  /// What is wrong with the live segments, by segment. Nothing is lost with one: it is made again
  /// from its containers' directories.
  ///
  /// Reads all pages, one segment after the other. `directories` says what the containers' entries
  /// add up to; a container that it does not know is not compared.
  package func segmentProblems(
    _ journal: JournalState, directories: [Identifier: EntrySum]
  ) -> [Identifier: StoreError] {
    var problems: [Identifier: StoreError] = [:]
    for record in journal.segments.values {
      do throws(StoreError) { try check(record, journal, directories) } catch {
        problems[record.id] = error
      }
    }
    return problems
  }

  private func check(
    _ record: SegmentRecord, _ journal: JournalState, _ directories: [Identifier: EntrySum]
  ) throws(StoreError) {
    var noFilter: UInt64 = 0
    let segment = try Segment(record, store: self, filterBudget: &noFilter)
    for number in segment.lists.filterOffsets.indices {
      _ = try segment.filterFrame(UInt64(number))
    }
    var sums = [EntrySum](repeating: EntrySum(), count: segment.lists.containers.count)
    let buffer = Buffer(capacity: segment.pageBufferByteCount)
    for number in 0..<segment.pageCount {
      let page = try segment.readPage(number, into: buffer.bytes)
      for at in stride(from: 0, to: page.count, by: SegmentEntry.byteCount) {
        let container = Int(
          UInt32(littleEndian: page.loadUnaligned(fromByteOffset: at + 8, as: UInt32.self)))
        guard container < sums.count else {
          throw StoreError(
            .damaged, "names container \(container) of \(sums.count)", object: segment.name)
        }
        sums[container].add(
          prefix: UInt64(littleEndian: page.loadUnaligned(fromByteOffset: at, as: UInt64.self)),
          slot: UInt32(
            littleEndian: page.loadUnaligned(fromByteOffset: at + 12, as: UInt32.self)))
      }
    }
    for (ordinal, id) in segment.lists.containers.enumerated()
    where journal.containers[id] != nil {
      guard let expected = directories[id], expected != sums[ordinal] else { continue }
      throw StoreError(
        .damaged, "does not list what container \(id) holds", object: ObjectName.segment(record.id))
    }
  }

  /// Live containers that no live segment lists: their directories are read instead each time that
  /// the index is opened.
  package func uncoveredContainers(_ journal: JournalState) -> [Identifier] {
    var covered: Set<Identifier> = []
    for segment in journal.segments.values { covered.formUnion(segment.containers) }
    return journal.containers.keys.filter { !covered.contains($0) }.sorted()
  }
}

extension JournalState {
  /// The snapshots that may need any of these containers, superseded ones left out. One pass over
  /// the differences: no set is built whole.
  package func snapshots(needing ids: Set<Identifier>) -> [SnapshotRecord] {
    var wanted = ids
    for repack in repacks.reversed() where !wanted.isDisjoint(with: repack.added) {
      wanted.formUnion(repack.removed)
    }
    var needs: [Identifier: Set<Identifier>] = [:]
    let superseded = superseded
    var found: [SnapshotRecord] = []
    for snapshot in snapshots {
      let set = snapshot.containers
      var own = wanted.intersection(set.added)
      if let base = set.base {
        let inherited = needs[base] ?? containerSet(of: base).intersection(ids)
        own.formUnion(inherited.subtracting(set.removed))
      }
      needs[snapshot.id] = own
      if !own.isEmpty, !superseded.contains(snapshot.id) { found.append(snapshot) }
    }
    return found
  }

  /// Snapshots, superseded ones left out, whose container set is a difference to one that is lost.
  package func snapshotsWithoutBase() -> [SnapshotRecord] {
    let superseded = superseded
    var broken: Set<Identifier> = []
    var whole: Set<Identifier> = []
    var found: [SnapshotRecord] = []
    for snapshot in snapshots {
      var next = snapshot.containers.base
      while let id = next, !whole.contains(id) {
        guard !broken.contains(id), let set = writtenSet(of: id)?.set, set.base != id else {
          broken.insert(snapshot.id)
          break
        }
        next = set.base
      }
      if !broken.contains(snapshot.id) {
        whole.insert(snapshot.id)
      } else if !superseded.contains(snapshot.id) {
        found.append(snapshot)
      }
    }
    return found
  }

  /// For each snapshot, superseded ones left out, the containers of its set that are not live.
  package func incompleteSets() -> [(snapshot: SnapshotRecord, missing: Set<Identifier>)] {
    let missing = ContainerMarks.missing(in: self)
    guard !missing.isEmpty else { return [] }
    let superseded = superseded
    return snapshots.compactMap { snapshot in
      guard let missing = missing[snapshot.id], !superseded.contains(snapshot.id) else {
        return nil
      }
      return (snapshot, missing)
    }
  }
}
