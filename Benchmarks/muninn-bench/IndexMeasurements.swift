import MuninnDisk
import MuninnFormat
import MuninnStore

/// Inserts, lookups, and what the index takes of disk and memory.
struct IndexMeasurements {
  let count: Int
  let perContainer: Int
  let lookups: Int
  let sessions: Int
  let seed: UInt64
  let runs: Int
  let scratch: Scratch

  private static let batch = 64

  /// The fingerprint and tag of chunk `number`; numbers from `count` on are never inserted.
  private func identity(_ number: Int) -> ChunkIdentity {
    var words = SeededGenerator(seed: seed &+ UInt64(number) &* 0xD134_2543_DE82_EF95)
    return ChunkIdentity(
      fingerprint: Pair128(low: words.next(), high: words.next()),
      tag: Pair128(low: words.next(), high: words.next()))
  }

  func measure(_ add: (Measurement) -> Void) throws {
    let path = scratch.file("repository")
    var inserts: [Double] = []
    var commits: [Double] = []
    for _ in 0..<runs {
      Scratch.remove(path)
      let (insert, commit) = try fill(path)
      inserts.append(Double(count) / max(insert, 1e-9) / 1e6)
      commits.append(commit)
    }
    func single(_ name: String, _ unit: String, _ values: [Double], _ hash: String = "") {
      add(Measurement(name: name, unit: unit, values: values, resultHash: hash))
    }
    single("insert, in batches of \(Self.batch)", "M/s", inserts, String(count, radix: 16))
    single("commit: sync, merge and write segments", "s", commits, "\(sessions)")
    try open(path, single)
    try look(path, add)
    single("segments on disk", "B/chunk", [try perChunk(path + "/segments")])
    single("containers' directories on disk", "B/chunk", [try perChunk(path + "/containers")])
  }

  private func perChunk(_ directory: String) throws -> Double {
    let bytes = try SourceFiles.list(directory).reduce(0) { $0 + $1.size }
    return Double(bytes) / Double(count)
  }

  /// Seconds in the index, and in the commits.
  private func fill(_ path: String) throws -> (insert: Double, commit: Double) {
    let store = try Store.create(
      in: try LocalStorage(path: path, create: true), averageChunkSize: nil, isShared: false)
    var times = (insert: 0.0, commit: 0.0)
    for part in 0..<sessions {
      let session = try WriteSession(store: store)
      defer { session.end() }
      let range = (count * part / sessions)..<(count * (part + 1) / sessions)
      times.insert += try insert(range, session)
      times.commit += try commit(session)
    }
    return times
  }

  private func insert(_ range: Range<Int>, _ session: WriteSession) throws -> Double {
    let writer = session.makeContainerWriter(isManifest: false, level: 0)
    let byte: [UInt8] = [0x4D]
    var inContainer = 0
    var nanoseconds: UInt64 = 0
    var number = range.lowerBound
    while number < range.upperBound {
      let end = min(number + Self.batch, range.upperBound)
      var claims = (number..<end).map { ChunkClaim(identity: identity($0), length: 1) }
      let location = try writer.nextLocation()
      let start = Machine.monotonicNanoseconds()
      try session.index.resolve(&claims, next: location)
      nanoseconds += Machine.monotonicNanoseconds() - start
      guard claims.allSatisfy(\.isNew) else { throw BenchError("a fingerprint came twice") }
      for claim in claims {
        try byte.withUnsafeBytes { try writer.append($0, identity: claim.identity) }
      }
      number = end
      inContainer += claims.count
      if inContainer >= perContainer {
        try writer.finish()
        inContainer = 0
      }
    }
    try writer.finish()
    return Double(nanoseconds) / 1e9
  }

  /// A snapshot that needs nothing: the containers and their segment are live with it.
  private func commit(_ session: WriteSession) throws -> Double {
    let page = ChunkReference(
      identity: identity(0), length: 1, location: ChunkLocation(container: .zero, slot: 0))
    let draft = SnapshotRecord(
      id: randomIdentifier(), root: TreeRoot(level: 0, page: page),
      containers: ContainerSet(base: nil, added: [], removed: []))
    return try Timing.seconds { try session.commit(draft, needed: []) }.0
  }

  // MARK: Reading

  private func open(
    _ path: String, _ single: (String, String, [Double], String) -> Void
  ) throws {
    let store = try Store.open(in: try LocalStorage(path: path, create: false))
    let journal = try store.loadJournal()
    var seconds: [Double] = []
    var resident: [Double] = []
    for _ in 0..<runs {
      let before = ProcessUsage.residentBytes
      let (taken, index) = try Timing.seconds { try ChunkIndex(store: store, journal: journal) }
      withExtendedLifetime(index) {
        let after = ProcessUsage.residentBytes
        resident.append(Double(after > before ? after - before : 0) / Double(count))
      }
      seconds.append(taken)
    }
    single("open", "s", seconds, "\(journal.segments.count) segments")
    // Memory that the process had freed before is used first and does not count again.
    single("resident when open", "B/chunk", [resident.max() ?? 0], "\(count)")
  }

  private func openIndex(_ path: String) throws -> ChunkIndex {
    let store = try Store.open(in: try LocalStorage(path: path, create: false))
    return try ChunkIndex(store: store, journal: try store.loadJournal())
  }

  private func look(_ path: String, _ add: (Measurement) -> Void) throws {
    var order = SeededGenerator(seed: seed ^ 0x5851_F42D_4C95_7F2D)
    let start = count > lookups ? Int(order.next() % UInt64(count - lookups)) : 0
    let random = (0..<lookups).map { _ in Int(order.next() % UInt64(count)) }
    for (name, numbers, isHit) in [
      ("lookup, hits in the order of storage", Array(start..<(start + lookups)), true),
      ("lookup, hits in random order", random, true),
      ("lookup, misses", (0..<lookups).map { count + $0 }, false),
    ] {
      let before = ProcessUsage.residentBytes
      var after = before
      var index = try openIndex(path)
      add(
        try Timing.throughput(
          name, unit: "M/s", scale: 1e6, runs: runs, threads: 1,
          // Anew each time: what a writer finds when it begins.
          before: { index = try openIndex(path) },
          {
            var found = 0
            for number in numbers where try index.find(identity(number)) != nil { found += 1 }
            guard found == (isHit ? numbers.count : 0) else {
              throw BenchError("\(name): found \(found) of \(numbers.count)")
            }
            after = max(after, ProcessUsage.residentBytes)
            return (numbers.count, UInt64(found))
          }))
      add(
        Measurement(
          name: "resident more after these", unit: "MiB",
          values: [Double(after - before) / 1_048_576], resultHash: ""))
    }
  }
}
