internal import MuninnDisk
package import MuninnFormat

/// What a repair of the journal would do.
package struct JournalRepair: Sendable {
  /// Records that cannot be read.
  package let gaps: [JournalGap]
  /// Numbers in the gaps that nothing lies under.
  package let missing: [UInt64]
  /// Objects whose numbers are so far behind all others that no writer can have made them.
  package let strays: [String]
  /// Complete containers that no readable record names, and that a lost one may have.
  package let adopted: [ContainerRecord]
  /// Checkpoints that are damaged.
  package let checkpoints: [String]

  package var isEmpty: Bool { gaps.isEmpty && strays.isEmpty && checkpoints.isEmpty }
}

extension Store {
  /// A gap of more records than this is a stray name.
  private static let maximumGap: UInt64 = 1 << 16

  /// Looks at what cannot be read of the journal, and for the containers that it may have named.
  /// `verified` is the journal as `verifyJournal` found it.
  package func planJournalRepair(_ verified: JournalState) throws(StoreError) -> JournalRepair {
    let checkpoints = verified.problems.compactMap(\.object).filter {
      $0.hasPrefix(ObjectName.checkpointPrefix)
    }
    guard !verified.gaps.isEmpty else {
      return JournalRepair(
        gaps: [], missing: [], strays: [], adopted: [], checkpoints: checkpoints)
    }
    let objects = try onDisk(ObjectName.journalPrefix) { () throws(DiskError) in
      try storage.list(ObjectName.journalPrefix)
    }
    let numbers = objects.compactMap { ObjectName.recordNumber($0.name) }.sorted()
    var end: UInt64 = 0
    for number in numbers where number - end <= Store.maximumGap { end = number }
    let there = Set(numbers)
    let gaps = verified.gaps.filter { $0.numbers.lowerBound <= end }
    var missing: [UInt64] = []
    for gap in gaps {
      missing += gap.numbers.clamped(to: 1...max(end, 1)).filter { !there.contains($0) }
    }
    return JournalRepair(
      gaps: gaps, missing: missing,
      strays: numbers.filter { $0 > end }.map { ObjectName.record($0) },
      adopted: gaps.isEmpty ? [] : try unnamedContainers(verified), checkpoints: checkpoints)
  }

  /// Complete containers that the journal does not name as live, and that no repack removed.
  private func unnamedContainers(
    _ journal: JournalState
  ) throws(StoreError) -> [ContainerRecord] {
    let removed = Set(journal.repacks.flatMap(\.removed))
    let needed = Set(journal.snapshots.flatMap(\.containers.added))
    let objects = try onDisk(ObjectName.containerPrefix) { () throws(DiskError) in
      try storage.list(ObjectName.containerPrefix)
    }
    var records: [ContainerRecord] = []
    for object in objects {
      guard let id = ObjectName.id(object.name), ObjectName.container(id) == object.name,
        journal.isUnnamed(id), !removed.contains(id),
        needed.contains(id) || !journal.upkeep.isFenced(id),
        let container = try? openContainer(id)
      else { continue }
      let rawByteCount = container.directory.lengths.reduce(0) { $0 + UInt64($1) }
      records.append(
        ContainerRecord(
          id: id, isManifest: try isManifest(container), byteCount: container.byteCount,
          chunkCount: UInt32(container.directory.chunkCount), rawByteCount: rawByteCount))
    }
    return records
  }

  private func isManifest(_ container: OpenContainer) throws(StoreError) -> Bool {
    let bytes = try read(container.name, at: 0, count: Envelope.byteCount)
    return try envelope(of: bytes, name: container.name, object: container.id).kind
      == .manifestContainer
  }

  /// Gives up the records that cannot be read and takes the containers that they may have named
  /// into a new record, with what a checkpoint still knows of them. The journal is whole
  /// afterwards.
  ///
  /// Damaged records stay under their names, since a name is for ever, and are copied below
  /// `damaged/`. A missing record's number is taken by a record that says so: else a slow client
  /// could still create it.
  package func repairJournal(_ plan: JournalRepair, folder: String) throws(StoreError) {
    for name in plan.strays + plan.checkpoints { try moveAside(name, folder: folder) }
    for gap in plan.gaps {
      for number in gap.numbers where !plan.missing.contains(number) {
        _ = try copyAside(ObjectName.record(number), folder: folder)
      }
    }
    let session = randomIdentifier()
    for number in plan.missing { try putBridge(number, session: session) }
    let verified = try verifyJournal()
    var state = try loadJournal()
    if !plan.gaps.isEmpty {
      try relyOn(state)
      state.giveUp(state.gaps)
      let operations = bridging(verified, adopted: plan.adopted, known: state)
      if !operations.isEmpty {
        try commitRecord(session: session, state: &state) { _ in operations }
      }
    }
    if !plan.gaps.isEmpty || !plan.checkpoints.isEmpty, state.problems.isEmpty {
      try writeCheckpoint(session: session, state: &state)
    }
  }

  /// Names the records that are given up, and says again what is known of what they said.
  private func bridging(
    _ verified: JournalState, adopted: [ContainerRecord], known: JournalState
  ) -> [JournalOperation] {
    var operations: [JournalOperation] = []
    let ranges = verified.gaps.map {
      BridgedRecords(
        first: $0.numbers.lowerBound, last: $0.numbers.upperBound,
        reason: Array($0.problem.message.utf8.prefix(1000)))
    }
    if !ranges.isEmpty { operations.append(.bridged(ranges)) }
    var containers = known.containers.filter { verified.containers[$0.key] == nil }
    for record in adopted where verified.containers[record.id] == nil {
      containers[record.id] = containers[record.id] ?? record
    }
    if !containers.isEmpty {
      operations.append(.containers(containers.values.sorted { $0.id < $1.id }))
    }
    let segments = known.segments.values.filter { verified.segments[$0.id] == nil }
    if !segments.isEmpty {
      operations.append(.segments(added: segments.sorted { $0.id < $1.id }, removed: []))
    }
    for snapshot in known.snapshots where verified.snapshot(snapshot.id) == nil {
      operations.append(.snapshot(snapshot))
    }
    return operations
  }

  /// A record that stands where one was lost.
  private func putBridge(_ number: UInt64, session: Identifier) throws(StoreError) {
    let record = JournalRecord(
      number: number,
      previousHash: (number > 1 ? recordHash(number - 1) : nil)
        ?? [UInt8](repeating: 0, count: 32),
      session: session, nonce: randomIdentifier(), timeNanoseconds: Machine.nowNanoseconds(),
      operations: [
        .bridged([
          BridgedRecords(first: number, last: number, reason: Array("the record was missing".utf8))
        ])
      ])
    let name = ObjectName.record(number)
    let bytes = try encode(record, name: name)
    _ = try onDisk(name) { () throws(DiskError) in try storage.putIfAbsent(name, bytes) }
  }
}
