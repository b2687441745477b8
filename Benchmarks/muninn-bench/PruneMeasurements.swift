import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnStore

/// A prune that rewrites nothing: its time and memory go with the containers.
struct PruneMeasurements {
  let snapshots: Int
  let containers: Int
  let runs: Int
  let scratch: Scratch

  private static let chunksPerContainer: UInt32 = 1000

  func measure(_ add: (Measurement) -> Void) throws {
    let path = scratch.file("repository")
    let store = try Store.create(
      in: try LocalStorage(path: path, create: true), averageChunkSize: nil, isShared: true)
    try fill(store)
    let total = snapshots * containers
    func result(_ name: String, _ unit: String, _ values: [Double], _ outcome: CollectOutcome) {
      let freed = outcome.collection.deleted.count
      add(Measurement(name: name, unit: unit, values: values, resultHash: "\(freed)"))
    }
    func peak(_ name: String, isDryRun: Bool) throws {
      var seconds: [Double] = []
      var outcome = CollectOutcome()
      let before = ProcessUsage.residentBytes
      ProcessUsage.resetPeak()
      for _ in 0..<(isDryRun ? runs : 1) {
        let (taken, latest) = try Timing.seconds { try prune(path, isDryRun: isDryRun) }
        seconds.append(taken)
        outcome = latest
      }
      let after = ProcessUsage.peakResidentBytes
      result(name, "s", seconds, outcome)
      result(
        "\(name): peak RSS more than before", "MiB",
        [Double(after > before ? after - before : 0) / 1_048_576], outcome)
    }
    try peak("nothing to do, \(total) containers", isDryRun: true)
    var journal = try store.loadJournal()
    let half = journal.snapshots.enumerated().filter { $0.offset % 2 == 0 }.map(\.element.id)
    try store.change(&journal) { _ in [.forgotten(half)] }
    try peak("half forgotten, dry run", isDryRun: true)
    try peak("half forgotten: condemn, sweep, delete", isDryRun: false)
  }

  private func prune(_ path: String, isDryRun: Bool) throws -> CollectOutcome {
    var options = CollectOptions(threads: 1)
    options.isDryRun = isDryRun
    options.maximumUnused = .unlimited
    return try PrunePipeline(
      store: try Store.open(in: try LocalStorage(path: path, create: false)), options: options,
      progress: ProgressCounters(), cancellation: Cancellation()
    ).run()
  }

  private func fill(_ store: Store) throws {
    var journal = try store.loadJournal()
    let session = randomIdentifier()
    var parents: [Int: (snapshot: Identifier, containers: [Identifier])] = [:]
    for number in 0..<snapshots {
      let records = (0..<containers).map { _ in
        ContainerRecord(
          id: Identifier(high: session.high, low: randomIdentifier().low), isManifest: false,
          byteCount: 30 << 20, chunkCount: Self.chunksPerContainer, rawByteCount: 40 << 20)
      }
      for record in records { try store.storage.put(ObjectName.container(record.id), []) }
      let parent = parents[number % 4]
      let nothing = ChunkReference(
        identity: ChunkIdentity(
          fingerprint: Pair128(low: 0, high: 0), tag: Pair128(low: 0, high: 0)),
        length: 0, location: ChunkLocation(container: .zero, slot: 0))
      var snapshot = SnapshotRecord(
        id: randomIdentifier(), root: TreeRoot(level: 0, page: nothing),
        containers: ContainerSet(
          base: parent?.snapshot, added: records.map(\.id).sorted(),
          removed: parent.map { Array($0.containers.prefix(containers / 2)).sorted() } ?? []))
      snapshot.parent = parent?.snapshot
      parents[number % 4] = (snapshot.id, records.map(\.id))
      let committed = snapshot
      try store.commit(session: session, state: &journal) { _ in
        [.containers(records), .snapshot(committed)]
      }
    }
  }
}
