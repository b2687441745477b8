import Glibc
import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnStore
import MuninnTestSupport
import Testing

/// The power fails at every call that the engine makes of its storage: each paragraph of the commit
/// protocol, tried.
@Suite struct BackupCrashTests {
  /// A storage with the same objects.
  private func copy(_ storage: MemoryStorage) throws -> MemoryStorage {
    let copy = MemoryStorage()
    for object in try storage.list("") { copy.poke(object.name, storage.peek(object.name)) }
    return copy
  }

  /// Runs `body` on copies of a storage, with the power failing at its first call, its second and
  /// so on, until it gets through; `inspect` sees what is left each time, with what `body`
  /// returned.
  private func sweep<R>(
    from base: MemoryStorage, tearing: Bool, _ body: (MemoryStorage) throws -> R,
    inspect: (_ call: Int, MemoryStorage, R?) throws -> Void
  ) throws {
    var generator = SeededGenerator.printed()
    let limit = 1000
    for call in 0..<limit {
      let storage = try copy(base)
      let first = storage.callCount
      storage.failCalls(from: first + call)
      let result = try? body(storage)
      let isThrough = storage.callCount <= first + call
      storage.crash(seed: generator.next(), tearing: tearing)
      try inspect(call, storage, result)
      if isThrough {
        #expect(result != nil && call > 5, "it got through")
        return
      }
    }
    Issue.record("still calling after \(limit) calls")
  }

  private func backUp(
    _ scene: BackupScene, _ storage: MemoryStorage, parent: SnapshotRecord? = nil
  ) throws -> SnapshotRecord {
    var options = BackupOptions(sources: [Array(scene.source.utf8)], threads: 1)
    options.parent = parent
    return try BackupPipeline(
      store: try Store.open(in: storage), options: options, progress: ProgressCounters(),
      cancellation: Cancellation()
    ).run { _ in }.snapshot
  }

  /// The repository is sound: its journal is whole and every chunk of every snapshot is there.
  private func expectSound(
    _ storage: MemoryStorage, snapshots: [Identifier], _ call: Int
  ) throws {
    let store = try Store.open(in: storage)
    let journal = try store.loadJournal()
    #expect(journal.problems.isEmpty, "call \(call)")
    #expect(journal.snapshots.map(\.id) == snapshots, "call \(call)")
    let outcome = try CheckPipeline(
      store: store, readData: true, threads: 1, progress: ProgressCounters(),
      cancellation: Cancellation()
    ).run()
    #expect(outcome.problems.isEmpty, "call \(call): \(outcome.problems)")
  }

  @Test func makingARepository() throws {
    for tearing in [false, true] {
      for (errno, takesEffect) in [(EIO, false), (EIO, true), (ENOSPC, false)] {
        let storage = MemoryStorage()
        storage.failCall(0, errno: errno, takesEffect: takesEffect)
        #expect(throws: StoreError.self) {
          try Store.create(in: storage, averageChunkSize: nil, isShared: false)
        }
        storage.crash(seed: 1, tearing: tearing)
        // There is a repository or there is none; where there is none one can be made.
        if takesEffect {
          #expect(try Store.open(in: storage).loadJournal().head == 0)
        } else {
          _ = try Store.create(in: storage, averageChunkSize: nil, isShared: false)
        }
      }
    }
  }

  @Test(arguments: [false, true]) func theFirstBackup(tearing: Bool) throws {
    let scene = try BackupScene()
    try scene.makeSmallTree(seed: 11)
    try sweep(from: scene.storage, tearing: tearing) { storage in
      try backUp(scene, storage)
    } inspect: { call, storage, snapshot in
      try expectSound(storage, snapshots: snapshot.map { [$0.id] } ?? [], call)
      // What was left behind is in nobody's way.
      let next = try backUp(scene, storage)
      try expectSound(storage, snapshots: (snapshot.map { [$0.id] } ?? []) + [next.id], call)
    }
  }

  @Test(arguments: [false, true]) func anIncrementalBackup(tearing: Bool) throws {
    var generator = SeededGenerator.printed()
    let scene = try BackupScene()
    try scene.makeSmallTree(seed: 12)
    let first = try backUp(scene, scene.storage)
    let old = try scene.files(below: scene.source)
    try scene.write("a/file-7", generator.bytes(290_000))
    try scene.write("b/new", generator.bytes(100_000))
    try removeTree(scene.source + "/b/c/file-6")
    let new = try scene.files(below: scene.source)
    try sweep(from: scene.storage, tearing: tearing) { storage in
      try backUp(scene, storage, parent: first)
    } inspect: { call, storage, snapshot in
      try expectSound(storage, snapshots: [first.id] + (snapshot.map { [$0.id] } ?? []), call)
      // Both restore; a few moments are enough for this slower look.
      guard call % 7 == 0 || snapshot != nil else { return }
      let left = try BackupScene(storage: storage)
      try left.restore(first, to: "old")
      #expect(try left.files(below: left.directory.file("old")) == old)
      let next = try backUp(scene, storage, parent: snapshot ?? first)
      try left.restore(next, to: "new")
      #expect(try left.files(below: left.directory.file("new")) == new)
    }
  }

  /// One call fails, and the others do not: the backup ends with an error, or nothing is missing
  /// from it.
  @Test(arguments: [EIO, ENOSPC]) func oneFailure(errno: CInt) throws {
    let scene = try BackupScene()
    try scene.makeSmallTree(seed: 13)
    let first = try backUp(scene, scene.storage)
    try scene.write("more", SeededGenerator(seed: 14).bytesOnce(200_000))
    let counted = try copy(scene.storage)
    let start = counted.callCount
    _ = try backUp(scene, counted, parent: first)
    for call in 0..<(counted.callCount - start) {
      let storage = try copy(scene.storage)
      storage.failCall(storage.callCount + call, errno: errno)
      let snapshot = try? backUp(scene, storage, parent: first)
      storage.clearFaults()
      try expectSound(storage, snapshots: [first.id] + (snapshot.map { [$0.id] } ?? []), call)
      if let snapshot {
        #expect(snapshot.counts.errors == 0)
        let left = try BackupScene(storage: storage)
        try left.restore(snapshot, to: "target")
        #expect(
          try left.files(below: left.directory.file("target"))
            == scene.files(below: scene.source), "call \(call)")
      }
    }
  }
}

extension SeededGenerator {
  fileprivate func bytesOnce(_ count: Int) -> [UInt8] {
    var copy = self
    return copy.bytes(count)
  }
}
