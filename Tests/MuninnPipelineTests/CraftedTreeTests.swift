import MuninnFormat
import MuninnPipeline
import MuninnStore
import MuninnTestSupport
import Testing

/// Trees full of files whose content was made to have the same fingerprint, from end to end.
@Suite struct CraftedTreeTests {
  private func family(_ scene: BackupScene, _ byteCount: Int) throws -> CollisionFamily {
    CollisionFamily(
      secret: try scene.store().header.fingerprintSecret, byteCount: byteCount, seed: 7)
  }

  @Test(arguments: [1, 4]) func everyFileRestoresAsItWas(threads: Int) throws {
    let scene = try BackupScene()
    for name in ["a", "b"] { try scene.makeDirectory(name) }
    for (place, byteCount) in [1088, 8000, 30_000].enumerated() {
      let family = try family(scene, byteCount)
      for number in 0..<20 as Range<UInt32> {
        try scene.write("a/\(place)-\(number)", family.member(number))
        // The same again: these are duplicates.
        try scene.write("b/\(place)-\(number)", family.member(number))
      }
    }
    let first = try scene.backUp(threads: threads).snapshot
    #expect(first.counts.errors == 0)
    #expect(first.counts.chunksNew >= 60)
    try scene.expectRestored(first)
    let again = try scene.backUp(parent: first, threads: threads) { $0.isFull = true }.snapshot
    #expect(again.counts.bytesNew == 0)
    #expect(again.root == first.root)
    let problems = try scene.check().problems
    #expect(problems.isEmpty, "\(problems)")
  }

  /// A file's content is exchanged for one that collides with it; the older snapshot keeps its own.
  @Test(arguments: [false, true]) func anExchangedFileIsStoredAnew(isFull: Bool) throws {
    let scene = try BackupScene()
    let family = try family(scene, 1088)
    try scene.write("file", family.member(1))
    let first = try scene.backUp().snapshot
    try scene.write("file", family.member(2))
    let second = try scene.backUp(parent: first) { $0.isFull = isFull }.snapshot
    #expect(second.counts.bytesNew == 1088)
    for (snapshot, member) in [(first, family.member(1)), (second, family.member(2))] {
      let name = "target-\(snapshot.id)"
      try scene.restore(snapshot, to: name)
      #expect(try readFile(scene.directory.file(name) + "/file") == member)
    }
  }

  /// More chunks than an entry holds, in a file that is read at once.
  @Test func aShortFileOfManyChunks() throws {
    let storage = MemoryStorage()
    _ = try Store.create(in: storage, averageChunkSize: 4096, isShared: false)
    let scene = try BackupScene(storage: storage)
    var generator = SeededGenerator.printed()
    for name in ["before", "many", "more", "small"] {
      try scene.write(name, generator.manyBytes(name == "small" ? 9000 : 900_000))
    }
    let snapshot = try scene.backUp(threads: 1).snapshot
    #expect(snapshot.counts.chunksNew > 300)
    try scene.expectRestored(snapshot)
    let problems = try scene.check().problems
    #expect(problems.isEmpty, "\(problems)")
  }
}
