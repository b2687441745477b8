import MuninnDisk
import MuninnFormat
import MuninnTestSupport
import Testing

@testable import MuninnStore

/// One test for each race of the commit protocol, by the names of CommitProtocol.md.
@Suite struct RaceTests {
  private let repository: TestRepository

  init() throws { repository = try TestRepository() }

  private static func chunk(_ number: UInt8) -> [UInt8] {
    [UInt8](repeating: number, count: 5000) + [number, 1, 2]
  }

  private func collect(
    on store: Store? = nil, isDryRun: Bool = false, cancellation: Cancellation = Cancellation()
  ) throws -> CollectionOutcome {
    try GarbageCollection.run(
      store ?? repository.store, isDryRun: isDryRun, cancellation: cancellation)
  }

  private func forget(_ snapshot: Identifier) throws {
    var state = try repository.store.loadJournal()
    try repository.store.change(&state) { _ in [.forgotten([snapshot])] }
  }

  /// Makes a session's note say that its process is over.
  private func kill(_ session: WriteSession) throws {
    var note = SessionNote(session: session.id)
    note.owner = ProcessIdentity.current()
    note.owner.began = "0"
    repository.storage.poke(ObjectName.session(session.id), note.encoded())
  }

  /// Starts a session that finds `chunks` in the repository or stores them, and has not committed.
  private func begin(
    _ chunks: [[UInt8]], on store: Store? = nil
  ) throws -> (session: WriteSession, needed: Set<Identifier>) {
    let session = try WriteSession(store: store ?? repository.store)
    let writer = session.makeContainerWriter(isManifest: false)
    let references = try chunks.map { try session.put($0, into: writer) }
    try writer.finish()
    return (session, Set(references.map(\.reference.location.container)))
  }

  private func containers() throws -> Set<Identifier> {
    Set(try repository.names(ObjectName.containerPrefix).compactMap { ObjectName.id($0) })
  }

  /// Every snapshot has all it needs; returns how many there are.
  @discardableResult
  private func everySnapshotIsWhole() throws -> Int {
    let state = try repository.reopened().loadJournal()
    let there = try containers()
    for snapshot in state.snapshots {
      let needed = state.containerSet(of: snapshot.id)
      #expect(needed.isSubset(of: there))
      #expect(needed.isSubset(of: state.containers.keys))
    }
    return state.snapshots.count
  }

  /// Once nobody is at work, one collection leaves what snapshots need and nothing else.
  private func nothingDeadStays() throws {
    let outcome = try collect()
    #expect(outcome.waiting.count == 0)
    let state = try repository.store.loadJournal()
    let needed = state.snapshots.reduce(into: Set<Identifier>()) {
      $0.formUnion(state.containerSet(of: $1.id))
    }
    #expect(try containers() == needed)
    #expect(Set(state.containers.keys) == needed)
    #expect(
      Set(try repository.names(ObjectName.segmentPrefix).compactMap { ObjectName.id($0) })
        == Set(state.segments.keys))
    #expect(try repository.names(ObjectName.sessionPrefix).isEmpty)
    try everySnapshotIsWhole()
  }

  @Test func aContainerThatArrivesLateIsGarbageOfItsSession() throws {
    let (session, needed) = try begin([Self.chunk(1)])
    try session.waitForSyncs()
    let name = ObjectName.container(try #require(needed.first))
    let bytes = repository.storage.peek(name)
    session.end()
    _ = try collect()
    #expect(try containers().isEmpty)
    // Its put was repeated by the network, after all else.
    repository.storage.poke(name, bytes)
    try nothingDeadStays()
  }

  /// Behind a collection's record comes a checkpoint, and before that another's snapshot: what was
  /// marked before says nothing about it.
  @Test func aCheckpointInsideACollectionBringsNews() throws {
    let first = try repository.commit([Self.chunk(1)])
    try repository.commit([Self.chunk(2)])
    var state = try repository.store.loadJournal()
    while !state.isCheckpointDue {
      try repository.store.commitRecord(session: randomIdentifier(), state: &state) { _ in
        [.fenced([randomIdentifier()])]
      }
    }
    try repository.store.commitRecord(session: randomIdentifier(), state: &state) { _ in
      [.forgotten([first.snapshot.id])]
    }
    let collector = try repository.reopened()
    collector.syncPoints.once(at: .checkpointed) { [repository] in
      _ = try? repository.commit([Self.chunk(3)])
    }
    let outcome = try collect(on: collector)
    #expect(outcome.condemned.count == 1)
    #expect(try everySnapshotIsWhole() == 2)
    try nothingDeadStays()
  }

  @Test func aBackupRescuesWhatWasCondemnedMeanwhile() throws {
    let first = try repository.commit([Self.chunk(1)])
    let (session, needed) = try begin([Self.chunk(1), Self.chunk(2)])
    try forget(first.snapshot.id)
    let outcome = try collect()
    #expect(outcome.condemned.count == 1)
    #expect(outcome.waiting.count >= 1)
    #expect(outcome.waitedFor.map(\.session) == [session.id])
    _ = try session.commit(draft(root: nil), needed: needed)
    session.end()
    let state = try repository.store.loadJournal()
    #expect(state.upkeep.condemned.isEmpty)
    #expect(needed.isSubset(of: state.containers.keys))
    try nothingDeadStays()
    #expect(try everySnapshotIsWhole() == 1)
  }

  @Test func aCollectionLeavesWhatABackupCommitsMeanwhile() throws {
    let first = try repository.commit([Self.chunk(1)])
    let (session, needed) = try begin([Self.chunk(1)])
    try forget(first.snapshot.id)
    let store = try repository.reopened()
    store.syncPoints.once(at: .marked) {
      _ = try? session.commit(draft(root: nil), needed: needed)
    }
    #expect(try collect(on: store).condemned.count == 0)
    session.end()
    #expect(try everySnapshotIsWhole() == 1)
    try nothingDeadStays()
  }

  @Test func aSweepWaitsForWhoMayNotKnowAndForNobodyElse() throws {
    let first = try repository.commit([Self.chunk(1)])
    let (old, _) = try begin([Self.chunk(1)])
    try forget(first.snapshot.id)
    #expect(try collect().waiting.count >= 1)
    // This one knows the condemnation, and stores the chunk again.
    let (young, needed) = try begin([Self.chunk(1)])
    #expect(needed.isDisjoint(with: first.references.map(\.location.container)))
    old.end()
    #expect(try collect().deleted.count >= 1)
    _ = try young.commit(draft(root: nil), needed: needed)
    young.end()
    try nothingDeadStays()
    #expect(try everySnapshotIsWhole() == 1)
  }

  @Test func aSessionIsSeenFromBeforeItReadsTheJournal() throws {
    let first = try repository.commit([Self.chunk(1)])
    let store = try repository.reopened()
    let repository = repository
    let seen = Monitor(0)
    store.syncPoints.once(at: .registered) {
      // The last snapshot goes, and a collection runs, between the note and the reading.
      if var state = try? repository.store.loadJournal() {
        try? repository.store.change(&state) { _ in [.forgotten([first.snapshot.id])] }
      }
      let outcome = try? GarbageCollection.run(
        repository.store, isDryRun: false, cancellation: Cancellation())
      seen.withLock { $0 = outcome?.waitedFor.count ?? -1 }
    }
    let (session, needed) = try begin([Self.chunk(1)], on: store)
    #expect(seen.withLock { $0 } == 1)
    _ = try session.commit(draft(root: nil), needed: needed)
    session.end()
    #expect(try everySnapshotIsWhole() == 1)
    try nothingDeadStays()
  }

  /// Where a segment is gone the index is of a newer state than the session was begun on: what it
  /// finds there lives by the time of the commit.
  @Test func aSessionWhoseSegmentsWereMergedAwayKnowsWhatTheMergeBrought() throws {
    try repository.commit([Self.chunk(1)])
    let store = try repository.reopened()
    store.syncPoints.once(at: .joined) { [repository] in
      _ = try? repository.commit([Self.chunk(2)])
    }
    let (session, needed) = try begin([Self.chunk(2)], on: store)
    defer { session.end() }
    let state = try repository.store.loadJournal()
    #expect(state.segments.count == 1)
    #expect(needed.isSubset(of: state.containers.keys))
    _ = try session.commit(draft(root: nil), needed: needed)
    #expect(try everySnapshotIsWhole() == 3)
  }

  @Test func whoeverIsFirstOfARescueAndASweepWins() throws {
    let first = try repository.commit([Self.chunk(1)])
    let (session, needed) = try begin([Self.chunk(1)])
    try forget(first.snapshot.id)
    _ = try collect()
    // A list that lies: the sweep waits for nobody.
    try repository.storage.delete(ObjectName.session(session.id))
    let store = try repository.reopened()
    store.syncPoints.once(at: .listed) {
      _ = try? session.commit(draft(root: nil), needed: needed)
    }
    _ = try collect(on: store)
    session.end()
    #expect(try everySnapshotIsWhole() == 1)
    try nothingDeadStays()
  }

  @Test func aCommitThatNeedsWhatIsSweptDoesNotHappen() throws {
    let first = try repository.commit([Self.chunk(1)])
    let (session, needed) = try begin([Self.chunk(1)])
    try forget(first.snapshot.id)
    try repository.storage.delete(ObjectName.session(session.id))
    _ = try collect()
    let error = #expect(throws: StoreError.self) {
      _ = try session.commit(draft(root: nil), needed: needed)
    }
    #expect(error?.code == .damaged)
    session.end()
    #expect(try everySnapshotIsWhole() == 0)
    try nothingDeadStays()
  }

  @Test func whatACollectionDidNotDeleteTheNextOneDoes() throws {
    let first = try repository.commit([Self.chunk(1)])
    try forget(first.snapshot.id)
    let store = try repository.reopened()
    let cancellation = Cancellation()
    store.syncPoints.once(at: .swept) { cancellation.cancel() }
    let error = #expect(throws: StoreError.self) {
      _ = try collect(on: store, cancellation: cancellation)
    }
    #expect(error?.code == .cancelled)
    #expect(try containers().count == 1)
    try nothingDeadStays()
  }

  @Test func aRestoreKeepsWhatItReadInTheJournal() throws {
    let first = try repository.commit([Self.chunk(1)])
    let (reader, _) = try Registration.begin(repository.store, .restore)
    try forget(first.snapshot.id)
    #expect(try collect().waitedFor.map(\.work) == [.restore])
    #expect(try containers().count == 1)
    reader.end()
    try nothingDeadStays()
  }

  @Test func aWriterThatIsTakenForDeadCommitsNothing() throws {
    let (session, needed) = try begin([Self.chunk(1)])
    try session.waitForSyncs()
    try kill(session)
    #expect(try collect().fenced == 1)
    #expect(try containers().isEmpty)
    let error = #expect(throws: StoreError.self) {
      _ = try session.commit(draft(root: nil), needed: needed)
    }
    #expect(error?.code == .fenced)
    session.end()
    try nothingDeadStays()
  }

  @Test func whatALiveSessionStoredIsNobodysGarbage() throws {
    let (session, needed) = try begin([Self.chunk(1)])
    try session.waitForSyncs()
    let outcome = try collect()
    #expect(outcome.pending.count == 1)
    #expect(outcome.deleted.count == 0)
    _ = try session.commit(draft(root: nil), needed: needed)
    session.end()
    #expect(try everySnapshotIsWhole() == 1)
  }

  @Test func whatADeadSessionStoredIsAdopted() throws {
    let (dead, needed) = try begin([Self.chunk(1), Self.chunk(2)])
    try dead.waitForSyncs()
    try kill(dead)
    let (session, again) = try begin([Self.chunk(1), Self.chunk(2)])
    #expect(session.adoptedCount == 1)
    #expect(again == needed)
    // The dead one wakes, too late.
    let error = #expect(throws: StoreError.self) {
      _ = try dead.commit(draft(root: nil), needed: needed)
    }
    #expect(error?.code == .fenced)
    dead.end()
    _ = try session.commit(draft(root: nil), needed: again)
    session.end()
    #expect(try everySnapshotIsWhole() == 1)
    try nothingDeadStays()
  }

  @Test func ofTwoAdoptersOneWins() throws {
    let (dead, _) = try begin([Self.chunk(1)])
    try dead.waitForSyncs()
    try kill(dead)
    let store = try repository.reopened()
    let other = Monitor<WriteSession?>(nil)
    let repository = repository
    store.syncPoints.once(at: .inspected) {
      let session = try? WriteSession(store: repository.store)
      other.withLock { $0 = session }
    }
    let (late, _) = try begin([Self.chunk(1)], on: store)
    let first = try #require(other.withLock { $0 })
    #expect(first.adoptedCount == 1)
    #expect(late.adoptedCount == 0)
    first.end()
    late.end()
    dead.end()
    try nothingDeadStays()
  }

  @Test func whatWasSweptIsNotAdopted() throws {
    let first = try repository.commit([Self.chunk(1)])
    let owner = try #require(first.references.first).location.container
    let name = ObjectName.container(owner)
    let bytes = repository.storage.peek(name)
    try forget(first.snapshot.id)
    _ = try collect()
    // Its bytes and its session's note are back: a repeated put each.
    repository.storage.poke(name, bytes)
    var note = SessionNote(session: Identifier(high: owner.high, low: 0))
    note.owner = ProcessIdentity.current()
    note.owner.began = "0"
    repository.storage.poke(ObjectName.session(note.session), note.encoded())
    let session = try WriteSession(store: repository.store)
    #expect(session.adoptedCount == 0)
    session.end()
    try nothingDeadStays()
  }

  @Test func aBackupOutlivesTheForgettingOfItsParent() throws {
    let first = try repository.commit([Self.chunk(1)])
    let (session, needed) = try begin([Self.chunk(1), Self.chunk(3)])
    try forget(first.snapshot.id)
    var snapshot = draft(root: nil)
    snapshot.parent = first.snapshot.id
    _ = try session.commit(snapshot, needed: needed)
    session.end()
    try nothingDeadStays()
    #expect(try everySnapshotIsWhole() == 1)
  }

  @Test func aDryRunSaysWhatWouldGoAndChangesNothing() throws {
    let first = try repository.commit([Self.chunk(1)])
    try forget(first.snapshot.id)
    let head = try repository.store.loadJournal().head
    let foreseen = try collect(isDryRun: true)
    #expect(try repository.store.loadJournal().head == head)
    #expect(try containers().count == 1)
    let done = try collect()
    #expect(foreseen.condemned == done.condemned)
    #expect(foreseen.deleted.count >= 1)
    #expect(foreseen.live == done.live)
    try nothingDeadStays()
  }

  @Test func theMinimumAgeKeepsWhatWasForgotten() throws {
    let first = try repository.commit([Self.chunk(1)])
    var state = try repository.store.loadJournal()
    var settings = RepositorySettings()
    settings.minimumAge = 3600
    try repository.store.change(&state) { [settings] _ in [.settings(settings)] }
    try forget(first.snapshot.id)
    #expect(try collect().condemned.count == 0)
    settings.minimumAge = 0
    state = try repository.store.loadJournal()
    try repository.store.change(&state) { [settings] _ in [.settings(settings)] }
    try nothingDeadStays()
  }
}
