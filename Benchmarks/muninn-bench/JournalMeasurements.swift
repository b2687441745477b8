import MuninnDisk
import MuninnFormat
import MuninnStore

/// Commits, opening and listing, with checkpoints and without.
struct JournalMeasurements {
  let count: Int
  let runs: Int
  let scratch: Scratch

  func measure(_ add: (Measurement) -> Void) throws {
    let path = scratch.file("repository")
    let (seconds, _) = try Timing.seconds { try fill(path) }
    func single(_ name: String, _ unit: String, _ values: [Double]) {
      add(Measurement(name: name, unit: unit, values: values, resultHash: "\(count)"))
    }
    single("commit, checkpoints included", "ms", [seconds * 1000 / Double(count)])
    let storage = try LocalStorage(path: path, create: false)
    single("records", "B/snapshot", [try perSnapshot(storage, ObjectName.journalPrefix)])
    let checkpoints = try storage.list(ObjectName.checkpointPrefix)
    single(
      "newest checkpoint", "B/snapshot",
      [Double(checkpoints.map(\.size).max() ?? 0) / Double(count)])
    let before = ProcessUsage.residentBytes
    let held = try Store.open(in: storage).loadJournal()
    let after = ProcessUsage.residentBytes
    single(
      "resident when open", "B/snapshot",
      [Double(after > before ? after - before : 0) / Double(count)])
    single("open", "s", try repeated { try load(path).snapshots.count })
    single("open and list", "s", try repeated { try list(path) })
    let newest = held.snapshots.last?.id ?? .zero
    single("container set of the newest", "s", try repeated { held.containerSet(of: newest).count })
    try storage.delete(ObjectName.head)
    single("open without the hint", "s", try repeated { try load(path).snapshots.count })
    for checkpoint in checkpoints { try storage.delete(checkpoint.name) }
    let (all, _) = try Timing.seconds { try load(path) }
    single("open without checkpoints", "s", [all])
  }

  private func repeated(_ work: () throws -> Int) throws -> [Double] {
    _ = try work()
    return try (0..<runs).map { _ in try Timing.seconds { try work() }.0 }
  }

  private func load(_ path: String) throws -> JournalState {
    let journal = try Store.open(in: try LocalStorage(path: path, create: false)).loadJournal()
    guard journal.snapshots.count == count, journal.problems.isEmpty else {
      throw BenchError("\(journal.snapshots.count) snapshots, \(journal.problems.count) problems")
    }
    return journal
  }

  /// Looks at what a listing shows of each.
  private func list(_ path: String) throws -> Int {
    try load(path).snapshots.reduce(0) {
      $0 + $1.host.count + $1.paths.count + Int(truncatingIfNeeded: $1.completedNanoseconds)
        & 1
    }
  }

  private func perSnapshot(_ storage: LocalStorage, _ prefix: String) throws -> Double {
    Double(try storage.list(prefix).reduce(0) { $0 + $1.size }) / Double(count)
  }

  private func fill(_ path: String) throws {
    let store = try Store.create(
      in: try LocalStorage(path: path, create: true), averageChunkSize: nil, isShared: true)
    var journal = try store.loadJournal()
    let session = randomIdentifier()
    let fileSystems = (0..<4).map { _ in randomIdentifier() }
    var parents: [Int: Identifier] = [:]
    for number in 0..<count {
      let turn = number % fileSystems.count
      let containers = [false, true].map { isManifest in
        ContainerRecord(
          id: Identifier(high: session.high, low: randomIdentifier().low), isManifest: isManifest,
          byteCount: 30 << 20, chunkCount: 900, rawByteCount: 40 << 20)
      }
      var snapshot = invented(number, parent: parents[turn], containers.map(\.id))
      snapshot.fileSystem = fileSystems[turn]
      parents[turn] = snapshot.id
      try store.commit(session: session, state: &journal) { _ in
        [.containers(containers), .snapshot(snapshot)]
      }
    }
  }

  private func invented(
    _ number: Int, parent: Identifier?, _ containers: [Identifier]
  ) -> SnapshotRecord {
    let word = UInt64(number) &* 0x9E37_79B9_7F4A_7C15
    let page = ChunkReference(
      identity: ChunkIdentity(
        fingerprint: Pair128(low: word, high: ~word), tag: Pair128(low: word ^ 1, high: word)),
      length: 9000, location: ChunkLocation(container: containers[1], slot: 899))
    var snapshot = SnapshotRecord(
      id: randomIdentifier(), root: TreeRoot(level: 2, page: page),
      containers: ContainerSet(base: parent, added: containers, removed: []))
    snapshot.parent = parent
    snapshot.isFull = parent == nil
    snapshot.startedNanoseconds = 1_790_000_000_000_000_000 + Int64(number) * 600_000_000_000
    snapshot.completedNanoseconds = snapshot.startedNanoseconds + 17_000_000_000
    snapshot.host = Array("server-\(number % 4).example.org".utf8)
    snapshot.user = Array("backup".utf8)
    snapshot.programVersion = Array("0.1.0".utf8)
    snapshot.paths = [Array("/srv/data/\(number % 4)".utf8)]
    snapshot.fileSystemName = Array("data-\(number % 4)".utf8)
    snapshot.document = Array(
      #"{"Settings":{"DataLocation":"/srv/data/\#(number % 4)","Revisions":true}}"#.utf8)
    snapshot.counts.entries = 120_000 + UInt64(number)
    snapshot.counts.files = 110_000
    snapshot.counts.bytes = 52 << 30
    snapshot.counts.bytesNew = word >> 40
    return snapshot
  }
}
