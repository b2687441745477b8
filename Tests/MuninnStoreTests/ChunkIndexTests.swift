import MuninnDisk
import MuninnFormat
import MuninnTestSupport
import Testing

@testable import MuninnStore

/// What the index finds: this session's chunks, those of earlier ones, with their segments and
/// without.
@Suite struct ChunkIndexTests {
  private func chunks(_ generator: inout SeededGenerator, _ count: Int) -> [[UInt8]] {
    (0..<count).map { _ in generator.bytes(50 + Int(generator.next() % 3000)) }
  }

  /// A server opens repositories all day long.
  @Test func aStoreEndsWithTheIndexThatItKeeps() throws {
    let repository = try TestRepository()
    weak var store: Store?
    do {
      let opened = try repository.reopened()
      #expect(try opened.index() === opened.index())
      store = opened
      #expect(store != nil)
    }
    #expect(store == nil)
  }

  @Test func findsWhatIsThereAndClaimsTheRest() throws {
    var generator = SeededGenerator.printed()
    let repository = try TestRepository()
    var known: [[UInt8]] = []
    for _ in 0..<6 {
      // Some of this session's own twice, some of earlier ones, some new.
      let new = chunks(&generator, 40)
      let old =
        known.isEmpty
        ? []
        : (0..<20).map { _ in
          known[Int(generator.next() % UInt64(known.count))]
        }
      var all = new + old + new.prefix(10)
      all.shuffle(using: &generator)
      let committed = try repository.commit(all)
      #expect(committed.newCount == new.count)
      #expect(try repository.store.holds(all, at: committed.references))
      #expect(try repository.reopened().holds(all, at: committed.references))
      known += new
    }
  }

  @Test func aBatchIsResolvedAtOnce() throws {
    var generator = SeededGenerator.printed()
    let repository = try TestRepository()
    let session = try WriteSession(store: repository.store)
    defer { session.end() }
    let writer = session.makeContainerWriter(isManifest: false)
    let bytes = chunks(&generator, 5)
    let identities = bytes.map { chunk in
      chunk.withUnsafeBytes { repository.store.identifying.identity(of: $0) }
    }
    var claims = [0, 1, 0, 2, 1].map {
      ChunkClaim(identity: identities[$0], length: UInt32(bytes[$0].count))
    }
    let next = try writer.nextLocation()
    try session.index.resolve(&claims, next: next)
    #expect(claims.map(\.isNew) == [true, true, false, true, false])
    #expect(claims.map(\.location.slot) == [0, 1, 0, 2, 1])
    #expect(claims.allSatisfy { $0.location.container == next.container })
    #expect(try session.index.find(identities[3]) == nil)
    writer.discard()
  }

  /// Two sessions at a time find that no segment lists a container, and each lists it.
  @Test func whatTwoSegmentsListTheirMergeListsOnce() throws {
    var generator = SeededGenerator.printed()
    let repository = try TestRepository()
    try repository.commit(chunks(&generator, 30))
    for name in try repository.names(ObjectName.segmentPrefix) {
      try repository.storage.delete(name)
    }
    let sessions = try (0..<2).map { _ in try WriteSession(store: try repository.reopened()) }
    for session in sessions { _ = try session.commit(chunks(&generator, 3)) }
    sessions.forEach { $0.end() }
    for _ in 0..<4 { try repository.commit(chunks(&generator, 60)) }
    let store = try repository.reopened()
    let journal = try store.loadJournal()
    #expect(journal.segments.count < 3, "they were merged")
    var directories: [Identifier: EntrySum] = [:]
    for id in journal.containers.keys {
      directories[id] = EntrySum(try store.openContainer(id).directory)
    }
    #expect(store.segmentProblems(journal, directories: directories).isEmpty)
    #expect(store.uncoveredContainers(journal).isEmpty)
  }

  @Test func mergedSegmentsLoseNothing() throws {
    var generator = SeededGenerator.printed()
    let repository = try TestRepository()
    var all: [[UInt8]] = []
    var references: [ChunkReference] = []
    for round in 0..<24 {
      let new = chunks(&generator, 1 + Int(generator.next() % 60))
      references += try repository.commit(new).references
      all += new
      let journal = try repository.reopened().loadJournal()
      // Each live segment is more than twice the sum of all smaller ones, or nearly.
      #expect(journal.segments.count <= 8, "\(journal.segments.count) after \(round + 1) commits")
      let covered = Set(journal.segments.values.flatMap(\.containers))
      #expect(covered.isSuperset(of: journal.containers.keys))
    }
    let index = try repository.reopened().index()
    #expect(index.problems.isEmpty)
    #expect(index.damagedPages().isEmpty)
    for reference in references {
      #expect(try index.find(reference.identity) == reference.location)
    }
    #expect(try repository.commit(all).newCount == 0)
  }

  /// Thousands of chunks, so that a segment has many pages.
  @Test func manyPages() throws {
    var generator = SeededGenerator.printed()
    let repository = try TestRepository()
    let new = (0..<5000).map { _ in generator.bytes(16) }
    let references = try repository.commit(new).references
    let journal = try repository.store.loadJournal()
    var budget: UInt64 = 1 << 30
    let segment = try Segment(
      try #require(journal.segments.values.first), store: repository.store, filterBudget: &budget)
    #expect(segment.pageCount == 5)
    let index = try repository.reopened().index()
    for reference in references {
      #expect(try index.find(reference.identity) == reference.location)
    }
    for _ in 0..<2000 {
      let stranger = generator.bytes(16)
      let identity = stranger.withUnsafeBytes { repository.store.identifying.identity(of: $0) }
      #expect(try index.find(identity) == nil)
    }
  }

  private enum Damage: CaseIterable { case lost, cutShort, tables, footer, page, swapped }

  @Test(arguments: Damage.allCases)
  private func aSegmentThatIsLostLosesNothing(damage: Damage) throws {
    var generator = SeededGenerator.printed()
    let repository = try TestRepository()
    let first = chunks(&generator, 300)
    let second = chunks(&generator, 20)
    try repository.commit(first)
    try repository.commit(second)
    let names = try repository.names(ObjectName.segmentPrefix)
    #expect(names.count == 2)
    let largest = try #require(
      try repository.storage.list(ObjectName.segmentPrefix).max { $0.size < $1.size }?.name)
    var bytes = try #require(repository.storage.peek(largest))
    switch damage {
    case .lost: repository.storage.poke(largest, nil)
    case .cutShort: repository.storage.poke(largest, Array(bytes.dropLast(100)))
    case .tables, .footer, .page:
      let at = damage == .tables ? bytes.count - 50 : damage == .footer ? bytes.count - 4 : 200
      bytes[at] ^= 4
      repository.storage.poke(largest, bytes)
    case .swapped:
      let other = try #require(names.first { $0 != largest })
      repository.storage.poke(largest, repository.storage.peek(other))
    }
    let store = try repository.reopened()
    let index = try store.index()
    let problems = index.problems + index.damagedPages()
    #expect(!problems.isEmpty)
    #expect(problems.allSatisfy { $0.description.contains(largest) }, "\(problems)")
    let session = try WriteSession(store: store)
    defer { session.end() }
    let again = try session.commit(first + second)
    // A page alone costs its chunks a second copy at most; a whole segment is replaced by the
    // directories.
    if damage != .page { #expect(again.newCount == 0) }
    #expect(try repository.reopened().holds(first + second, at: again.references))
  }

  @Test func whatMovedIsFoundThroughTheIndex() throws {
    var generator = SeededGenerator.printed()
    let repository = try TestRepository()
    let new = chunks(&generator, 10)
    let references = try repository.commit(new).references
    let stale = references.map {
      ChunkReference(
        identity: $0.identity, length: $0.length,
        location: ChunkLocation(container: Identifier(high: 1, low: 2), slot: $0.location.slot))
    }
    #expect(try repository.reopened().holds(new, at: stale))
    let wrongSlot = references.map {
      ChunkReference(
        identity: $0.identity, length: $0.length,
        location: ChunkLocation(container: $0.location.container, slot: .max))
    }
    #expect(try repository.reopened().holds(new, at: wrongSlot))
  }
}
