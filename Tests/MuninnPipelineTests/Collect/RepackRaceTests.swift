import MuninnDisk
import MuninnFormat
import MuninnTestSupport
import Testing

@testable import MuninnPipeline
@testable import MuninnStore

/// The races of repacking, by the names of CommitProtocol.md.
@Suite struct RepackRaceTests {
  /// What stands between two snapshots, of which the first is forgotten: the content that only it
  /// had, and containers of which the second needs a part.
  private struct Stage {
    let scene: CollectScene
    let old: [UInt8]
    let second: SnapshotRecord
    let containers: Set<Identifier>
  }

  private let stage: Stage

  init() throws {
    var generator = SeededGenerator(seed: 5)
    let scene = try CollectScene()
    let old = generator.manyBytes(90_000)
    try scene.backups.write("changing", old)
    for number in 0..<4 { try scene.backups.write("same-\(number)", generator.manyBytes(50_000)) }
    let first = try scene.commit()
    try scene.backups.write("changing", generator.manyBytes(90_000))
    let second = try scene.commit()
    try scene.forget(first.id)
    let containers = try scene.backups.store().loadJournal().containers.values
      .filter { !$0.isManifest && first.containers.added.contains($0.id) }.map(\.id)
    stage = Stage(scene: scene, old: old, second: second, containers: Set(containers))
  }

  /// `@unchecked Sendable` is sound: a sync point runs on the thread that reaches it, which waits
  /// for it, while nobody else touches what is in here.
  private struct Held<Value>: @unchecked Sendable {
    let value: Value
  }

  /// A store at whose sync point something else happens.
  private func opened(
    at point: SyncPoint, _ action: @escaping () throws -> Void
  ) throws -> (store: Store, failure: Monitor<String?>) {
    let store = try stage.scene.backups.store()
    let failure = Monitor<String?>(nil)
    let held = Held(value: action)
    store.syncPoints.once(at: point) {
      do { try held.value() } catch { failure.withLock { $0 = "\(error)" } }
    }
    return (store, failure)
  }

  private func backUp(on store: Store) throws {
    let scene = stage.scene
    var options = BackupOptions(sources: [Array(scene.backups.source.utf8)], threads: 2)
    options.parent = stage.second
    options.parent?.startedNanoseconds = Machine.nowNanoseconds() + 1_000_000_000
    let outcome = try BackupPipeline(
      store: store, options: options, progress: ProgressCounters(), cancellation: Cancellation()
    ).run { $0.host = Array("host".utf8) }
    scene.contents[outcome.snapshot.id] = try scene.backups.files(below: scene.backups.source)
  }

  private func live() throws -> Set<Identifier> {
    Set(try stage.scene.backups.store().loadJournal().containers.keys)
  }

  @Test func aBackupThatIsFirstKeepsWhatARepackerWouldLeaveOut() throws {
    let scene = stage.scene
    let (store, failure) = try opened(at: .commitPrepared) {
      // It takes the chunks that nobody needed.
      try scene.backups.write("changing", stage.old)
      try scene.commit()
    }
    let outcome = try scene.prune(on: store)
    #expect(failure.withLock { $0 } == nil)
    #expect(outcome.rewrittenContainers == 0)
    #expect(try live().isSuperset(of: stage.containers))
    try scene.expectWhole()
    try scene.prune()
    try scene.expectWhole()
    try scene.expectNoGarbage()
  }

  @Test func aBackupRescuesWhatWasRepackedMeanwhile() throws {
    let scene = stage.scene
    try scene.backups.write("changing", stage.old)
    let (store, failure) = try opened(at: .commitPrepared) {
      let outcome = try scene.prune()
      #expect(outcome.rewrittenContainers > 0)
      #expect(outcome.collection.waiting.count > 0)
    }
    try backUp(on: store)
    #expect(failure.withLock { $0 } == nil)
    #expect(try live().isSuperset(of: stage.containers))
    try scene.expectWhole()
    // Each snapshot has what it means, whichever of the two goes first.
    try scene.prune()
    try scene.expectWhole()
    try scene.forget(stage.second.id)
    try scene.prune()
    try scene.expectWhole()
    try scene.expectNoGarbage()
  }

  /// The same pages belong to a snapshot from before a repacking, which means the new containers by
  /// them, and to one from behind it, which means the old ones.
  @Test(arguments: [true, false])
  func aSharedPageCountsForOldAndNew(forgetsOlder: Bool) throws {
    let scene = stage.scene
    let (store, failure) = try opened(at: .commitPrepared) { try scene.prune() }
    try backUp(on: store)
    #expect(failure.withLock { $0 } == nil)
    let journal = try scene.backups.store().loadJournal()
    let young = try #require(journal.snapshots.last)
    #expect(young.root == stage.second.root)
    let sets = [stage.second.id, young.id].map { journal.containerSet(of: $0) }
    #expect(sets[0] != sets[1])
    for _ in 0..<2 {
      try scene.prune()
      try scene.expectWhole()
    }
    try scene.forget(forgetsOlder ? stage.second.id : young.id)
    for _ in 0..<2 {
      try scene.prune()
      try scene.expectWhole()
    }
    try scene.expectNoGarbage()
  }

  /// What two writers have stored at the same moment is there twice, and once after a repacking of
  /// both containers.
  @Test func whatTwoWritersStoredIsKeptOnce() throws {
    let scene = stage.scene
    var generator = SeededGenerator(seed: 6)
    try scene.backups.write("common", generator.manyBytes(200_000))
    let (store, failure) = try opened(at: .commitPrepared) { try scene.commit() }
    try backUp(on: store)
    #expect(failure.withLock { $0 } == nil)
    #expect(try copies().values.contains(2))
    try repackEverything()
    try scene.expectWhole()
    // Both snapshots mean the same copy now, in the only container of its window.
    #expect(try copies().values.allSatisfy { $0 == 1 })
    try scene.prune()
    try scene.expectWhole()
    try scene.expectNoGarbage()
    #expect(try scene.unused() == 0)
  }

  /// A container that has a chunk twice, as repackings once left them, loses the second copy.
  @Test func aSecondCopyInOneContainerIsNotNeeded() throws {
    let scene = stage.scene
    var generator = SeededGenerator(seed: 7)
    try scene.backups.write("common", generator.manyBytes(200_000))
    let (other, failure) = try opened(at: .commitPrepared) { try scene.commit() }
    try backUp(on: other)
    #expect(failure.withLock { $0 } == nil)
    let store = try scene.backups.store()
    let journal = try store.loadJournal()
    let session = try WriteSession(store: store, limits: .repacker, work: .repack)
    defer { session.end() }
    let writer = session.makeContainerWriter(isManifest: false, level: 1)
    let reader = ChunkReader(store: store)
    var commit = RepackCommit(seen: Set(journal.snapshots.map(\.id)))
    for record in journal.containers.values where !record.isManifest {
      let directory = try store.openContainer(record.id).directory
      for slot in directory.identities.indices {
        let identity = directory.identities[slot]
        let reference = ChunkReference(
          identity: identity, length: directory.lengths[slot],
          location: ChunkLocation(container: record.id, slot: UInt32(slot)))
        let holder = try writer.nextLocation().container
        try reader.read(reference).withUnsafeBytesTyped { (bytes) throws(StoreError) in
          try writer.append(bytes, identity: identity)
        }
        commit.holders[record.id, default: []].insert(holder)
      }
    }
    try writer.finish()
    _ = try session.commit(commit)
    session.end()
    #expect(try copies().values.contains(2))
    try scene.expectWhole()
    try scene.prune()
    try scene.expectWhole()
    try scene.expectNoGarbage()
    #expect(try copies().values.allSatisfy { $0 == 1 })
    #expect(try scene.unused() == 0)
  }

  /// Repacks all containers in one go.
  private func repackEverything() throws {
    let store = try stage.scene.backups.store()
    let (registration, journal) = try Registration.begin(store, .repack)
    defer { registration.end() }
    let survey = try UsageSurvey(journal, store: store, cancellation: Cancellation())
    let items = Array(survey.usage.items.indices)
    let windows = survey.windows(of: items, try survey.order(of: items), byteCount: .max)
    #expect(windows.count == 1)
    let repack = ContainerRepack(
      store: store, level: 1, threads: 2, cancellation: Cancellation(), grant: { _ in },
      progress: { _ in })
    for window in windows {
      let result = try repack.run(window.plan, seen: survey.seen)
      #expect(result.removed.count == items.count)
    }
  }

  /// How often each chunk of files lies in a live container.
  private func copies() throws -> [ChunkIdentity: Int] {
    let store = try stage.scene.backups.store()
    var counts: [ChunkIdentity: Int] = [:]
    for record in try store.loadJournal().containers.values where !record.isManifest {
      for identity in try store.openContainer(record.id).directory.identities {
        counts[identity, default: 0] += 1
      }
    }
    return counts
  }

  @Test func ofTwoRepackersOneWins() throws {
    let scene = stage.scene
    let (store, failure) = try opened(at: .commitPrepared) {
      let first = try scene.prune()
      #expect(first.rewrittenContainers > 0)
    }
    let late = try scene.prune(on: store)
    #expect(failure.withLock { $0 } == nil)
    #expect(late.rewrittenContainers == 0)
    try scene.prune()
    try scene.expectWhole()
    try scene.expectNoGarbage()
  }

  @Test func aRepackerThatIsTakenForDeadCommitsNothing() throws {
    let scene = stage.scene
    let (store, failure) = try opened(at: .commitPrepared) {
      let store = try scene.backups.store()
      for var note in try store.sessions() where note.work == .repack {
        note.owner.began = "0"
        scene.storage.poke(ObjectName.session(note.session), note.encoded())
      }
      try scene.prune(unused: .unlimited)
    }
    let error = #expect(throws: PipelineError.self) { try scene.prune(on: store) }
    #expect(failure.withLock { $0 } == nil)
    #expect(error?.store?.code == .fenced)
    try scene.expectWhole()
    try scene.prune()
    try scene.expectWhole()
    try scene.expectNoGarbage()
  }

  /// What it stored is there already, in the old containers: nobody takes it over.
  @Test func whatADeadRepackerStoredIsNotAdopted() throws {
    let scene = stage.scene
    let (store, failure) = try opened(at: .commitPrepared) {
      let store = try scene.backups.store()
      for var note in try store.sessions() where note.work == .repack {
        note.owner.began = "0"
        scene.storage.poke(ObjectName.session(note.session), note.encoded())
      }
      let session = try WriteSession(store: store)
      #expect(session.adoptedCount == 0)
      session.end()
      throw StoreError(.cancelled, "")
    }
    _ = try? scene.prune(on: store)
    #expect(failure.withLock { $0 } != nil)
    try scene.prune()
    try scene.expectWhole()
    try scene.expectNoGarbage()
  }

  @Test func aRestoreKeepsWhatIsRepackedMeanwhile() throws {
    let scene = stage.scene
    let store = try scene.backups.store()
    let (reader, _) = try Registration.begin(store, .restore)
    let outcome = try scene.prune()
    #expect(outcome.rewrittenContainers > 0)
    #expect(outcome.collection.waitedFor.map(\.work) == [.restore])
    for id in stage.containers { #expect(scene.storage.peek(ObjectName.container(id)) != nil) }
    reader.end()
    try scene.prune()
    try scene.expectWhole()
    try scene.expectNoGarbage()
  }
}
