import MuninnDisk
import MuninnFormat
import MuninnStore
import MuninnTestSupport
import Testing

@testable import MuninnPipeline

/// Prunes that rewrite containers of which only a part is needed.
@Suite struct PruneTests {
  private let scene: CollectScene

  init() throws { scene = try CollectScene() }

  /// Three snapshots, of which each has a third of the files anew.
  private func makeGenerations() throws -> [SnapshotRecord] {
    var generator = SeededGenerator(seed: 77)
    var snapshots: [SnapshotRecord] = []
    for turn in 0..<3 {
      for number in 0..<12 where turn == 0 || number % 3 == turn {
        try scene.backups.write("file-\(number)", generator.manyBytes(60_000))
      }
      snapshots.append(try scene.commit())
    }
    return snapshots
  }

  @Test func whatIsPartlyNeededIsRewritten() throws {
    let snapshots = try makeGenerations()
    try scene.forget(snapshots[0].id)
    let foreseen = try scene.prune { $0.isDryRun = true }
    try scene.expectWhole()
    let before = try scene.unused()
    #expect(before > 200_000)
    let outcome = try scene.prune()
    #expect(outcome.rewrittenContainers > 0)
    #expect(foreseen.rewrittenContainers == outcome.rewrittenContainers)
    #expect(outcome.collection.deleted.bytes > before)
    #expect(outcome.unusedByteCount == 0)
    #expect(outcome.problems.isEmpty && outcome.unknown.isEmpty)
    try scene.expectWhole()
    try scene.expectNoGarbage()
    #expect(try scene.unused() == 0)
    let again = try scene.prune()
    #expect(again.rewrittenContainers == 0 && again.collection.deleted.count == 0)
    // The next backup stores no content again, and leaves a repository as sound.
    let chunks = try scene.backups.backUp(parent: snapshots[2]).snapshot
    #expect(chunks.counts.filesUnchanged == 12)
    #expect(chunks.counts.bytesNew == 0)
    scene.contents[chunks.id] = scene.contents[snapshots[2].id]
    try scene.expectWhole()
    try scene.forget(snapshots[1].id)
    try scene.prune()
    try scene.expectWhole()
    #expect(try scene.unused() == 0)
  }

  @Test func limitsAreKept() throws {
    let snapshots = try makeGenerations()
    try scene.forget(snapshots[0].id)
    #expect(try scene.prune(unused: .unlimited).unusedByteCount == nil)
    let head = try scene.backups.store().loadJournal().head
    for outcome in [
      try scene.prune(unused: .unlimited), try scene.prune(unused: .fraction(0.9)),
      try scene.prune { $0.maximumRewrite = 1000 },
    ] { #expect(outcome.rewrittenContainers == 0) }
    #expect(try scene.backups.store().loadJournal().head == head)
    let known = try #require(try scene.prune(unused: .fraction(0.9)).known)
    #expect(known.unusedByteCount > 0)
    // Nothing was forgotten since: nobody looks.
    var outcome = try scene.prune(unused: .fraction(0.9)) { $0.earlier = known }
    #expect(outcome.unusedByteCount == known.unusedByteCount)
    try scene.forget(snapshots[1].id)
    outcome = try scene.prune(unused: .fraction(0.9)) { $0.earlier = known }
    #expect((outcome.unusedByteCount ?? 0) > known.unusedByteCount)
    try scene.expectWhole()
  }

  /// A long-lived process goes on with what it has open.
  @Test func aStoreThatIsOpenFollows() throws {
    let snapshots = try makeGenerations()
    try scene.forget(snapshots[0].id)
    let store = try scene.backups.store()
    let listing = SnapshotListing(
      store: store, root: snapshots[1].root, path: [], isRecursive: true)
    var before = 0
    _ = try listing.run { _ in
      before += 1
      return true
    }
    #expect(before > 0)
    // Directories and an index from before are in its caches.
    _ = try store.index()
    try scene.prune()
    let (registration, journal) = try Registration.begin(store, .restore)
    defer { registration.end() }
    for snapshot in journal.snapshots {
      let reader = ChunkReader(store: store)
      var walk = ReferenceWalk(store: store, cancellation: Cancellation()) { reference, _ in
        (try? reader.read(reference)) != nil
      }
      let isWhole = try walk.walk(snapshot)
      #expect(isWhole)
    }
  }

  /// One that is not registered, and was overtaken.
  @Test func aReaderThatWasOvertakenFollows() throws {
    let snapshots = try makeGenerations()
    try scene.forget(snapshots[0].id)
    let store = try scene.backups.store()
    store.follow(try store.loadJournal())
    try scene.prune()
    let reader = ChunkReader(store: store)
    var walk = ReferenceWalk(store: store, cancellation: Cancellation()) { reference, _ in
      (try? reader.read(reference)) != nil
    }
    let isWhole = try walk.walk(snapshots[2])
    #expect(isWhole)
  }

  @Test func theMinimumAgeProtectsPartsToo() throws {
    let snapshots = try makeGenerations()
    let store = try scene.backups.store()
    var state = try store.loadJournal()
    var settings = RepositorySettings()
    settings.minimumAge = 3600
    try store.change(&state) { [settings] _ in [.settings(settings)] }
    try scene.forget(snapshots[0].id)
    #expect(try scene.prune().rewrittenContainers == 0)
    settings.minimumAge = 0
    state = try store.loadJournal()
    try store.change(&state) { [settings] _ in [.settings(settings)] }
    #expect(try scene.prune().rewrittenContainers > 0)
    try scene.expectWhole()
  }

  @Test func whatIsDamagedStaysWhereItIs() throws {
    let snapshots = try makeGenerations()
    try scene.forget(snapshots[0].id)
    let store = try scene.backups.store()
    // What the others need a part of.
    let shared = try store.loadJournal().containerSet(of: snapshots[2].id)
      .intersection(snapshots[0].containers.added)
    #expect(!shared.isEmpty)
    for id in shared {
      let name = ObjectName.container(id)
      var bytes = try #require(scene.storage.peek(name))
      let block = try #require(try store.openContainer(id).directory.blocks.first)
      bytes[Int(block.offset) + 60] ^= 1
      scene.storage.poke(name, bytes)
    }
    let outcome = try scene.prune()
    #expect(!outcome.problems.isEmpty || !outcome.unknown.isEmpty)
    let live = try store.loadJournal().containers
    #expect(shared.allSatisfy { live[$0] != nil })
    let names = try scene.storage.list(ObjectName.containerPrefix).map(\.name)
    #expect(shared.allSatisfy { names.contains(ObjectName.container($0)) })
  }

  /// A file whose extents fill pages of their own is not read again because its chunks moved.
  @Test func aLongFileThatMovedIsNotReadAgain() throws {
    var generator = SeededGenerator(seed: 9)
    try scene.backups.write("long", generator.manyBytes(6 << 20))
    try scene.backups.write("other", generator.manyBytes(300_000))
    let first = try scene.commit()
    try scene.backups.write("other", generator.manyBytes(300_000))
    let second = try scene.commit()
    let entry = try #require(try scene.backups.entries(of: second)["long"])
    guard case .tree = entry.content else {
      Issue.record("the file is too short for this test")
      return
    }
    try scene.forget(first.id)
    #expect(try scene.prune().rewrittenContainers > 0)
    let third = try scene.commit()
    #expect(third.counts.bytesRead == 0 && third.counts.filesUnchanged == 2)
    try scene.expectWhole()
    try scene.forget(second.id)
    try scene.prune()
    try scene.expectWhole()
    try scene.expectNoGarbage()
  }

  /// Backups, forgetting, prunes that give up and prunes that come to their end, in any order, with
  /// backups that began before a prune and commit after it.
  @Test func anyHistoryKeepsEverySnapshotWhole() throws {
    var generator = SeededGenerator.printed()
    for number in 0..<8 {
      try scene.backups.write("file-\(number)", generator.manyBytes(30_000))
    }
    try scene.commit()
    for _ in 0..<14 {
      switch generator.next() % 6 {
      case 0, 1:
        for _ in 0..<3 {
          let name = "file-\(generator.next() % 10)"
          try scene.backups.write(name, generator.manyBytes(Int(generator.next() % 60_000)))
        }
        try scene.commit()
      case 2:
        let ids = scene.contents.keys.sorted()
        if ids.count > 1 { try scene.forget(ids[Int(generator.next() % UInt64(ids.count))]) }
      case 3: try overtake(&generator)
      case 4:
        let cancellation = Cancellation()
        cancellation.cancel()
        _ = try? scene.prune(cancellation: cancellation)
      default: try scene.prune()
      }
      try scene.expectWhole()
    }
    try scene.prune()
    try scene.expectWhole()
    try scene.expectNoGarbage()
  }

  /// A backup takes over what its parent has; before it commits, old snapshots go and a prune
  /// rewrites what they leave.
  private func overtake(_ generator: inout SeededGenerator) throws {
    let store = try scene.backups.store()
    let parent = try #require(try store.loadJournal().snapshots.last)
    let others = scene.contents.keys.filter { $0 != parent.id }.sorted()
    let gone = others.isEmpty ? parent.id : others[Int(generator.next() % UInt64(others.count))]
    let scene = scene
    try scene.backups.write("new", generator.manyBytes(20_000))
    let failure = Monitor<String?>(nil)
    let held = SceneBox(scene)
    store.syncPoints.once(at: .commitPrepared) {
      do {
        try held.scene.forget(gone)
        try held.scene.prune()
      } catch {
        failure.withLock { $0 = "\(error)" }
      }
    }
    var options = BackupOptions(sources: [Array(scene.backups.source.utf8)], threads: 2)
    options.parent = parent
    options.parent?.startedNanoseconds = Machine.nowNanoseconds() + 1_000_000_000
    let outcome = try BackupPipeline(
      store: store, options: options, progress: ProgressCounters(), cancellation: Cancellation()
    ).run { $0.host = Array("host".utf8) }
    #expect(failure.withLock { $0 } == nil)
    scene.contents[outcome.snapshot.id] = try scene.backups.files(below: scene.backups.source)
  }

  /// `@unchecked Sendable` is sound: the sync point runs on the thread of the backup's commit,
  /// which waits for it, while nobody else touches the scene.
  private struct SceneBox: @unchecked Sendable {
    let scene: CollectScene
    init(_ scene: CollectScene) { self.scene = scene }
  }
}
