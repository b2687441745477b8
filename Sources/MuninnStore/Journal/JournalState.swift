package import MuninnFormat

/// What the journal's records add up to: the repository's only truth.
package struct JournalState: Sendable {
  /// The newest record's number; 0 where there is none yet.
  package private(set) var head: UInt64 = 0
  /// SHA-256 of the newest record; zeros where there is none yet.
  package private(set) var headHash = [UInt8](repeating: 0, count: 32)
  /// Snapshots that were not forgotten, in the order of their commits.
  package private(set) var snapshots: [SnapshotRecord] = []
  /// Every snapshot's container set, forgotten ones included: others may be differences to them.
  package private(set) var containerSets: [Identifier: ContainerSet] = [:]
  /// The live containers.
  package private(set) var containers: [Identifier: ContainerRecord] = [:]
  /// The live index segments.
  package private(set) var segments: [Identifier: SegmentRecord] = [:]
  package private(set) var byteCount: UInt64 = 0
  /// Records that could not be read. A repository that has any is read, never written.
  package var problems: [StoreError] = []

  package init() {}

  package mutating func apply(_ record: JournalRecord, hash: [UInt8], byteCount: Int) {
    head = record.number
    headHash = hash
    self.byteCount += UInt64(byteCount)
    for operation in record.operations {
      switch operation {
      case .containers(let records):
        for container in records { containers[container.id] = container }
      case .snapshot(let snapshot):
        snapshots.append(snapshot)
        containerSets[snapshot.id] = snapshot.containers
      case .forgotten(let ids):
        let gone = Set(ids)
        snapshots.removeAll { gone.contains($0.id) }
      case .segments(let added, let removed):
        for segment in added { segments[segment.id] = segment }
        for id in removed { segments[id] = nil }
      }
    }
  }

  /// Steps over a record that cannot be read.
  mutating func skip(to number: UInt64, problem: StoreError) {
    head = number
    headHash = [UInt8](repeating: 0, count: 32)
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

  package func snapshot(_ id: Identifier) -> SnapshotRecord? { snapshots.first { $0.id == id } }

  /// All containers that a snapshot needs.
  package func containerSet(of snapshot: Identifier) -> Set<Identifier> {
    var chain: [ContainerSet] = []
    var next: Identifier? = snapshot
    // A base is always an older snapshot, so that the chain ends; the count guards against a
    // crafted journal.
    while let id = next, let set = containerSets[id], chain.count <= containerSets.count {
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
}
