import MuninnFormat
import MuninnStore
import Testing

/// What the operations of collection do to the journal's state.
@Suite struct UpkeepStateTests {
  private static func id(_ session: UInt64, _ number: UInt64) -> Identifier {
    Identifier(high: session, low: number)
  }

  private static func container(_ id: Identifier) -> ContainerRecord {
    ContainerRecord(id: id, isManifest: false, byteCount: 100, chunkCount: 1, rawByteCount: 90)
  }

  private struct Journal {
    var state = JournalState()

    mutating func add(_ operations: [JournalOperation], at nanoseconds: Int64 = 0) {
      state.apply(
        JournalRecord(
          number: state.head + 1, previousHash: state.headHash, session: .zero, nonce: .zero,
          timeNanoseconds: nanoseconds, operations: operations),
        hash: [UInt8](repeating: UInt8(truncatingIfNeeded: state.head), count: 32), byteCount: 100)
    }
  }

  @Test func aContainerIsCondemnedRescuedAndSwept() {
    var journal = Journal()
    let (one, two) = (Self.id(1, 1), Self.id(2, 2))
    journal.add([.containers([Self.container(one), Self.container(two)])])
    journal.add([.condemned([one, two])])
    #expect(journal.state.containers.isEmpty)
    #expect(journal.state.upkeep.condemned[one]?.number == 2)
    journal.add([.rescued([one])])
    #expect(Array(journal.state.containers.keys) == [one])
    journal.add([.swept(containers: [two], segments: [])])
    #expect(journal.state.upkeep.condemned.isEmpty)
    // Sweeping fences whoever wrote it, and nobody else.
    #expect(journal.state.upkeep.isFenced(two))
    #expect(!journal.state.upkeep.isFenced(one))
    // What is swept is not rescued, and a new condemnation has a new number.
    journal.add([.rescued([two]), .condemned([one])])
    #expect(journal.state.containers.isEmpty)
    #expect(journal.state.upkeep.condemned[one]?.number == 5)
  }

  @Test func segmentsThatLeaveWaitToBeSwept() {
    var journal = Journal()
    let segment = SegmentRecord(
      id: Self.id(3, 1), byteCount: 70, entryCount: 1, containers: [])
    journal.add([.segments(added: [segment], removed: [])])
    journal.add([.segments(added: [], removed: [segment.id, Self.id(9, 9)])])
    #expect(journal.state.upkeep.retired.map(\.value.id) == [segment.id])
    #expect(journal.state.upkeep.retired[segment.id]?.number == 2)
    journal.add([.swept(containers: [], segments: [segment.id])])
    #expect(journal.state.upkeep.retired.isEmpty)
    #expect(journal.state.upkeep.isFenced(segment.id))
  }

  @Test func theMinimumAgeProtectsWhatWasForgotten() {
    var journal = Journal()
    let page = ChunkReference(
      identity: ChunkIdentity(
        fingerprint: Pair128(low: 1, high: 1), tag: Pair128(low: 1, high: 1)), length: 1,
      location: ChunkLocation(container: Self.id(1, 1), slot: 0))
    let snapshots = (0..<3).map { number in
      SnapshotRecord(
        id: Self.id(8, UInt64(number)), root: TreeRoot(level: 0, page: page),
        containers: ContainerSet(base: nil, added: [Self.id(1, 1)], removed: []))
    }
    journal.add(snapshots.map { .snapshot($0) })
    journal.add([.forgotten([snapshots[0].id])], at: 1_000_000_000)
    var settings = RepositorySettings()
    settings.minimumAge = 100
    journal.add([.settings(settings)])
    journal.add([.forgotten([snapshots[1].id])], at: 2_000_000_000)
    let upkeep = journal.state.upkeep
    #expect(upkeep.protectedSnapshots(at: 101_999_999_999) == [snapshots[1].id])
    #expect(upkeep.protectedSnapshots(at: 102_000_000_000).isEmpty)
    // A clock that went back protects; the set is there still.
    #expect(upkeep.protectedSnapshots(at: 0) == [snapshots[1].id])
    #expect(journal.state.containerSet(of: snapshots[1].id) == [Self.id(1, 1)])
  }
}
