import Glibc
import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnStore
import MuninnTestSupport
import Synchronization
import Testing

/// Chunks in containers of which little is needed any more are written again by the next backup.
@Suite struct RewritingTests {
  private let scene: BackupScene

  init() throws { scene = try BackupScene() }

  private func containers(of entry: ManifestEntry?) -> Set<Identifier> {
    guard case .extents(let extents) = entry?.content else { return [] }
    return Set(
      extents.compactMap { extent in
        if case .chunk(let chunk) = extent { chunk.location.container } else { nil }
      })
  }

  /// Files of the first backup of which the second keeps a quarter: one container, or a few, that
  /// are sparse from then on.
  private func makeSparse(
    extra: () throws -> Void = {}
  ) throws -> (first: BackupOutcome, second: BackupOutcome) {
    var generator = SeededGenerator.printed()
    for number in 10..<50 { try scene.write("f\(number)", generator.manyBytes(200_000)) }
    try extra()
    let first = try scene.backUp(threads: 1)
    for number in 10..<50 where number % 4 != 0 {
      try scene.write("f\(number)", generator.manyBytes(200_000))
    }
    let second = try scene.backUp(parent: first.snapshot, threads: 1) {
      $0.parentUsage = first.usage
    }
    return (first, second)
  }

  private func next(
    after outcome: BackupOutcome, limit: Double = 1, threads: Int = 2,
    _ adjust: (inout BackupOptions) -> Void = { _ in }
  ) throws -> BackupOutcome {
    try scene.backUp(parent: outcome.snapshot, threads: threads) {
      $0.parentUsage = outcome.usage
      $0.rewriteLimit = limit
      adjust(&$0)
    }
  }

  @Test func theNextBackupCopiesWhatIsLeftOfASparseContainer() throws {
    let (first, second) = try makeSparse()
    #expect(first.fragmentation.sparseContainers == 0)
    #expect(second.fragmentation.sparseContainers == 1)
    #expect(second.rewritten.chunks == 0)
    let third = try next(after: second)
    // Ten files of 200,000 bytes are left; none was read.
    #expect(third.rewritten.bytes == 2_000_000)
    #expect(third.snapshot.counts.bytesRead == 0)
    #expect(third.snapshot.counts.bytesNew == 0)
    #expect(third.fragmentation.sparseContainers == 0)
    let old = containers(of: try scene.entries(of: first.snapshot)["f12"])
    let entries = try scene.entries(of: third.snapshot)
    for number in 10..<50 {
      #expect(containers(of: entries["f\(number)"]).isDisjoint(with: old), "f\(number)")
    }
    let journal = try scene.store().loadJournal()
    #expect(journal.containerSet(of: second.snapshot.id).isSuperset(of: old))
    #expect(journal.containerSet(of: third.snapshot.id).isDisjoint(with: old))
    try scene.expectRestored(third.snapshot)
    #expect(try scene.check().problems.isEmpty)
    // Done is done: from then on pages are shared again and nothing is stored.
    let fourth = try next(after: third)
    #expect(fourth.rewritten.chunks == 0)
    #expect(fourth.snapshot.root.page.identity == third.snapshot.root.page.identity)
  }

  @Test func laterBackupsFindTheCopy() throws {
    let (first, second) = try makeSparse()
    let old = containers(of: try scene.entries(of: first.snapshot)["f12"])
    let third = try next(after: second)
    // The same bytes under another name: found, and not where they were first.
    try scene.write("again", try readFile(scene.source + "/f12"))
    let fourth = try next(after: third)
    #expect(fourth.snapshot.counts.bytesNew == 0)
    #expect(fourth.rewritten.chunks == 0)
    let place = containers(of: try scene.entries(of: fourth.snapshot)["again"])
    #expect(!place.isEmpty)
    if !place.isDisjoint(with: old) {
      // The index may name either copy; what it leads back to is sparse, and moved once more.
      let fifth = try next(after: fourth)
      let moved = containers(of: try scene.entries(of: fifth.snapshot)["again"])
      #expect(moved.isDisjoint(with: old))
      #expect(fifth.rewritten.chunks == 0, "the copy that is there serves")
    }
  }

  @Test func aChangedFilesOldChunksAreRewrittenToo() throws {
    let (first, second) = try makeSparse()
    let old = containers(of: try scene.entries(of: first.snapshot)["f12"])
    let longer = try readFile(scene.source + "/f12") + [1, 2, 3]
    try scene.write("f12", longer)
    let third = try next(after: second)
    #expect(third.rewritten.bytes <= 2_000_000)
    #expect(third.snapshot.counts.bytesNew < 200_000)
    #expect(containers(of: try scene.entries(of: third.snapshot)["f12"]).isDisjoint(with: old))
    try scene.expectRestored(third.snapshot)
  }

  @Test func longFilesAreRewrittenPageByPage() throws {
    var generator = SeededGenerator(seed: 41)
    var long = generator.manyBytes(6 << 20)
    let (_, second) = try makeSparse { try scene.write("long", long) }
    // What is left of the long file in its first container is little; then it stays as it is.
    for start in stride(from: 0, to: long.count - (1 << 20), by: 1 << 20) {
      long.replaceSubrange(start..<(start + 900_000), with: generator.manyBytes(900_000))
    }
    try scene.write("long", long)
    let third = try next(after: second, limit: 0)
    #expect(third.fragmentation.sparseContainers == 1)
    let fourth = try next(after: third)
    #expect(fourth.rewritten.bytes > 2_000_000)
    #expect(fourth.snapshot.counts.bytesRead == 0)
    #expect(fourth.fragmentation.sparseContainers == 0)
    try scene.expectRestored(fourth.snapshot)
    #expect(try scene.check().problems.isEmpty)
    // Taken over unseen: what it needs is known from the snapshot before.
    let fifth = try next(after: fourth)
    #expect(fifth.rewritten.chunks == 0)
    for (id, share) in fourth.usage.shares {
      #expect(fifth.usage.shares[id]?.byteCount == share.byteCount)
    }
  }

  @Test func theLimitHolds() throws {
    let (_, second) = try makeSparse()
    #expect(try next(after: second, limit: 0).rewritten.chunks == 0)
    // A twentieth of eight million bytes, and what one portion of work more comes to.
    let part = try next(after: second, limit: 0.05)
    #expect((1...1_500_000).contains(part.rewritten.bytes), "\(part.rewritten.bytes)")
    try scene.expectRestored(part.snapshot)
    // Where the parent's needs are not known nothing is rewritten.
    #expect(try next(after: second) { $0.parentUsage = nil }.rewritten.chunks == 0)
  }

  @Test func whatCannotBeCopiedIsReadFromTheSource() throws {
    let (first, second) = try makeSparse()
    let old = try #require(containers(of: try scene.entries(of: first.snapshot)["f12"]).first)
    let name = ObjectName.container(old)
    var bytes = try scene.storage.read(name, maximumByteCount: 1 << 30)
    for at in stride(from: 1000, to: bytes.count / 2, by: 1000) { bytes[at] ^= 1 }
    try scene.storage.put(name, bytes)
    let third = try next(after: second)
    #expect(third.snapshot.counts.bytesRead > 0)
    #expect(third.snapshot.counts.errors == 0)
    try scene.expectRestored(third.snapshot)
  }

  @Test func usageIsKeptAndWhateverElseIsRefused() throws {
    let (_, second) = try makeSparse()
    let repository = try scene.store().header.repository
    let bytes = second.usage.encoded(repository: repository)
    #expect(try SnapshotNeeds(decoding: bytes, repository: repository) == second.usage)
    #expect(throws: FormatError.self) {
      try SnapshotNeeds(decoding: bytes, repository: second.snapshot.id)
    }
    for count in [0, 59, bytes.count - 1] {
      #expect(throws: FormatError.self) {
        try SnapshotNeeds(decoding: Array(bytes.prefix(count)), repository: repository)
      }
    }
    for at in bytes.indices {
      var damaged = bytes
      damaged[at] ^= 1
      #expect(throws: FormatError.self) {
        try SnapshotNeeds(decoding: damaged, repository: repository)
      }
    }
  }

  @Test func aPlanTellsWhatARestoreReads() throws {
    let (first, second) = try makeSparse()
    for snapshot in [first.snapshot, second.snapshot] {
      let store = try scene.store()
      let survey = try LayoutSurvey(store: store, cancellation: Cancellation())
        .run(snapshot.root, journal: try store.loadJournal())
      #expect(survey.failures.isEmpty)
      let plan = try #require(survey.fragmentation.plan)
      let restored = try scene.restore(snapshot, to: "target-\(snapshot.id)")
      #expect(plan.byteCount == restored.containerBytesRead)
      #expect(plan.containerReads == restored.containersRead)
      #expect(plan.neededByteCount <= plan.byteCount + 1)
    }
    let known = first.fragmentation
    #expect(known.neededByteCount == known.containedByteCount)
    #expect(known.utilisation == 1)
    // 10 of 40 files of one size are left in the first container.
    #expect(second.fragmentation.utilisation < 0.6)
  }
}
