import MuninnDisk
import MuninnFormat
import MuninnStore
import Synchronization

/// Inserts, lookups, and what the index takes of disk and memory.
struct IndexMeasurements {
  let count: Int
  let perContainer: Int
  let lookups: Int
  let sessions: Int
  let runs: Int
  let chunks: InventedChunks
  let limits: IndexLimits
  let scratch: Scratch

  private static let batch = 64
  private typealias Add = (_ name: String, _ unit: String, _ values: [Double]) -> Void

  func measure(_ add: (Measurement) -> Void) throws {
    let path = scratch.file("repository")
    let storage = InventedContainers(try LocalStorage(path: path, create: true), chunks)
    let store = try Store.create(in: storage, averageChunkSize: nil, isShared: false)
    storage.belong(to: store.header.repository)
    func single(_ name: String, _ unit: String, _ values: [Double]) {
      add(Measurement(name: name, unit: unit, values: values, resultHash: ""))
    }
    try fill(store, single)
    try open(storage, single)
    try look(storage, single)
    let bytes = try SourceFiles.list(path + "/segments").reduce(0) { $0 + $1.size }
    single("segments on disk", "B/chunk", [Double(bytes) / Double(count)])
  }

  private func fill(_ store: Store, _ add: Add) throws {
    let before = ProcessUsage.residentBytes
    ProcessUsage.resetPeak()
    var insert = 0.0
    var commit = 0.0
    var merge = 0.0
    var tables = 0
    for part in 0..<sessions {
      let session = try WriteSession(store: store, limits: limits)
      let containers = (count + perContainer - 1) / perContainer
      let range = (containers * part / sessions)..<(containers * (part + 1) / sessions)
      insert += try Timing.seconds { try self.insert(range, session, &tables) }.0
      commit += try Timing.seconds { try self.commit(session) }.0
      merge += Timing.seconds { session.end() }.0
    }
    add("insert, spills and merges beside it", "M/s", [Double(count) / insert / 1e6])
    add("commit: last segment and record", "s", [commit])
    add("merging left after the commits", "s", [merge])
    add("all of it", "M/s", [Double(count) / (insert + commit + merge) / 1e6])
    add("tables of chunks in memory, at most", "MiB", [Double(tables) / 1_048_576])
    let peak = ProcessUsage.peakResidentBytes
    add(
      "peak RSS of the writer, more than before", "MiB",
      [Double(peak > before ? peak - before : 0) / 1_048_576])
  }

  private func insert(
    _ containers: Range<Int>, _ session: WriteSession, _ tables: inout Int
  ) throws {
    for ordinal in containers {
      let id = chunks.container(ordinal, of: session.id)
      let identities = chunks.identities(id, count: perContainer)
      for start in stride(from: 0, to: perContainer, by: Self.batch) {
        var claims = identities[start..<min(start + Self.batch, perContainer)].map {
          ChunkClaim(identity: $0, length: 1)
        }
        try session.index.resolve(
          &claims, next: ChunkLocation(container: id, slot: UInt32(start)))
        guard claims.allSatisfy(\.isNew) else { throw BenchError("a fingerprint came twice") }
      }
      try session.add(
        ContainerRecord(
          id: id, isManifest: false, byteCount: 32 << 20, chunkCount: UInt32(perContainer),
          rawByteCount: 32 << 20),
        identities: identities)
      if ordinal % 256 == 0 { tables = max(tables, session.index.residentByteCount.tables) }
    }
  }

  /// A snapshot that needs nothing: the containers and their segments are live with it.
  private func commit(_ session: WriteSession) throws {
    let page = ChunkReference(
      identity: chunks.identity(0), length: 1, location: ChunkLocation(container: .zero, slot: 0))
    let draft = SnapshotRecord(
      id: randomIdentifier(), root: TreeRoot(level: 0, page: page),
      containers: ContainerSet(base: nil, added: [], removed: []))
    _ = try session.commit(draft, needed: [])
  }

  // MARK: Reading

  private func openIndex(_ storage: InventedContainers) throws -> ChunkIndex {
    let store = try Store.open(in: storage)
    return try ChunkIndex(store: store, journal: try store.loadJournal(), limits: limits)
  }

  private func open(_ storage: InventedContainers, _ add: Add) throws {
    let store = try Store.open(in: storage)
    let journal = try store.loadJournal()
    for (name, isCold) in [("open, caches cold", true), ("open, caches warm", false)] {
      var seconds: [Double] = []
      for _ in 0..<runs {
        if isCold {
          PageCache.drop(try SourceFiles.list(scratch.file("repository/segments")).map(\.path))
        }
        seconds.append(
          try Timing.seconds {
            _ = try ChunkIndex(store: store, journal: journal, limits: limits)
          }.0)
      }
      add(name, "s", seconds)
    }
    let before = ProcessUsage.residentBytes
    let index = try ChunkIndex(store: store, journal: journal, limits: limits)
    let after = ProcessUsage.residentBytes
    let accounted = index.residentByteCount
    add("segments", "", [Double(index.segmentCount)])
    add(
      "filters and lists in memory, accounted", "B/chunk",
      [Double(accounted.segments) / Double(count)])
    add("filters and lists in memory, accounted", "MiB", [Double(accounted.segments) / 1_048_576])
    // Memory that the process had freed before is used first and does not count again.
    add("RSS more when open", "MiB", [Double(after > before ? after - before : 0) / 1_048_576])
    withExtendedLifetime(index) {}
  }

  private func look(_ storage: InventedContainers, _ add: Add) throws {
    var order = SeededGenerator(seed: chunks.seed ^ 0x5851_F42D_4C95_7F2D)
    let total = (count + perContainer - 1) / perContainer * perContainer
    let start = total > lookups ? Int(order.next() % UInt64(total - lookups)) : 0
    let hits = min(lookups, total)
    let random = (0..<min(hits, 100_000)).map { _ in Int(order.next() % UInt64(total)) }
    for (name, numbers, isHit) in [
      ("lookup, hits in the order of storage", Array(start..<(start + hits)), true),
      ("lookup, hits in random order", random, true),
      ("lookup, misses", (0..<lookups).map { total + $0 }, false),
    ] {
      var rates: [Double] = []
      var reads = 0
      for _ in 0..<runs {
        // Anew each time: what a writer finds when it begins.
        let index = try openIndex(storage)
        let identities = numbers.map(chunks.identity)
        storage.segmentReads.store(0, ordering: .relaxed)
        let (seconds, found) = try Timing.seconds {
          var found = 0
          for identity in identities where try index.find(identity) != nil { found += 1 }
          return found
        }
        guard found == (isHit ? numbers.count : 0) else {
          throw BenchError("\(name): found \(found) of \(numbers.count)")
        }
        rates.append(Double(numbers.count) / max(seconds, 1e-9) / 1e6)
        reads = storage.segmentReads.load(ordering: .relaxed)
      }
      add(name, "M/s", rates)
      add("  of these read a page of a segment", "%", [Double(reads) * 100 / Double(numbers.count)])
    }
  }
}
