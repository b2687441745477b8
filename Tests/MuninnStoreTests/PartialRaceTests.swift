import Glibc
import MuninnDisk
import MuninnFormat
import MuninnTestSupport
import Testing

@testable import MuninnStore

/// The races of partial snapshots, and those of holds and of answers that are lost, by the names of
/// CommitProtocol.md.
@Suite struct PartialRaceTests {
  private let repository: TestRepository

  init() throws { repository = try TestRepository() }

  private static func chunk(_ number: UInt8) -> [UInt8] {
    [UInt8](repeating: number, count: 5000) + [number, 1, 2]
  }

  private func collect() throws -> CollectionOutcome {
    try GarbageCollection.run(
      repository.store, isDryRun: false, cancellation: Cancellation())
  }

  private func change(_ operations: [JournalOperation]) throws {
    var state = try repository.store.loadJournal()
    try repository.store.change(&state) { _ in operations }
  }

  /// Stores chunks in one container, and returns it.
  private func store(_ chunks: [[UInt8]], by session: WriteSession) throws -> Set<Identifier> {
    let writer = session.makeContainerWriter(isManifest: false)
    let references = try chunks.map { try session.put($0, into: writer) }
    try writer.finish()
    return Set(references.map(\.reference.location.container))
  }

  private func kill(_ session: WriteSession) throws {
    var note = SessionNote(session: session.id)
    note.owner = ProcessIdentity.current()
    note.owner.began = "0"
    repository.storage.poke(ObjectName.session(session.id), note.encoded())
  }

  private func containers() throws -> Set<Identifier> {
    Set(try repository.names(ObjectName.containerPrefix).compactMap { ObjectName.id($0) })
  }

  /// Every snapshot has all that it needs, and after a collection there is nothing else.
  private func expectWholeAndClean(snapshots count: Int) throws {
    #expect(try collect().waiting.count == 0)
    let state = try repository.reopened().loadJournal()
    #expect(state.snapshots.count == count)
    let needed = state.snapshots.reduce(into: Set<Identifier>()) {
      $0.formUnion(state.containerSet(of: $1.id))
    }
    #expect(try containers() == needed)
    #expect(Set(state.containers.keys) == needed)
    #expect(
      Set(try repository.names(ObjectName.segmentPrefix).compactMap { ObjectName.id($0) })
        == Set(state.segments.keys))
    #expect(try repository.names(ObjectName.sessionPrefix).isEmpty)
  }

  @Test func theFinalRecordDropsThePartialOnes() throws {
    let session = try WriteSession(store: repository.store)
    let first = try store([Self.chunk(1)], by: session)
    let one = try session.commitPartial(draft(root: nil), needed: first, dropping: [])
    #expect(one.isPartial)
    #expect(try repository.reopened().loadJournal().snapshots.map(\.id) == [one.id])
    let second = try store([Self.chunk(2)], by: session)
    let two = try session.commitPartial(
      draft(root: nil), needed: first.union(second), dropping: [one.id])
    #expect(try repository.reopened().loadJournal().snapshots.map(\.id) == [two.id])
    // Its chunks are found in the index, by itself and by others.
    #expect(try store([Self.chunk(1), Self.chunk(2)], by: session) == first.union(second))
    let other = try WriteSession(store: try repository.reopened())
    #expect(try store([Self.chunk(1), Self.chunk(2)], by: other) == first.union(second))
    other.end()
    let third = try store([Self.chunk(3)], by: session)
    let done = try session.commit(
      draft(root: nil), needed: first.union(third), dropping: [one.id, two.id])
    #expect(!done.isPartial)
    // Everything that the session stored, not what the last record named alone.
    #expect(done.counts.bytesStored > two.counts.bytesStored)
    session.end()
    #expect(try repository.reopened().loadJournal().snapshots.map(\.id) == [done.id])
    try expectWholeAndClean(snapshots: 1)
  }

  @Test func theFinalRecordRescuesWhatThePartialOneHad() throws {
    let session = try WriteSession(store: repository.store)
    let first = try store([Self.chunk(1)], by: session)
    let partial = try session.commitPartial(draft(root: nil), needed: first, dropping: [])
    try change([.forgotten([partial.id])])
    let outcome = try collect()
    #expect(outcome.condemned.count == 1)
    #expect(outcome.waitedFor.map(\.session) == [session.id])
    #expect(try containers().isSuperset(of: first))
    _ = try session.commit(draft(root: nil), needed: first, dropping: [partial.id])
    session.end()
    try expectWholeAndClean(snapshots: 1)
  }

  /// What the partial record named for later, no snapshot has yet: a collection condemns it, and
  /// waits.
  @Test func whatIsNamedForLaterIsRescuedLater() throws {
    let session = try WriteSession(store: repository.store)
    let first = try store([Self.chunk(1)], by: session)
    let later = try store([Self.chunk(2)], by: session)
    let partial = try session.commitPartial(draft(root: nil), needed: first, dropping: [])
    #expect(try collect().condemned.count == 1)
    #expect(try containers().isSuperset(of: later))
    _ = try session.commit(
      draft(root: nil), needed: first.union(later), dropping: [partial.id])
    session.end()
    try expectWholeAndClean(snapshots: 1)
  }

  @Test func aDeadBackupLeavesItsPartialSnapshot() throws {
    let dead = try WriteSession(store: repository.store)
    let first = try store([Self.chunk(1)], by: dead)
    let partial = try dead.commitPartial(draft(root: nil), needed: first, dropping: [])
    let second = try store([Self.chunk(2)], by: dead)
    try dead.waitForSyncs()
    try kill(dead)
    #expect(try collect().fenced == 1)
    #expect(try containers() == first, "what no record named is gone")
    #expect(try repository.reopened().loadJournal().snapshots.map(\.id) == [partial.id])
    // The dead one wakes: neither a partial nor a final record of its comes through.
    for isLast in [false, true] {
      let error = #expect(throws: StoreError.self) {
        _ =
          isLast
          ? try dead.commit(draft(root: nil), needed: first)
          : try dead.commitPartial(draft(root: nil), needed: first, dropping: [])
      }
      #expect(error?.code == .fenced)
    }
    dead.end()
    let next = try WriteSession(store: try repository.reopened())
    let again = try store([Self.chunk(1), Self.chunk(2)], by: next)
    #expect(again.isSuperset(of: first) && again.isDisjoint(with: second))
    _ = try next.commit(draft(root: nil), needed: again, dropping: [partial.id])
    next.end()
    try expectWholeAndClean(snapshots: 1)
  }

  /// What a backup stored behind its partial snapshot is adopted, as from any dead session.
  @Test func whatCameAfterThePartialSnapshotIsAdopted() throws {
    let dead = try WriteSession(store: repository.store)
    let first = try store([Self.chunk(1)], by: dead)
    let partial = try dead.commitPartial(draft(root: nil), needed: first, dropping: [])
    let second = try store([Self.chunk(2)], by: dead)
    try dead.waitForSyncs()
    try kill(dead)
    let next = try WriteSession(store: try repository.reopened())
    #expect(next.adoptedCount == 1)
    #expect(try store([Self.chunk(1), Self.chunk(2)], by: next) == first.union(second))
    _ = try next.commit(
      draft(root: nil), needed: first.union(second), dropping: [partial.id])
    next.end()
    dead.end()
    try expectWholeAndClean(snapshots: 1)
  }

  /// One that was stopped says so, and nobody has to guess that it is dead.
  @Test func aSessionThatStoppedLeavesWhatItStored() throws {
    let stopped = try WriteSession(store: repository.store)
    let first = try store([Self.chunk(1)], by: stopped)
    try stopped.waitForSyncs()
    stopped.end()
    #expect(try repository.store.sessions().map(\.isOver) == [true])
    let next = try WriteSession(store: try repository.reopened())
    #expect(next.adoptedCount == 1)
    #expect(try store([Self.chunk(1)], by: next) == first)
    _ = try next.commit(draft(root: nil), needed: first)
    next.end()
    try expectWholeAndClean(snapshots: 1)
  }

  @Test func nothingIsCommittedOverWhatIsNotDurable() throws {
    let session = try WriteSession(store: repository.store)
    let writer = session.makeContainerWriter(isManifest: false)
    let reference = try session.put(Self.chunk(1), into: writer).reference
    let open = reference.location.container
    #expect(session.unsyncedContainers == [open])
    let error = #expect(throws: StoreError.self) {
      _ = try session.commitPartial(draft(root: nil), needed: [open], dropping: [])
    }
    #expect(error?.code == .damaged)
    try writer.finish()
    _ = try session.commitPartial(draft(root: nil), needed: [open], dropping: [])
    #expect(session.unsyncedContainers.isEmpty)
    session.end()
    try expectWholeAndClean(snapshots: 1)
  }

  /// The name in a partial snapshot's record stays with whoever holds it.
  @Test func whatIsHeldIsNotDropped() throws {
    let session = try WriteSession(store: repository.store)
    let first = try store([Self.chunk(1)], by: session)
    let partial = try session.commitPartial(draft(root: nil), needed: first, dropping: [])
    var hold = Annotation(snapshot: partial.id)
    hold.hold = .set
    try change([.annotated([hold])])
    _ = try session.commit(draft(root: nil), needed: first, dropping: [partial.id])
    session.end()
    try expectWholeAndClean(snapshots: 2)
  }

  /// A partial snapshot that is the parent too is no base of its successor's set.
  @Test func aPartialParentIsDropped() throws {
    let session = try WriteSession(store: repository.store)
    let first = try store([Self.chunk(1)], by: session)
    let partial = try session.commitPartial(draft(root: nil), needed: first, dropping: [])
    var snapshot = draft(root: nil)
    snapshot.parent = partial.id
    let done = try session.commit(snapshot, needed: first, dropping: [partial.id])
    #expect(done.containers.base == nil)
    session.end()
    try expectWholeAndClean(snapshots: 1)
  }

  // MARK: Other paragraphs

  @Test func ofTwoCommitsOfOneNumberTheSecondTakesTheNext() throws {
    let one = try WriteSession(store: repository.store)
    let first = try store([Self.chunk(1)], by: one)
    let otherStore = try repository.reopened()
    let other = try WriteSession(store: otherStore)
    let second = try store([Self.chunk(2)], by: other)
    let isFirst = Monitor(true)
    otherStore.syncPoints.once(at: .commitPrepared) {
      // Between the preparation of a record and its put another gets the number.
      let committed = try? one.commit(draft(root: nil), needed: first)
      isFirst.withLock { $0 = committed != nil }
    }
    let before = try repository.reopened().loadJournal().head
    _ = try other.commit(draft(root: nil), needed: second)
    #expect(isFirst.withLock { $0 })
    #expect(try repository.reopened().loadJournal().head == before + 2)
    one.end()
    other.end()
    try expectWholeAndClean(snapshots: 2)
  }

  @Test func aRecordThatArrivesWithoutAnAnswerIsMyOwn() throws {
    let session = try WriteSession(store: repository.store)
    let first = try store([Self.chunk(1)], by: session)
    try session.waitForSyncs()
    let storage = repository.storage
    repository.store.syncPoints.once(at: .commitPrepared) {
      storage.failCall(storage.callCount, errno: ETIMEDOUT, effect: .whole)
    }
    _ = try session.commit(draft(root: nil), needed: first)
    session.end()
    let state = try repository.reopened().loadJournal()
    #expect(state.head == 1 && state.snapshots.count == 1)
    try expectWholeAndClean(snapshots: 1)
  }

  @Test func aHoldAndAForgettingAreDecidedByTheirOrder() throws {
    let first = try repository.commit([Self.chunk(1)]).snapshot.id
    var hold = Annotation(snapshot: first)
    hold.hold = .set
    // Forgetting looks at the newest state on which it is tried.
    let store = try repository.reopened()
    var stale = try store.loadJournal()
    try change([.annotated([hold])])
    try store.change(&stale) { state in
      state.upkeep.holds[first] == nil ? [.forgotten([first])] : []
    }
    #expect(try repository.reopened().loadJournal().snapshots.map(\.id) == [first])
    hold.hold = .lifted
    try change([.annotated([hold])])
    try change([.forgotten([first])])
    hold.hold = .set
    try change([.annotated([hold])])
    let state = try repository.reopened().loadJournal()
    #expect(state.snapshots.isEmpty && state.upkeep.holds.isEmpty)
    try expectWholeAndClean(snapshots: 0)
  }

  /// A list of sessions that leaves one out costs that one its work, and nobody data.
  @Test func aListThatLiesCostsItsSessionTheWork() throws {
    let kept = try repository.commit([Self.chunk(1)])
    let gone = try repository.commit([Self.chunk(2)])
    let session = try WriteSession(store: repository.store)
    let needed = try store([Self.chunk(1), Self.chunk(2)], by: session)
    try change([.forgotten([gone.snapshot.id])])
    try repository.storage.delete(ObjectName.session(session.id))
    #expect(try collect().deleted.count >= 1)
    let error = #expect(throws: StoreError.self) {
      _ = try session.commit(draft(root: nil), needed: needed)
    }
    #expect(error?.code == .damaged)
    session.end()
    #expect(try repository.store.holds([Self.chunk(1)], at: kept.references))
    try expectWholeAndClean(snapshots: 1)
  }
}
