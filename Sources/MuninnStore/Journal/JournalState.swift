package import MuninnFormat

/// What the journal's records add up to: the repository's only truth.
///
/// A new operation that changes it needs a line in `apply`, and what it adds a field in
/// `Checkpoint` with a line in `init(_:)` and in `checkpoint()`.
package struct JournalState: Sendable {
  /// The newest record's number; 0 where there is none yet.
  package private(set) var head: UInt64 = 0
  /// SHA-256 of the newest record; zeros where there is none yet.
  package private(set) var headHash = [UInt8](repeating: 0, count: 32)
  /// Whether `headHash` is known: not behind a record that was stepped over.
  private(set) var isHeadKnown = true
  /// Snapshots that were not forgotten, in the order of their commits.
  package private(set) var snapshots: [SnapshotRecord] = []
  /// The live containers.
  package private(set) var containers: [Identifier: ContainerRecord] = [:]
  /// The live index segments.
  package private(set) var segments: [Identifier: SegmentRecord] = [:]
  /// Bytes of all records.
  package private(set) var byteCount: UInt64 = 0
  /// The newest checkpoints, the newest last: a damaged one falls back to the one before.
  package private(set) var checkpoints: [CheckpointRecord] = []
  /// What a reader of the state without the newest checkpoint would have to read.
  private(set) var sinceCheckpoint = (records: 0, bytes: 0)
  /// Records that could not be read. A repository that has any is read, never written.
  package var problems: [StoreError] = []

  /// Where in `snapshots` those are that were not forgotten.
  private var places: [Identifier: Int] = [:]
  /// Places of `snapshots` that were forgotten and not taken out yet: one by one that would take
  /// the square of their number.
  private var forgotten: Set<Int> = []
  /// Others may be differences to these.
  private var forgottenSets: [Identifier: ContainerSet] = [:]

  /// Checkpoints whose objects are kept, and a few whose objects may not have been deleted yet.
  static let keptCheckpointCount = 2
  private static let rememberedCheckpointCount = 5

  package init() {}

  package mutating func apply(_ record: JournalRecord, hash: [UInt8], byteCount: Int) {
    applyUnsettled(record, hash: hash, byteCount: byteCount)
    settle()
  }

  /// Applies a record of many. `settle` has to follow the last.
  mutating func applyUnsettled(_ record: JournalRecord, hash: [UInt8], byteCount: Int) {
    head = record.number
    headHash = hash
    isHeadKnown = true
    self.byteCount += UInt64(byteCount)
    sinceCheckpoint.records += 1
    sinceCheckpoint.bytes += byteCount
    for operation in record.operations { apply(operation) }
  }

  private mutating func apply(_ operation: JournalOperation) {
    switch operation {
    case .containers(let records):
      for container in records { containers[container.id] = container }
    case .snapshot(let snapshot):
      places[snapshot.id] = snapshots.count
      snapshots.append(snapshot)
    case .forgotten(let ids):
      for id in ids {
        guard let place = places.removeValue(forKey: id) else { continue }
        forgottenSets[id] = snapshots[place].containers
        forgotten.insert(place)
      }
    case .segments(let added, let removed):
      for segment in added { segments[segment.id] = segment }
      for id in removed { segments[id] = nil }
    case .checkpoint(let checkpoint):
      checkpoints.append(checkpoint)
      if checkpoints.count > JournalState.rememberedCheckpointCount {
        checkpoints.removeFirst()
      }
      sinceCheckpoint = (0, 0)
    }
  }

  /// Takes the forgotten snapshots out of the list.
  mutating func settle() {
    guard !forgotten.isEmpty else { return }
    var kept: [SnapshotRecord] = []
    kept.reserveCapacity(snapshots.count - forgotten.count)
    for (place, snapshot) in snapshots.enumerated() where !forgotten.contains(place) {
      kept.append(snapshot)
    }
    snapshots = kept
    forgotten = []
    findPlaces()
  }

  private mutating func findPlaces() {
    places.removeAll(keepingCapacity: true)
    places.reserveCapacity(snapshots.count)
    for (place, snapshot) in snapshots.enumerated() { places[snapshot.id] = place }
  }

  /// Steps over a record that cannot be read.
  mutating func skip(to number: UInt64, problem: StoreError) {
    head = number
    headHash = [UInt8](repeating: 0, count: 32)
    isHeadKnown = false
    problems.append(problem)
  }

  /// Steps over the records between the newest one and `number`, which are not there.
  mutating func skip(gapBefore number: UInt64) {
    let first = head + 1
    let missing = number - first
    let text =
      missing == 1
      ? "the record is missing, and record \(number) is there"
      : "this record and the \(missing - 1) after it are missing, and record \(number) is there"
    skip(
      to: number - 1, problem: StoreError(.damaged, text, object: ObjectName.record(first)))
  }

  /// Nil where there is none, or where it was forgotten.
  package func snapshot(_ id: Identifier) -> SnapshotRecord? { places[id].map { snapshots[$0] } }

  /// All containers that a snapshot needs.
  package func containerSet(of snapshot: Identifier) -> Set<Identifier> {
    var chain: [ContainerSet] = []
    var next: Identifier? = snapshot
    // A base is always an older snapshot, so that the chain ends; the count guards against a
    // crafted journal.
    while let id = next, let set = difference(of: id),
      chain.count <= snapshots.count + forgottenSets.count
    {
      chain.append(set)
      next = set.base
    }
    var result: Set<Identifier> = []
    for set in chain.reversed() {
      result.subtract(set.removed)
      result.formUnion(set.added)
    }
    return result
  }

  private func difference(of snapshot: Identifier) -> ContainerSet? {
    places[snapshot].map { snapshots[$0].containers } ?? forgottenSets[snapshot]
  }
}

// To and from one object.
extension JournalState {
  init(_ checkpoint: Checkpoint) {
    head = checkpoint.record
    headHash = checkpoint.recordHash
    byteCount = checkpoint.journalByteCount
    snapshots = checkpoint.snapshots
    checkpoints = checkpoint.earlier
    containers.reserveCapacity(checkpoint.containers.count)
    for container in checkpoint.containers { containers[container.id] = container }
    for segment in checkpoint.segments { segments[segment.id] = segment }
    for item in checkpoint.forgottenSets { forgottenSets[item.snapshot] = item.containers }
    findPlaces()
  }

  /// The whole state, the same for everyone who has read the same records.
  func checkpoint() -> Checkpoint {
    var checkpoint = Checkpoint(record: head, recordHash: headHash, journalByteCount: byteCount)
    checkpoint.containers = containers.values.sorted { $0.id < $1.id }
    checkpoint.segments = segments.values.sorted { $0.id < $1.id }
    checkpoint.snapshots = snapshots
    checkpoint.forgottenSets = neededSets().sorted { $0.snapshot < $1.snapshot }
    checkpoint.earlier = checkpoints
    return checkpoint
  }

  /// The sets of forgotten snapshots that a live one's is a difference to, at any remove. The
  /// others can be let go: a new snapshot's base is always live when it is committed.
  private func neededSets() -> [ForgottenSet] {
    var needed: [Identifier: ContainerSet] = [:]
    for snapshot in snapshots {
      var next = snapshot.containers.base
      while let id = next, needed[id] == nil, let set = forgottenSets[id] {
        needed[id] = set
        next = set.base
      }
    }
    return needed.map { ForgottenSet(snapshot: $0.key, containers: $0.value) }
  }

  /// A checkpoint is due once what came since takes half as long to read as the checkpoint itself:
  /// so its cost per record stays small, and opening takes at most half as long again as it must.
  var isCheckpointDue: Bool {
    let roundTrip = 4096
    let cost = sinceCheckpoint.records * roundTrip + sinceCheckpoint.bytes
    return sinceCheckpoint.records >= 64
      && UInt64(cost) >= (checkpoints.last?.byteCount ?? 0) / 2
  }
}
