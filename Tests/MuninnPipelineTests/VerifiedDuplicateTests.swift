import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnStore
import MuninnTestSupport
import Testing

/// Files made to collide, from end to end, in each kind of repository.
@Suite struct VerifiedDuplicateTests {
  enum Mode: CaseIterable { case plain, encrypted, sha256 }

  private func storage(_ mode: Mode) throws -> (storage: MemoryStorage, key: KeyMaterial?) {
    let storage = MemoryStorage()
    let key: KeyMaterial? = mode == .encrypted ? SweepKey.old : nil
    _ = try Store.create(
      in: storage, averageChunkSize: nil, isShared: false, key: key.map { SweepKey.new($0) },
      identityMethod: mode == .sha256 ? .sha256 : .xxh3)
    return (storage, key)
  }

  private func expectRestored(
    _ scene: BackupScene, _ snapshot: SnapshotRecord, _ key: KeyMaterial?
  ) throws {
    let store = try Store.open(in: scene.storage, key: key)
    let content = SnapshotContent(snapshot, store: store)
    #expect(content.files == (try scene.files(below: scene.source)))
  }

  /// Two members of a blind family under the repository's own secret.
  @Test(arguments: Mode.allCases, [false, true])
  func aBlindCollisionIsStoredApart(mode: Mode, isFull: Bool) throws {
    let (storage, key) = try storage(mode)
    let scene = try BackupScene(storage: storage)
    let store = try Store.open(in: storage, key: key)
    for (place, byteCount) in [1088, 20_000].enumerated() {
      let family = BlindFamily(byteCount: byteCount, seed: 9)
      let found = try #require(family.collision(under: store.header.fingerprintSecret))
      try scene.write("first-\(place)", family.member(found.first))
      try scene.write("second-\(place)", family.member(found.second))
    }
    let outcome = try scene.backUp(with: store) { $0.isFull = isFull }
    #expect(outcome.snapshot.counts.chunksNew >= 4)
    try expectRestored(scene, outcome.snapshot, key)
    // The second of each takes the first's place.
    for place in 0..<2 {
      let bytes = try readFile(scene.source + "/second-\(place)")
      try scene.write("first-\(place)", bytes)
    }
    let again = try scene.backUp(with: store, parent: outcome.snapshot) { $0.isFull = isFull }
    #expect(again.snapshot.counts.bytesNew == 0)
    try expectRestored(scene, again.snapshot, key)
  }

  private func forge(_ scene: BackupScene, _ byteCount: Int, seed: UInt64) throws -> ForgedPair {
    let store = try scene.store()
    return try #require(
      ForgedPair(
        secret: store.header.fingerprintSecret, identifying: store.identifying,
        byteCount: byteCount, seed: seed))
  }

  /// Whoever reads the secrets makes both fingerprint and tag collide. Bytes tell them apart, in one
  /// backup and from one to the next, whichever thread meets them.
  @Test(arguments: [1, 4]) func aForgedPairIsStoredApart(threads: Int) throws {
    let scene = try BackupScene()
    var generator = SeededGenerator.printed()
    for (place, byteCount) in [256, 1088, 20_000].enumerated() {
      for number in 0..<8 as Range<UInt64> {
        let pair = try forge(scene, byteCount, seed: number)
        try scene.write("\(place)-\(number)-a", pair.first)
        try scene.write("\(place)-\(number)-b", pair.second)
        try scene.write("\(place)-\(number)-c", pair.second)
      }
      try scene.write("filler-\(place)", generator.manyBytes(900_000))
    }
    let first = try scene.backUp(threads: threads) { $0.verifiesDuplicates = true }
    #expect(first.refusedDuplicates >= 24)
    try expectRestored(scene, first.snapshot, nil)
    try scene.expectRestored(first.snapshot)
    // Each is exchanged for its counterpart; now what is stored of them is complete.
    for (place, _) in [256, 1088, 20_000].enumerated() {
      for number in 0..<8 {
        let a = try readFile(scene.source + "/\(place)-\(number)-a")
        let b = try readFile(scene.source + "/\(place)-\(number)-b")
        try scene.write("\(place)-\(number)-a", b)
        try scene.write("\(place)-\(number)-b", a)
      }
    }
    let second = try scene.backUp(parent: first.snapshot, threads: threads) {
      $0.verifiesDuplicates = true
    }
    try expectRestored(scene, second.snapshot, nil)
    let problems = try scene.check().problems
    #expect(problems.isEmpty, "\(problems)")
  }

  /// A large file is cut by several threads; its chunks are duplicates of each other and of others.
  @Test(arguments: [1, 4]) func honestDuplicatesStaySuch(threads: Int) throws {
    let storage = MemoryStorage()
    _ = try Store.create(in: storage, averageChunkSize: 4096, isShared: false)
    let scene = try BackupScene(storage: storage)
    var generator = SeededGenerator.printed()
    let part = generator.manyBytes(3 << 20)
    try scene.write("twice", part + part)
    try scene.write("once", part)
    try scene.write("zeros", [UInt8](repeating: 0, count: 2 << 20))
    for number in 0..<30 { try scene.write("small-\(number)", Array(part[..<50_000])) }
    let first = try scene.backUp(threads: threads) { $0.verifiesDuplicates = true }
    #expect(first.refusedDuplicates == 0)
    #expect(first.snapshot.counts.bytesNew < 4 << 20)
    try scene.expectRestored(first.snapshot)
    let again = try scene.backUp(parent: first.snapshot, threads: threads) {
      $0.verifiesDuplicates = true
      $0.isFull = true
    }
    #expect(again.refusedDuplicates == 0 && again.snapshot.counts.bytesNew == 0)
  }

  /// What is damaged in the repository is no duplicate: the content is stored anew, and is there.
  @Test func aDamagedDuplicateIsStoredAnew() throws {
    let scene = try BackupScene()
    var generator = SeededGenerator.printed()
    try scene.write("file", generator.manyBytes(200_000))
    let first = try scene.backUp().snapshot
    let store = try scene.store()
    for record in try store.loadJournal().containers.values where !record.isManifest {
      let block = try #require(try store.openContainer(record.id).directory.blocks.first)
      let name = ObjectName.container(record.id)
      var bytes = try #require(scene.storage.peek(name))
      bytes[Int(block.offset) + 100] ^= 1
      scene.storage.poke(name, bytes)
    }
    let blind = try scene.backUp(parent: first) { $0.isFull = true }
    #expect(blind.snapshot.counts.bytesNew == 0)
    #expect(SnapshotContent(blind.snapshot, store: try scene.store()).unreadable == ["file"])
    let seeing = try scene.backUp(parent: first) {
      $0.isFull = true
      $0.verifiesDuplicates = true
    }
    #expect(seeing.refusedDuplicates > 0)
    try expectRestored(scene, seeing.snapshot, nil)
  }
}

extension BackupScene {
  fileprivate func backUp(
    with store: Store, parent: SnapshotRecord? = nil, _ adjust: (inout BackupOptions) -> Void
  ) throws -> BackupOutcome {
    var options = BackupOptions(sources: [Array(source.utf8)], threads: 2)
    options.parent = parent
    options.parent?.startedNanoseconds = Machine.nowNanoseconds() + 1_000_000_000
    adjust(&options)
    return try BackupPipeline(
      store: store, options: options, progress: ProgressCounters(), cancellation: Cancellation()
    ).run { $0.host = Array("host".utf8) }
  }
}
