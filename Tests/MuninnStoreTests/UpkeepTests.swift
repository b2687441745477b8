import MuninnDisk
import MuninnFormat
import MuninnTestSupport
import Testing

@testable import MuninnStore

/// What repair does to a store: container sets that follow, containers made again from their
/// blocks, records given up.
@Suite struct UpkeepTests {
  private func record(_ id: Identifier) -> ContainerRecord {
    ContainerRecord(id: id, isManifest: false, byteCount: 1, chunkCount: 1, rawByteCount: 1)
  }

  private func id(_ number: UInt64) -> Identifier { Identifier(high: 7, low: number) }

  private func snapshot(
    _ number: UInt64, base: UInt64?, added: [UInt64], removed: [UInt64] = []
  ) -> JournalOperation {
    var snapshot = draft(root: nil)
    snapshot = SnapshotRecord(
      id: id(1000 + number), root: snapshot.root,
      containers: ContainerSet(
        base: base.map { id(1000 + $0) }, added: added.map(id), removed: removed.map(id)))
    return .snapshot(snapshot)
  }

  private func state(_ operations: [[JournalOperation]]) -> JournalState {
    var state = JournalState()
    for (number, one) in operations.enumerated() {
      let record = JournalRecord(
        number: UInt64(number + 1), previousHash: [], session: .zero, nonce: .zero,
        timeNanoseconds: 0, operations: one)
      state.apply(record, hash: [UInt8](repeating: 1, count: 32), byteCount: 1)
    }
    return state
  }

  /// A difference speaks of its base as it was: one from before a repack and one from behind it.
  @Test func containerSetsFollowRepacks() throws {
    let operations: [[JournalOperation]] = [
      [.containers([1, 2, 3].map { record(id($0)) }), snapshot(1, base: nil, added: [1, 2])],
      [snapshot(2, base: 1, added: [3], removed: [1])],
      [.repacked(added: [record(id(11)), record(id(12))], removed: [id(1)])],
      // It needs but one of the two that came for 1.
      [snapshot(3, base: 1, added: [], removed: [12])],
      [.repacked(added: [record(id(21))], removed: [id(11)])],
      [.repacked(added: [], removed: [id(2)])],
    ]
    let expected: [UInt64: Set<UInt64>] = [1: [21, 12], 2: [3], 3: [21]]
    let whole = state(operations)
    for (number, set) in expected {
      #expect(whole.containerSet(of: id(1000 + number)) == Set(set.map(id)), "\(number)")
    }
    #expect(whole.containers.keys.sorted() == [3, 12, 21].map(id))
    // The same through a checkpoint after each record.
    for end in operations.indices {
      let payload = state(Array(operations[...end])).checkpoint().encodedPayload()
      var again = JournalState(
        try payload.withUnsafeBytesTyped { (raw) throws(FormatError) in
          try Checkpoint(decodingPayload: raw)
        })
      for (number, one) in operations.enumerated() where number > end {
        again.apply(
          JournalRecord(
            number: UInt64(number + 1), previousHash: [], session: .zero, nonce: .zero,
            timeNanoseconds: 0, operations: one),
          hash: [UInt8](repeating: 1, count: 32), byteCount: 1)
      }
      for (number, set) in expected {
        #expect(again.containerSet(of: id(1000 + number)) == Set(set.map(id)), "\(end)")
      }
    }
    #expect(whole.incompleteSets().isEmpty && whole.snapshotsWithoutBase().isEmpty)
    let needing = Set(whole.snapshots(needing: [id(21)]).map(\.id))
    #expect(needing.isSuperset(of: [id(1001), id(1003)]))
  }

  /// What a forgotten base would mean today is nothing to a set that took it out in the name that it
  /// had then.
  @Test func whatAForgottenBaseBecameIsNotMissed() {
    let state = state([
      [.containers([1, 2].map { record(id($0)) }), snapshot(1, base: nil, added: [1, 2])],
      [snapshot(2, base: 1, added: [], removed: [1]), snapshot(3, base: nil, added: [1])],
      [.forgotten([id(1001)])],
      [.repacked(added: [record(id(11))], removed: [id(1)])],
      [.forgotten([id(1003)]), .condemned([id(11)])],
    ])
    #expect(state.containerSet(of: id(1002)) == [id(2)])
    #expect(state.incompleteSets().isEmpty)
  }

  @Test func whatCameInThePlaceOfARepackedContainerIsMissed() {
    let state = state([
      [.containers([1, 2].map { record(id($0)) }), snapshot(1, base: nil, added: [1, 2])],
      [.repacked(added: [record(id(11))], removed: [id(1)])],
      [snapshot(2, base: 1, added: [], removed: [11]), .condemned([id(11)])],
    ])
    let missing = state.incompleteSets()
    #expect(missing.map(\.snapshot.id) == [id(1001)])
    #expect(missing.first?.missing == [id(11)])
  }

  @Test func whatIsMissingIsSaid() {
    let state = state([
      [.containers([record(id(1))]), snapshot(1, base: nil, added: [1, 2])],
      [snapshot(2, base: 1, added: [], removed: [2]), snapshot(3, base: 1, added: [])],
      [snapshot(5, base: 4, added: [1]), snapshot(6, base: 5, added: [])],
    ])
    #expect(Set(state.incompleteSets().map(\.snapshot.id)) == [id(1001), id(1003)])
    #expect(state.snapshotsWithoutBase().map(\.id) == [id(1005), id(1006)])
  }

  /// A repaired snapshot comes where the original is, so that the newest stays the last.
  @Test func aRepairedSnapshotTakesItsPlace() {
    var repaired = draft(root: nil)
    repaired.repairs = id(1001)
    let state = state([
      [snapshot(1, base: nil, added: [])], [snapshot(2, base: nil, added: [])],
      [.snapshot(repaired)], [.forgotten([id(1002)])],
    ])
    #expect(state.snapshots.map(\.id) == [id(1001), repaired.id])
    #expect(state.superseded == [id(1001)])
    #expect(state.snapshot(repaired.id)?.repairs == id(1001))
  }

  /// Each damaged block costs its own chunks, wherever it lies, and hints to the others lead there.
  @Test func aContainerIsMadeAgainFromItsBlocks() throws {
    var generator = SeededGenerator.printed()
    let repository = try TestRepository()
    let chunks = (0..<40).map { _ in generator.bytes(30_000) }
    let references = try repository.commit(chunks).references
    let id = try #require(references.first?.location.container)
    let name = ObjectName.container(id)
    let good = try #require(repository.storage.peek(name))
    let directory = try repository.store.openContainer(id).directory
    try #require(directory.blocks.count >= 4)
    for (ordinal, block) in directory.blocks.enumerated() {
      var bytes = good
      // The directory is gone, and one block.
      bytes[good.count - 300] ^= 1
      bytes[Int(block.offset) + Int(generator.next() % UInt64(block.frameByteCount))] ^= 1
      repository.storage.poke(name, bytes)
      let store = try repository.reopened()
      let salvage = try store.salvageContainer(id)
      #expect(salvage.container.directory.blocks.count == directory.blocks.count - 1)
      #expect(salvage.lostByteCount >= UInt64(block.frameByteCount))
      let reader = ChunkReader(store: store)
      let lost = Int(block.firstSlot)..<Int(block.firstSlot + block.chunkCount)
      for (chunk, reference) in zip(chunks, references) {
        let read = try? reader.read(reference)
        if lost.contains(Int(reference.location.slot)) {
          #expect(read == nil, "block \(ordinal)")
        } else {
          #expect(read == chunk, "block \(ordinal), slot \(reference.location.slot)")
        }
      }
    }
  }

  @Test func recordsAreGivenUpByName() throws {
    let repository = try TestRepository()
    var references: [ChunkReference] = []
    for number in 0..<6 {
      references += try repository.commit([[UInt8](repeating: UInt8(number), count: 900)])
        .references
    }
    var bytes = try #require(repository.storage.peek(ObjectName.record(4)))
    bytes[150] ^= 1
    repository.storage.poke(ObjectName.record(4), bytes)
    repository.storage.poke(ObjectName.record(2), nil)
    repository.storage.poke("journal/ffffffffffffffff", [1])
    let store = try repository.reopened()
    let plan = try store.planJournalRepair(try store.verifyJournal())
    #expect(plan.missing == [2])
    #expect(plan.strays == ["journal/ffffffffffffffff"])
    #expect(Set(plan.adopted.map(\.id)) == Set([1, 3].map { references[$0].location.container }))
    try store.repairJournal(plan, folder: "now")
    let journal = try repository.reopened().verifyJournal()
    #expect(journal.problems.isEmpty, "\(journal.problems)")
    #expect(journal.snapshots.count == 4)
    #expect(journal.containers.count == 6)
    #expect(repository.storage.peek(ObjectName.record(4)) == bytes, "a name is for ever")
    #expect(repository.storage.peek("damaged/now/" + ObjectName.record(4)) == bytes)
    #expect(repository.storage.peek(ObjectName.record(2)) != nil, "nobody can take it")
    // Writers go on.
    try repository.commit([[9, 9, 9]])
    #expect(try repository.reopened().verifyJournal().problems.isEmpty)
  }

  @Test func theHeaderComesBackFromItsCopy() throws {
    let repository = try TestRepository()
    let good = try #require(repository.storage.peek(ObjectName.repository))
    for name in [ObjectName.repository, ObjectName.repositoryCopy] {
      let all: [[UInt8]?] = [nil, [], Array(good.dropLast()), [UInt8](repeating: 1, count: 400)]
      for bad in all {
        repository.storage.poke(name, bad)
        let store = try repository.reopened()
        #expect(store.header == repository.store.header)
        #expect(store.headerProblems().map(\.object) == [name])
        try store.repairHeader(folder: Store.damagedFolder())
        #expect(repository.storage.peek(name) == good)
        #expect(try repository.reopened().headerProblems().isEmpty)
      }
    }
  }
}
