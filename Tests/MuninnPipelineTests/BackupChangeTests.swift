import Glibc
import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnStore
import MuninnTestSupport
import Synchronization
import Testing

/// Files with several names, and files that do not hold still.
@Suite struct BackupChangeTests {
  /// Runs `change` once the backup has begun to read, while a large file keeps it busy.
  private func backUp(
    _ scene: BackupScene, after byteCount: UInt64, _ change: @escaping @Sendable () -> Void
  ) throws -> BackupOutcome {
    let progress = ProgressCounters()
    let isOver = Monitor(false)
    let watcher = WorkerThread.start(name: "change") {
      while progress.bytes.load(ordering: .relaxed) < byteCount, !isOver.withLock({ $0 }) {
        usleep(100)
      }
      change()
    }
    defer { watcher.join() }
    let outcome = try scene.backUp(threads: 1, progress: progress)
    isOver.withLock { $0 = true }
    return outcome
  }

  private func link(_ scene: BackupScene, _ from: String, _ to: String) throws {
    try FileCalls.makeHardLink(
      fromDirectory: AT_FDCWD, scene.source + "/" + from, toDirectory: AT_FDCWD,
      scene.source + "/" + to, path: to)
  }

  @Test(arguments: [1, 3]) func aFileOfManyNamesIsReadOnce(threads: Int) throws {
    var generator = SeededGenerator.printed()
    let scene = try BackupScene()
    try scene.makeDirectory("a")
    try scene.makeDirectory("z")
    var byteCount = 0
    // Inline, of one chunk, of several, and large; the last names come in another batch.
    for (number, size) in [0, 50, 5000, 400_000, 3 << 20].enumerated() {
      try scene.write("a/first-\(number)", generator.manyBytes(size))
      try link(scene, "a/first-\(number)", "a/near-\(number)")
      try link(scene, "a/first-\(number)", "z/far-\(number)")
      byteCount += size
    }
    for number in 0..<300 { try scene.write("m-\(number)", [UInt8(number % 250)]) }
    let first = try scene.backUp(threads: threads).snapshot
    #expect(first.counts.bytesRead == UInt64(byteCount + 300))
    #expect(first.counts.bytes == UInt64(3 * byteCount + 300))
    let entries = try scene.entries(of: first)
    for number in 0..<5 {
      let head = try #require(entries["a/first-\(number)"])
      #expect(head.hardLink == .first)
      for name in ["a/near-\(number)", "z/far-\(number)"] {
        let entry = try #require(entries[name])
        #expect(entry.hardLink == .later(head.path))
        #expect(entry.content == head.content && entry.size == head.size)
      }
    }
    try scene.expectRestored(first)
    let second = try scene.backUp(parent: first, threads: threads).snapshot
    #expect(second.counts.bytesRead == 0)
    #expect(second.root == first.root)
    // One name more: the inode's time of change says so, and it is read once again.
    try link(scene, "z/far-3", "b")
    let third = try scene.backUp(parent: second, threads: threads).snapshot
    #expect(third.counts.bytesRead == 400_000)
    #expect(third.counts.bytesNew == 0)
    try scene.expectRestored(third)
  }

  @Test func aLaterNameStandsInForAFirstThatWentAway() throws {
    var generator = SeededGenerator.printed()
    let scene = try BackupScene()
    try scene.write("a", generator.manyBytes(24 << 20))
    let small = generator.bytes(20_000)
    let large = generator.manyBytes(5 << 20)
    for (name, bytes) in [("small", small), ("large", large)] {
      try scene.write("b-\(name)", bytes)
      try link(scene, "b-\(name)", "c-\(name)")
      try link(scene, "b-\(name)", "d-\(name)")
    }
    let source = scene.source
    let outcome = try backUp(scene, after: 1) {
      for name in ["/b-small", "/b-large"] {
        try? FileCalls.unlink(at: AT_FDCWD, source + name, path: name)
      }
    }
    let entries = try scene.entries(of: outcome.snapshot)
    let missing = ["b-small", "b-large"].filter { entries[$0] == nil }
    #expect(outcome.failures.map { displayPath($0.path) } == missing.sorted())
    #expect(outcome.failures.allSatisfy { $0.message.contains("disappeared") })
    try scene.restore(outcome.snapshot, to: "target")
    for (name, bytes) in [("small", small), ("large", large)] {
      for place in ["c-", "d-"] {
        #expect(try readFile(scene.directory.file("target/\(place)\(name)")) == bytes)
      }
      let inodes = try ["c-", "d-"].map { place in
        let path = scene.directory.file("target/\(place)\(name)")
        return try FileCalls.status(at: AT_FDCWD, path, path: path).inode
      }
      #expect(inodes[0] == inodes[1], "they are still one file")
    }
    #expect(try scene.check().problems.isEmpty)
  }

  @Test func aLargeFileThatChangesOnceIsReadAgain() throws {
    let scene = try BackupScene()
    let size = 24 << 20
    let before = [UInt8](repeating: 5, count: size)
    try scene.write("large", before)
    var after = before
    after[0] = 6
    after[size - 1] = 7
    let path = scene.source + "/large"
    let outcome = try backUp(scene, after: 9 << 20) {
      guard let file = try? FileCalls.open(at: AT_FDCWD, path, flags: O_WRONLY, path: path) else {
        return
      }
      try? writeBytes(file.descriptor, at: UInt64(size - 1), [7], path: path)
      try? writeBytes(file.descriptor, at: 0, [6], path: path)
    }
    let entry = try #require(try scene.entries(of: outcome.snapshot)["large"])
    try scene.restore(outcome.snapshot, to: "target")
    let kept = try readFile(scene.directory.file("target/large"))
    #expect(!entry.isUnstable && outcome.failures.isEmpty)
    #expect(kept == before || kept == after, "content of one moment, not of two")
    #expect(outcome.snapshot.counts.bytes == UInt64(size))
  }

  @Test func whatTookAFilesPlaceIsNoNameOfIt() throws {
    var generator = SeededGenerator.printed()
    let scene = try BackupScene()
    try scene.write("a", generator.manyBytes(24 << 20))
    let linked = generator.bytes(30_000)
    let other = generator.bytes(30_000)
    try scene.write("b", linked)
    try link(scene, "b", "c")
    let source = scene.source
    let outcome = try backUp(scene, after: 1) {
      try? writeFile(source + "/new", other)
      try? FileCalls.rename(
        fromDirectory: AT_FDCWD, source + "/new", toDirectory: AT_FDCWD, source + "/b", path: "b")
    }
    #expect(outcome.failures.isEmpty)
    try scene.restore(outcome.snapshot, to: "target")
    #expect(try readFile(scene.directory.file("target/c")) == linked)
    let taken = try readFile(scene.directory.file("target/b"))
    #expect(taken == linked || taken == other)
  }
}
