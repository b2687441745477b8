import Glibc
import MuninnDisk
import MuninnFormat
import MuninnTestSupport
import Testing

@testable import MuninnStore

/// The index when it is larger than its memory: spills, merges in the background, filters that do
/// not fit, and segments that are lost or change under a reader.
@Suite struct IndexScaleTests {
  private func limits(own: Int, commit: UInt64 = 0, filters: UInt64 = 1 << 30) -> IndexLimits {
    var limits = IndexLimits()
    limits.ownChunks = own
    limits.commitEntries = commit
    limits.filterBytes = filters
    limits.loadedChunks = 4096
    return limits
  }

  private func chunks(_ generator: inout SeededGenerator, _ count: Int) -> [[UInt8]] {
    (0..<count).map { _ in generator.bytes(16) }
  }

  /// Stores chunks, a hundred a container.
  private func fill(
    _ chunks: [[UInt8]], in session: WriteSession
  ) throws -> (references: [ChunkReference], newCount: Int) {
    var references: [ChunkReference] = []
    var newCount = 0
    for start in stride(from: 0, to: chunks.count, by: 100) {
      let writer = session.makeContainerWriter(isManifest: false)
      for chunk in chunks[start..<min(start + 100, chunks.count)] {
        let (reference, isNew) = try session.put(chunk, into: writer)
        references.append(reference)
        if isNew { newCount += 1 }
      }
      try writer.finish()
    }
    return (references, newCount)
  }

  private func commit(_ session: WriteSession, _ references: [ChunkReference]) throws {
    _ = try session.commit(
      draft(root: references.first), needed: Set(references.map(\.location.container)))
  }

  private func isWhole(_ repository: TestRepository) throws -> Bool {
    let index = try repository.reopened().index()
    return index.problems.isEmpty && index.damagedPages().isEmpty
  }

  /// Nothing lies there but what the journal names.
  private func hasNoOtherSegments(_ repository: TestRepository) throws -> Bool {
    let live = try repository.reopened().loadJournal().segments.keys.map(ObjectName.segment)
    return Set(try repository.names(ObjectName.segmentPrefix)) == Set(live)
  }

  /// However many chunks a session stores, its tables hold a bounded number of them.
  @Test func aLongSessionTakesBoundedMemory() throws {
    var generator = SeededGenerator.printed()
    let repository = try TestRepository()
    let session = try WriteSession(store: repository.store, limits: limits(own: 400))
    var all: [[UInt8]] = []
    var references: [ChunkReference] = []
    var sizes: [Int] = []
    for round in 0..<12 {
      let new = chunks(&generator, 1000)
      let stored = try fill(new, in: session)
      #expect(stored.newCount == new.count)
      all += new
      references += stored.references
      // What was spilled long ago is still known, and so is what was not.
      let again = (0..<50).map { _ in Int(generator.next() % UInt64(all.count)) }
      for index in again {
        let writer = session.makeContainerWriter(isManifest: false)
        let (reference, isNew) = try session.put(all[index], into: writer)
        #expect(!isNew && reference.identity == references[index].identity)
        writer.discard()
      }
      if round >= 3 { sizes.append(session.index.residentByteCount.tables) }
    }
    let largest = try #require(sizes.max())
    #expect(largest <= 4 * (sizes.first ?? 0), "\(sizes)")
    #expect(largest < all.count * 60, "\(largest) bytes of tables")
    try commit(session, references)
    session.end()
    #expect(try isWhole(repository))
    #expect(try hasNoOtherSegments(repository))
    let reopened = try repository.reopened()
    for (chunk, reference) in zip(all, references) {
      let found = try #require(try reopened.index().find(reference.identity))
      #expect(try reopened.container(found.container).directory.chunkCount > Int(found.slot))
      _ = chunk
    }
    #expect(try repository.commit(Array(all.prefix(500))).newCount == 0)
  }

  /// Commits that merge nothing by themselves leave it to the thread behind them.
  @Test func mergesInTheBackgroundAreCommitted() throws {
    var generator = SeededGenerator.printed()
    let repository = try TestRepository()
    var all: [[UInt8]] = []
    var references: [ChunkReference] = []
    for round in 0..<20 {
      let session = try WriteSession(store: repository.store, limits: limits(own: 1 << 20))
      let new = chunks(&generator, 100 + Int(generator.next() % 400))
      let stored = try fill(new, in: session)
      try commit(session, stored.references)
      session.end()
      all += new
      references += stored.references
      let journal = try repository.reopened().loadJournal()
      #expect(journal.problems.isEmpty)
      #expect(journal.segments.count <= 8, "\(journal.segments.count) after \(round + 1) commits")
      #expect(try hasNoOtherSegments(repository))
      #expect(
        journal.segments.values.reduce(0) { $0 + $1.entryCount } == UInt64(all.count))
    }
    let index = try repository.reopened().index()
    for reference in references {
      #expect(try index.find(reference.identity) == reference.location)
    }
    for stranger in chunks(&generator, 2000) {
      let identity = stranger.withUnsafeBytes { repository.store.identifying.identity(of: $0) }
      #expect(try index.find(identity) == nil)
    }
  }

  /// An index that was opened on an older state of the journal than the segments' files are.
  @Test func aReaderOfAnOlderStateFollows() throws {
    var generator = SeededGenerator.printed()
    let repository = try TestRepository()
    let first = chunks(&generator, 300)
    let references = try repository.commit(first).references
    let old = try repository.store.loadJournal()
    let reader = try repository.reopened()
    let index = try reader.index()
    try repository.commit(chunks(&generator, 400))
    #expect(
      repository.storage.peek(ObjectName.segment(try #require(old.segments.keys.first))) == nil)
    let late = try ChunkIndex(store: try repository.reopened(), journal: old)
    #expect(late.problems.isEmpty)
    for reference in references {
      #expect(try late.find(reference.identity) == reference.location)
    }
    // One that was open before finds out, and is opened anew.
    _ = try index.find(references[0].identity)
    #expect(index.needsReopening)
    #expect(try reader.index().find(references[0].identity) == references[0].location)
  }

  /// Filters that may take no memory are read from disk, and tell the same.
  @Test(arguments: [0, 1500] as [UInt64]) func filtersBeyondTheirMemory(bytes: UInt64) throws {
    var generator = SeededGenerator.printed()
    let repository = try TestRepository()
    var all: [[UInt8]] = []
    var references: [ChunkReference] = []
    for _ in 0..<3 {
      let session = try WriteSession(
        store: repository.store, limits: limits(own: 500, filters: bytes))
      let new = chunks(&generator, 1700)
      let stored = try fill(new, in: session)
      #expect(try fill(Array(new.prefix(200)), in: session).newCount == 0)
      try commit(session, stored.references)
      session.end()
      all += new
      references += stored.references
    }
    let index = try ChunkIndex(
      store: try repository.reopened(), journal: try repository.store.loadJournal(),
      limits: limits(own: 1, filters: bytes))
    for reference in references {
      #expect(try index.find(reference.identity) == reference.location)
    }
    for stranger in chunks(&generator, 500) {
      let identity = stranger.withUnsafeBytes { repository.store.identifying.identity(of: $0) }
      #expect(try index.find(identity) == nil)
    }
  }

  @Test func filtersGetTheBitsThatFit() {
    var limits = IndexLimits()
    limits.filterBytes = 4 << 30
    #expect(limits.remainderBits(entries: 0) == 13)
    #expect(limits.remainderBits(entries: 2_000_000_000) == 13)
    #expect(limits.remainderBits(entries: 3_400_000_000) == 7)
    #expect(limits.remainderBits(entries: .max) == 6)
  }

  @Test(arguments: [false, true]) func segmentsAreRebuilt(isPage: Bool) throws {
    var generator = SeededGenerator.printed()
    let repository = try TestRepository()
    var all: [[UInt8]] = []
    for count in [900, 100, 10] {
      let new = chunks(&generator, count)
      try repository.commit(new)
      all += new
    }
    for name in try repository.names(ObjectName.segmentPrefix) {
      var bytes = try #require(repository.storage.peek(name))
      bytes[200] ^= 1
      repository.storage.poke(name, isPage ? bytes : nil)
    }
    let store = try repository.reopened()
    var journal = try store.loadJournal()
    let session = randomIdentifier()
    let change = try #require(
      try store.rebuildSegments(session: session, journal: journal, readsPages: isPage))
    #expect(change.removed.count == journal.segments.count)
    try store.storage.makeNamesDurable()
    try store.commit(session: session, state: &journal) { _ in
      [.segments(added: change.added, removed: change.removed)]
    }
    #expect(try isWhole(repository))
    #expect(
      try store.rebuildSegments(
        session: randomIdentifier(), journal: journal, readsPages: true) == nil)
    #expect(try repository.commit(all).newCount == 0)
  }

  /// A segment's file that is cut short while it is open: an error of that segment, never a signal.
  @Test func aFileThatIsCutShortUnderAReader() async {
    await #expect(processExitsWith: .success) {
      let directory = try TemporaryDirectory()
      let store = try Store.create(
        in: try LocalStorage(path: directory.file("r"), create: true), averageChunkSize: nil,
        isShared: false)
      let session = try WriteSession(store: store)
      let chunks = (0..<9000).map { number in
        (0..<16).map { UInt8(truncatingIfNeeded: number >> ($0 % 3 * 5) &+ $0) }
      }
      let references = try session.commit(chunks).references
      session.end()
      var limits = IndexLimits()
      limits.filterBytes = 0
      let opened = try Store.open(in: store.storage)
      let index = try ChunkIndex(
        store: opened, journal: try opened.loadJournal(), limits: limits)
      for segment in try opened.loadJournal().segments.keys {
        let path = directory.file("r/" + ObjectName.segment(segment))
        precondition(truncate(path, 5000) == 0)
      }
      for reference in references { _ = try index.find(reference.identity) }
      precondition(!index.damagedPages().isEmpty)
    }
  }

  /// Several writers claim the same chunks at the same time, while the tables spill and merge: each
  /// chunk has one place.
  @Test func severalThreadsClaim() throws {
    var generator = SeededGenerator.printed()
    let repository = try TestRepository()
    let session = try WriteSession(store: repository.store, limits: limits(own: 300))
    let all = chunks(&generator, 4000)
    let newCount = Monitor(0)
    let found = Monitor<[ChunkReference]>([])
    WorkerThreads.run(count: 4, name: "claims") { number in
      do {
        var order = SeededGenerator(seed: UInt64(number))
        let (references, new) = try fill(all.shuffled(using: &order), in: session)
        newCount.withLock { $0 += new }
        found.withLock { $0 += references }
      } catch {
        Issue.record("\(error)")
      }
    }
    let references = found.withLock { $0 }
    // A chunk may be stored twice where it was claimed as it moved to a segment, never less.
    let places = Set(references.map(\.location)).count
    #expect(newCount.withLock { $0 } == places)
    #expect((all.count...(all.count + 40)).contains(places), "\(places) places")
    try commit(session, references)
    session.end()
    let store = try repository.reopened()
    for reference in references {
      let container = try store.container(reference.location.container)
      #expect(
        container.directory.identities[Int(reference.location.slot)] == reference.identity)
    }
  }

  @Test func mergingIsDueByTiers() {
    #expect(MergePolicy.choose([]) == nil)
    #expect(MergePolicy.choose([5]) == nil)
    #expect(MergePolicy.choose([1, 3, 10, 100]) == nil)
    #expect(MergePolicy.choose([1, 2]) == [0, 1])
    #expect(MergePolicy.choose([100, 4, 2]) == [2, 1])
    #expect(MergePolicy.choose([100, 40, 2, 10, 60])?.count == 5)
  }
}
