import Glibc
import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnStore
import MuninnTestSupport
import Testing

/// Backups of whole trees: everything comes back, and what did not change is not read again.
@Suite struct BackupTests {
  @Test(arguments: [1, 3]) func aHostileTreeComesBack(threads: Int) throws {
    var generator = SeededGenerator.printed()
    let scene = try BackupScene()
    let tree = try HostileTree.make(at: scene.source, seed: generator.next())
    // A checksum over 2^40 zeros would take hours: its like is tested where extents are compared.
    try removeTree(scene.source + "/sparse/far")
    let first = try scene.backUp(threads: threads)
    #expect(first.failures.isEmpty)
    #expect(first.snapshot.counts.entries == UInt64(tree.entryCount))
    #expect(first.snapshot.counts.errors == 0)
    try scene.expectRestored(first.snapshot)
    let second = try scene.backUp(parent: first.snapshot, threads: threads)
    let counts = second.snapshot.counts
    #expect(counts.bytesRead == 0)
    #expect(counts.bytesNew == 0)
    #expect(counts.filesUnchanged == counts.files)
    #expect(counts.files == first.snapshot.counts.files)
    #expect(counts.bytes == first.snapshot.counts.bytes)
    #expect(!second.snapshot.isFull)
    try scene.expectRestored(second.snapshot)
    let third = try scene.backUp(parent: second.snapshot, threads: threads) { $0.isFull = true }
    #expect(third.snapshot.counts.bytesRead > 0)
    #expect(third.snapshot.counts.bytesNew == 0, "everything is known")
    #expect(third.snapshot.isFull)
    let problems = try scene.check().problems
    #expect(problems.isEmpty, "\(problems)")
  }

  @Test func anUnchangedTreeTakesItsPagesOver() throws {
    let scene = try BackupScene()
    try scene.makeSmallTree(seed: 1)
    let first = try scene.backUp().snapshot
    let second = try scene.backUp(parent: first).snapshot
    #expect(second.root == first.root)
    #expect(second.parent == first.id)
    #expect(second.counts.bytesStored == 0)
    #expect(second.containers.added.isEmpty && second.containers.removed.isEmpty)
  }

  /// Pages that are taken over as they are make the same manifest as pages that are made of every
  /// entry anew, whatever changed between them.
  @Test func pagesTakenOverAreWhatTheyWouldBe() throws {
    var generator = SeededGenerator.printed()
    let scene = try BackupScene()
    for number in 0..<24 { try scene.makeDirectory("d\(number)") }
    try scene.makeDirectory("d7/gone")
    for number in 0..<60 { try scene.write("d7/gone/\(number)", generator.bytes(50)) }
    func name() -> String { "d\(generator.next() % 24)/file-\(generator.next() % 60)" }
    for _ in 0..<900 { try scene.write(name(), generator.bytes(Int(generator.next() % 300))) }
    var parent = try scene.backUp().snapshot
    let pageCount = try scene.leafCount(of: parent)
    #expect(pageCount > 4, "several pages")
    for turn in 0..<8 {
      for _ in 0..<(turn % 4) { try scene.write(name(), generator.bytes(200)) }
      if turn == 2 { try removeTree(scene.source + "/d7/gone") }
      if turn == 3 { try scene.write("a", [1]) }
      if turn == 5 { try scene.write("z", [1]) }
      if turn == 6 { try removeTree(scene.source + "/a") }
      let next = try scene.backUp(parent: parent).snapshot
      let full = try scene.backUp(parent: next) { $0.isFull = true }.snapshot
      #expect(next.root == full.root, "turn \(turn)")
      #expect(next.counts.entries == full.counts.entries)
      #expect(next.counts.bytes == full.counts.bytes)
      #expect(next.counts.filesUnchanged > 0)
      let isSame = next.root == parent.root
      #expect(isSame == (turn % 4 == 0), "turn \(turn)")
      try scene.expectRestored(next)
      parent = next
    }
    let problems = try scene.check().problems
    #expect(problems.isEmpty, "\(problems)")
  }

  @Test func onlyWhatChangedIsRead() throws {
    let scene = try BackupScene()
    try scene.makeSmallTree(seed: 2)
    let first = try scene.backUp().snapshot
    let source = scene.source
    // Changed in place, with its old time and size; renamed; deleted; added; and metadata alone.
    let changed = try FileCalls.status(at: AT_FDCWD, source + "/a/file-4", path: source)
    try scene.write("a/file-4", [UInt8](repeating: 1, count: 5000))
    try FileCalls.setTimes(
      at: AT_FDCWD, source + "/a/file-4", accessed: 0, modified: changed.modifiedNanoseconds,
      path: source)
    try FileCalls.rename(
      fromDirectory: AT_FDCWD, source + "/b/c/file-7", toDirectory: AT_FDCWD,
      source + "/b/renamed", path: source)
    try removeTree(source + "/a/file-6")
    try scene.write("new", [1, 2, 3])
    try FileCalls.setMode(at: AT_FDCWD, source + "/a/file-5", mode: 0o600, path: source)
    let second = try scene.backUp(parent: first).snapshot
    #expect(second.counts.filesNew == 2)
    #expect(second.counts.filesChanged == 2)
    #expect(second.counts.filesUnchanged == 12)
    #expect(second.counts.bytesRead == 5000 + 100_000 + 3 + 20_000)
    #expect(second.counts.bytesNew == 5000, "a renamed file's chunks are known")
    try scene.expectRestored(second)
    // The first one is as it was, without the second.
    #expect(try scene.entries(of: first)["a/file-6"]?.size == 70_000)
    #expect(try scene.entries(of: second)["a/file-6"] == nil)
    // A tree from which a whole directory went, and one that became a file.
    try removeTree(source + "/b")
    try scene.write("b", [9])
    let third = try scene.backUp(parent: second).snapshot
    #expect(third.counts.filesNew + third.counts.filesChanged == 1)
    try scene.expectRestored(third)
  }

  /// A file that may have changed within the clock's grain after it was read is read again.
  @Test func theClocksGrainIsNotTrusted() throws {
    let scene = try BackupScene()
    try scene.write("file", [UInt8](repeating: 1, count: 3000))
    let first = try scene.backUp().snapshot
    let changed = try FileCalls.status(at: AT_FDCWD, scene.source + "/file", path: "file")
    for (start, isRead) in [(0, true), (9_000_000, true), (20_000_000, false)] as [(Int64, Bool)] {
      let next = try scene.backUp(parent: first) {
        $0.parent?.startedNanoseconds = changed.changedNanoseconds + start
      }
      #expect((next.snapshot.counts.bytesRead > 0) == isRead, "\(start) ns")
    }
  }

  @Test func aFileThatWasChangingIsReadAgain() throws {
    let scene = try BackupScene()
    // Grows as fast as it can while it is read, one small file and one large.
    let growing = Monitor(true)
    let paths = [(scene.source + "/small", 500_000), (scene.source + "/large", 3_000_000)]
    for (path, size) in paths { try writeFile(path, [UInt8](repeating: 5, count: size)) }
    let writer = WorkerThread.start(name: "grow") {
      let bytes = [UInt8](repeating: 6, count: 1)
      for round in 0..<200_000 where growing.withLock({ $0 }) {
        for (path, size) in paths {
          guard
            let file = try? FileCalls.open(at: AT_FDCWD, path, flags: O_WRONLY, path: path)
          else { return }
          try? writeBytes(file.descriptor, at: UInt64(size + round), bytes, path: path)
        }
      }
    }
    let first = try scene.backUp().snapshot
    growing.withLock { $0 = false }
    writer.join()
    let entries = try scene.entries(of: first)
    try scene.restore(first, to: "target")
    for (name, size) in [("small", 500_000), ("large", 3_000_000)] {
      // What was kept is a beginning of what is there now: no torn or invented bytes.
      let kept = try readFile(scene.directory.file("target/" + name))
      let now = try readFile(scene.source + "/" + name)
      #expect(kept.count >= size)
      #expect(now.starts(with: kept))
      #expect(entries[name]?.size == UInt64(kept.count))
    }
    let unstable = entries.values.count { $0.isUnstable }
    let second = try scene.backUp(parent: first).snapshot
    #expect(second.counts.filesUnchanged <= 2 - UInt64(unstable), "an unstable file is read again")
    try scene.expectRestored(second)
  }

  // MARK: Large and sparse files

  @Test func aLargeFileKeepsItsExtentsInATree() throws {
    var generator = SeededGenerator.printed()
    let scene = try BackupScene()
    var bytes = generator.manyBytes(24 << 20)
    try scene.write("large", bytes)
    try scene.write("small", [1])
    let first = try scene.backUp().snapshot
    guard case .tree(let root, let lists)? = try scene.entries(of: first)["large"]?.content else {
      Issue.record("no tree of extents")
      return
    }
    #expect(root.level >= 1 && lists.count == 1)
    #expect(first.counts.bytesNew >= 24 << 20)
    try scene.expectRestored(first)
    let before = try scene.storage.list("").reduce(0) { $0 + $1.size }
    let at = Int(generator.next() % UInt64(bytes.count - 10))
    for offset in 0..<10 { bytes[at + offset] ^= 0xFF }
    bytes.insert(contentsOf: generator.bytes(5), at: bytes.count / 2)
    try scene.write("large", bytes)
    let second = try scene.backUp(parent: first).snapshot
    #expect(second.counts.bytesRead == UInt64(bytes.count))
    // Two places changed: a chunk or three at each, of 256 KiB at most.
    #expect(second.counts.bytesNew <= 6 * (256 << 10))
    let after = try scene.storage.list("").reduce(0) { $0 + $1.size }
    #expect(after - before <= 2 << 20, "\(after - before) bytes more")
    try scene.expectRestored(second)
    let third = try scene.backUp(parent: second).snapshot
    #expect(third.counts.bytesRead == 0)
    #expect(try scene.check().problems.isEmpty)
  }

  @Test func holesAreKept() throws {
    var generator = SeededGenerator.printed()
    let scene = try BackupScene()
    let path = scene.source + "/sparse"
    try writeFile(path, [])
    let size: UInt64 = 300 << 20
    let places: [UInt64] = [0, 64 << 20, (64 << 20) + 40_000, size - 5000]
    do {
      let file = try FileCalls.open(at: AT_FDCWD, path, flags: O_RDWR, path: path)
      try FileCalls.truncate(file.descriptor, size, path: path)
      for place in places {
        try writeBytes(file.descriptor, at: place, generator.bytes(5000), path: path)
      }
    }
    let first = try scene.backUp().snapshot
    #expect(first.counts.bytesRead < 1 << 20, "\(first.counts.bytesRead) bytes of holes were read")
    let entry = try #require(try scene.entries(of: first)["sparse"])
    #expect(entry.size == size)
    guard case .extents(let extents) = entry.content else {
      Issue.record("\(entry.content)")
      return
    }
    let holes = extents.count { if case .hole = $0 { true } else { false } }
    #expect(holes >= 2 && holes <= places.count)
    try scene.expectRestored(first)
    try scene.restore(first, to: "target")
    let status = try FileCalls.status(
      at: AT_FDCWD, scene.directory.file("target/sparse"), path: "sparse")
    #expect(status.size == size)
    #expect(status.blocks512 * 512 < 2 << 20, "the holes are holes again")
  }

  /// Many holes: more extents than an entry has room for.
  @Test func aCombOfHolesComesBack() throws {
    let scene = try BackupScene()
    let path = scene.source + "/comb"
    try writeFile(path, [])
    do {
      let file = try FileCalls.open(at: AT_FDCWD, path, flags: O_RDWR, path: path)
      for tooth in 0..<300 {
        try writeBytes(
          file.descriptor, at: UInt64(tooth) * 65536,
          [UInt8](repeating: UInt8(tooth % 250), count: 9),
          path: path)
      }
      try FileCalls.truncate(file.descriptor, 301 * 65536, path: path)
    }
    let first = try scene.backUp().snapshot
    if case .tree? = try scene.entries(of: first)["comb"]?.content {
    } else {
      Issue.record("no tree of extents")
    }
    try scene.expectRestored(first)
  }
}
