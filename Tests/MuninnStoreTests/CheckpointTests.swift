import MuninnDisk
import MuninnFormat
import MuninnTestSupport
import Testing

@testable import MuninnStore

/// Checkpoints: opening is the same with them, without them, and with damaged ones.
@Suite struct CheckpointTests {
  private func commit(_ repository: TestRepository, _ range: Range<Int>) throws {
    for number in range {
      try repository.commit([[UInt8](repeating: UInt8(number), count: 300)])
    }
  }

  private func checkpoint(_ repository: TestRepository) throws -> CheckpointRecord {
    let store = try repository.reopened()
    var state = try store.loadJournal()
    try store.writeCheckpoint(session: randomIdentifier(), state: &state)
    return try #require(state.checkpoints.last)
  }

  /// Three snapshots, a checkpoint (record 4), two, a checkpoint (7), one.
  private func repository() throws -> (TestRepository, [CheckpointRecord]) {
    let repository = try TestRepository()
    try commit(repository, 0..<3)
    let first = try checkpoint(repository)
    try commit(repository, 3..<5)
    let second = try checkpoint(repository)
    try commit(repository, 5..<6)
    return (repository, [first, second])
  }

  private func forget(_ id: Identifier, in repository: TestRepository) throws {
    var state = try repository.store.loadJournal()
    try repository.store.commit(session: randomIdentifier(), state: &state) { _ in
      [.forgotten([id])]
    }
  }

  /// The state as it is opened says what all the records say.
  private func expectTrue(_ repository: TestRepository, _ text: String = "") throws {
    let store = try repository.reopened()
    let opened = try store.loadJournal()
    let walked = try store.verifyJournal()
    #expect(opened.problems.isEmpty, "\(text)")
    #expect(opened.checkpoint() == walked.checkpoint(), "\(text)")
    for snapshot in walked.snapshots {
      #expect(
        opened.containerSet(of: snapshot.id) == walked.containerSet(of: snapshot.id), "\(text)")
    }
  }

  private func recordsRead(_ repository: TestRepository) throws -> [String] {
    let start = repository.storage.callCount
    _ = try repository.reopened().loadJournal()
    return repository.storage.calls[start...].filter {
      $0.operation == "read" && $0.name.hasPrefix(ObjectName.journalPrefix)
    }.map(\.name)
  }

  @Test func openingReadsWhatCameAfter() throws {
    let (repository, _) = try repository()
    try expectTrue(repository)
    #expect(try repository.store.verifyJournal().problems.isEmpty)
    // The record that the hint names, and those behind the checkpoint.
    #expect(try recordsRead(repository) == [7, 7, 8].map { ObjectName.record($0) })
  }

  private enum Hint: CaseIterable {
    case absent, empty, flipped, old, future, ofAnother, noCheckpoint
  }

  @Test(arguments: Hint.allCases) private func aWrongHintCostsTime(hint: Hint) throws {
    let (repository, _) = try repository()
    let good = try #require(repository.storage.peek(ObjectName.head))
    func poke(record: UInt64, _ of: TestRepository) throws {
      let envelope = of.store.newEnvelope(kind: .head, object: .zero)
      let frame = try Seal(envelope: envelope, masterKey: nil).frame(
        HeadHint(record: record).encodedPayload(), kind: .head, number: 0, level: 0)
      repository.storage.poke(ObjectName.head, envelope.encoded() + frame)
    }
    switch hint {
    case .absent: repository.storage.poke(ObjectName.head, nil)
    case .empty: repository.storage.poke(ObjectName.head, [])
    case .flipped:
      for offset in good.indices {
        var bytes = good
        bytes[offset] ^= 1
        repository.storage.poke(ObjectName.head, bytes)
        // A version that this build does not know stands only in a hint here.
        #expect(try repository.reopened().loadJournal().head == 8, "byte \(offset)")
      }
    case .old: try poke(record: 4, repository)
    case .future: try poke(record: 1 << 60, repository)
    case .ofAnother: try poke(record: 7, try TestRepository())
    case .noCheckpoint: try poke(record: 8, repository)
    }
    try expectTrue(repository)
    try commit(repository, 6..<7)
    try expectTrue(repository)
  }

  private enum Damage: CaseIterable { case lost, flipped, cutShort, exchanged, anotherState }

  @Test(arguments: Damage.allCases, [[1], [0, 1]])
  private func aDamagedCheckpointFallsBack(damage: Damage, which: [Int]) throws {
    let (repository, checkpoints) = try repository()
    let good = checkpoints.map { repository.storage.peek(ObjectName.checkpoint($0.id)) }
    for number in which {
      let name = ObjectName.checkpoint(checkpoints[number].id)
      var bytes = try #require(repository.storage.peek(name))
      switch damage {
      case .lost: repository.storage.poke(name, nil)
      case .flipped:
        bytes[bytes.count / 2] ^= 4
        repository.storage.poke(name, bytes)
      case .cutShort: repository.storage.poke(name, Array(bytes.dropLast(3)))
      case .exchanged:
        repository.storage.poke(name, good[1 - number])
      case .anotherState:
        let envelope = repository.store.newEnvelope(
          kind: .checkpoint, object: checkpoints[number].id)
        let frame = try Seal(envelope: envelope, masterKey: nil).frame(
          JournalState().checkpoint().encodedPayload(), kind: .checkpoint, number: 0)
        repository.storage.poke(name, envelope.encoded() + frame)
      }
    }
    try expectTrue(repository)
    let problems = try repository.store.verifyJournal().problems
    #expect(
      problems.compactMap(\.object)
        == (damage == .lost ? [] : which.map { ObjectName.checkpoint(checkpoints[$0].id) }))
    // The next one is made as if nothing had been.
    let next = try checkpoint(repository)
    #expect(try recordsRead(repository).last == ObjectName.record(next.record + 1))
    try expectTrue(repository)
  }

  @Test func everyByteOfACheckpointIsGuarded() throws {
    let (repository, checkpoints) = try repository()
    let name = ObjectName.checkpoint(checkpoints[1].id)
    let good = try #require(repository.storage.peek(name))
    for offset in good.indices {
      var bytes = good
      bytes[offset] ^= 0x10
      repository.storage.poke(name, bytes)
      #expect(throws: StoreError.self, "byte \(offset)") {
        try repository.store.readCheckpoint(checkpoints[1])
      }
    }
  }

  @Test func aRecordBehindTheCheckpointIsMissed() throws {
    let (repository, _) = try repository()
    try commit(repository, 6..<9)
    repository.storage.poke(ObjectName.record(9), nil)
    let journal = try repository.reopened().loadJournal()
    #expect(journal.problems.map(\.object) == [ObjectName.record(9)])
    #expect(journal.head == 11)
    #expect(journal.snapshots.count == 8)
  }

  /// Opening does not look at what lies before a checkpoint; a check does.
  @Test(arguments: [1, 3] as [UInt64])
  func aRecordBeforeTheCheckpointIsMissedByTheCheck(number: UInt64) throws {
    let (repository, _) = try repository()
    let name = ObjectName.record(number)
    let bytes = try #require(repository.storage.peek(name))
    for damaged in [nil, Array(bytes.dropLast()), bytes.map { $0 ^ 1 }] {
      repository.storage.poke(name, damaged)
      let store = try repository.reopened()
      let opened = try store.loadJournal()
      #expect(opened.problems.isEmpty)
      #expect(opened.snapshots.count == 6)
      #expect(try store.verifyJournal().problems.map(\.object).contains(name))
    }
    // Well-formed, and not the one that was there.
    repository.storage.poke(name, repository.storage.peek(ObjectName.record(number + 1)))
    #expect(try repository.store.verifyJournal().problems.map(\.object).contains(name))
  }

  /// The chain goes on where the checkpoint says that it does.
  @Test func aCheckpointOfAForkIsNoticed() throws {
    let (repository, checkpoints) = try repository()
    let fork = try TestRepository(copyOf: repository)
    for number in 5...8 as ClosedRange<UInt64> {
      fork.storage.poke(ObjectName.record(number), nil)
    }
    fork.storage.poke(ObjectName.checkpoint(checkpoints[1].id), nil)
    try commit(fork, 10..<12)
    let forked = try #require(fork.storage.peek(ObjectName.record(6)))
    repository.storage.poke(ObjectName.record(8), nil)
    repository.storage.poke(ObjectName.record(7), forked)
    #expect(try repository.reopened().loadJournal().problems.isEmpty == false)
  }

  /// A repository put back from an older copy, with objects of the newer state still there.
  @Test func aRolledBackJournalIsReadAsItIs() throws {
    let (repository, _) = try repository()
    for number in 5...8 as ClosedRange<UInt64> {
      repository.storage.poke(ObjectName.record(number), nil)
    }
    let journal = try repository.reopened().loadJournal()
    #expect(journal.head == 4)
    #expect(journal.snapshots.count == 3)
    #expect(journal.problems.isEmpty)
  }

  @Test func recordsAndCheckpointsOfAnotherRepository() throws {
    let (repository, checkpoints) = try repository()
    let (other, others) = try self.repository()
    let stranger = try #require(other.storage.peek(ObjectName.record(8)))
    repository.storage.poke(ObjectName.record(8), stranger)
    let problem = try #require(try repository.reopened().loadJournal().problems.first)
    #expect(problem.description.contains(other.store.header.repository.description))
    #expect(problem.object == ObjectName.record(8))
    repository.storage.poke(
      ObjectName.checkpoint(checkpoints[1].id),
      other.storage.peek(ObjectName.checkpoint(others[1].id)))
    #expect(try repository.reopened().loadJournal().snapshots.count == 5)
  }

  @Test func forgottenSnapshotsLeaveTheirSets() throws {
    let repository = try TestRepository()
    var parent: SnapshotRecord?
    var chunks: [[UInt8]] = []
    for number in 0..<12 {
      chunks.append([UInt8](repeating: UInt8(number), count: 400))
      let session = try WriteSession(store: try repository.reopened())
      let writer = session.makeContainerWriter(isManifest: false)
      let references = try chunks.suffix(3).map { try session.put($0, into: writer).reference }
      try writer.finish()
      var snapshot = draft(root: references[0])
      snapshot.parent = parent?.id
      let needed = Set(references.map(\.location.container))
      let committed = try session.commit(snapshot, needed: needed)
      session.end()
      // Every other parent is forgotten, which what follows is a difference to.
      if number % 2 == 1, let parent { try forget(parent.id, in: repository) }
      if number % 3 == 2 { _ = try checkpoint(repository) }
      let opened = try repository.reopened().loadJournal()
      #expect(opened.containerSet(of: committed.id) == needed)
      parent = committed
    }
    try expectTrue(repository)
    let journal = try repository.reopened().loadJournal()
    #expect(journal.snapshots.count == 6)
    for snapshot in journal.snapshots.dropLast() { try forget(snapshot.id, in: repository) }
    _ = try checkpoint(repository)
    try expectTrue(repository)
  }

  /// Committers make them by themselves; only the newest two objects stay.
  @Test func checkpointsAreMadeAsTheJournalGrows() throws {
    let repository = try TestRepository()
    var state = try repository.store.loadJournal()
    for number in 0..<400 {
      try repository.store.commit(session: randomIdentifier(), state: &state) { _ in
        var snapshot = draft(root: nil)
        snapshot.host = [UInt8](repeating: UInt8(number % 7), count: 20)
        return [.snapshot(snapshot)]
      }
    }
    let named = (state.head - 400)
    #expect(named >= 3 && named <= 6, "\(named) checkpoints")
    #expect(try repository.names(ObjectName.checkpointPrefix).count == 2)
    #expect(try recordsRead(repository).count < 140)
    try expectTrue(repository)
    #expect(try repository.store.verifyJournal().problems.isEmpty)
  }

  /// A call that fails, with its work done or not, changes nothing but the time to open.
  @Test(arguments: [false, true]) func aFailureAnywhere(takesEffect: Bool) throws {
    let (base, _) = try repository()
    let counted = try TestRepository(copyOf: base)
    let start = counted.storage.callCount
    _ = try checkpoint(counted)
    let count = counted.storage.callCount - start
    #expect(count > 8)
    for call in 0..<count {
      let repository = try TestRepository(copyOf: base)
      repository.storage.failCall(
        repository.storage.callCount + call, errno: 5, effect: takesEffect ? .whole : .none)
      _ = try? checkpoint(repository)
      repository.storage.crash(.torn, seed: UInt64(call))
      try expectTrue(repository, "call \(call)")
      #expect(try repository.reopened().loadJournal().snapshots.count == 6)
      _ = try checkpoint(repository)
      try expectTrue(repository, "call \(call)")
    }
  }
}
