import MuninnDisk
import MuninnFormat
import MuninnStore
import MuninnTestSupport
import Testing

@testable import MuninnPipeline

/// Defragmentation of a repository with a history.
@Suite struct DefragmentTests {
  private let scene: CollectScene

  init() throws {
    scene = try CollectScene()
    var generator = SeededGenerator(seed: 31)
    for turn in 0..<8 {
      for number in 0..<16 where turn == 0 || generator.oneIn(3) {
        let size = 20_000 + Int(generator.next() % 60_000)
        try scene.backups.write("file-\(number)", generator.manyBytes(size))
      }
      try scene.commit()
    }
  }

  private func defragment(
    on store: Store? = nil, cancellation: Cancellation = Cancellation(),
    _ adjust: (inout CollectOptions) -> Void = { _ in }
  ) throws -> DefragmentOutcome {
    var options = CollectOptions(threads: 1)
    adjust(&options)
    return try DefragmentPipeline(
      store: try store ?? scene.backups.store(), options: options, progress: ProgressCounters(),
      cancellation: cancellation
    ).run()
  }

  /// Where the content of the newest snapshot lies, in path order.
  private func newestPlaces() throws -> [ChunkLocation] {
    let store = try scene.backups.store()
    let journal = try store.loadJournal()
    store.follow(journal)
    let newest = try #require(journal.snapshots.last)
    var places: [ChunkLocation] = []
    var seen: Set<ChunkIdentity> = []
    let listing = SnapshotListing(
      store: store, root: newest.root, path: [], isRecursive: true)
    var failure: StoreError?
    _ = try listing.run { entry in
      guard case .extents(let extents) = entry.content else { return true }
      for case .chunk(let chunk) in extents where seen.insert(chunk.identity).inserted {
        do throws(StoreError) {
          let (container, slot) = try store.locate(chunk)
          places.append(ChunkLocation(container: container.id, slot: slot))
        } catch {
          failure = error
        }
      }
      return true
    }
    if let failure { throw failure }
    return places
  }

  private func runCount(_ places: [ChunkLocation]) -> Int {
    var runs = 0
    for (number, place) in places.enumerated() {
      let before = number > 0 ? places[number - 1] : nil
      if before?.container != place.container || (before?.slot ?? 0) + 1 != place.slot { runs += 1 }
    }
    return runs
  }

  @Test func theNewestSnapshotLiesInPathOrder() throws {
    let foreseen = try defragment { $0.isDryRun = true }
    #expect(runCount(try newestPlaces()) > 8)
    let sizes = try scene.storage.list(ObjectName.containerPrefix).reduce(0) { $0 + $1.size }
    let outcome = try defragment()
    #expect(foreseen.before == outcome.before)
    #expect(outcome.work.rewrittenContainers > 0)
    #expect(outcome.after.containers < outcome.before.containers)
    #expect(outcome.after.usedByteCount == outcome.before.usedByteCount)
    let places = try newestPlaces()
    #expect(runCount(places) == 1)
    #expect(Set(places.map(\.container)).count == 1)
    try scene.expectWhole()
    try scene.expectNoGarbage()
    let after = try scene.storage.list(ObjectName.containerPrefix).reduce(0) { $0 + $1.size }
    #expect(after <= sizes + sizes / 50)
    // There is nothing left to be done.
    #expect(try defragment().work.rewrittenContainers == 0)
    // Older snapshots go, the newest stays, and the next backup finds everything.
    let last = try scene.commit()
    #expect(last.counts.bytesNew == 0 && last.counts.bytesRead == 0)
    for id in scene.contents.keys where id != last.id { try scene.forget(id) }
    try scene.prune()
    try scene.expectWhole()
    #expect(try scene.unused() == 0)
  }

  /// With small windows everything is committed piece by piece.
  @Test func windowsComeToTheSameEnd() throws {
    let outcome = try defragment { $0.windowByteCount = 300_000 }
    #expect(outcome.work.rewrittenContainers > 0)
    try scene.expectWhole()
    try scene.expectNoGarbage()
  }

  @Test func aCancelledOneKeepsWhatItCommitted() throws {
    let store = try scene.backups.store()
    let cancellation = Cancellation()
    store.syncPoints.once(at: .commitPrepared) { cancellation.cancel() }
    let error = #expect(throws: PipelineError.self) {
      _ = try defragment(on: store, cancellation: cancellation) { $0.windowByteCount = 300_000 }
    }
    #expect(error?.code == .cancelled)
    try scene.expectWhole()
    _ = try defragment()
    #expect(runCount(try newestPlaces()) == 1)
    try scene.expectWhole()
    try scene.expectNoGarbage()
  }

  @Test func recompressingChangesNoContent() throws {
    _ = try defragment { $0.level = 9 }
    try scene.expectWhole()
    try scene.expectNoGarbage()
  }
}
