import Glibc
import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnStore
import MuninnTestSupport
import Synchronization
import Testing

/// What is trusted and what is proved, streams, previews and limits.
@Suite struct BackupControlTests {
  /// Writes other content of the same size, and makes the parent's metadata say that nothing
  /// happened: the time of modification is set back, and a catalogue names inode and time of
  /// change.
  private func changeUnseen(
    _ scene: BackupScene, _ parent: SnapshotRecord, _ changes: [String: [UInt8]]
  ) throws -> String {
    let old = try scene.entries(of: parent)
    let ordinals = Dictionary(
      uniqueKeysWithValues: old.values.sorted { pathPrecedes($0.path, $1.path) }.enumerated().map {
        (displayPath($1.path), UInt64($0))
      })
    let path = scene.directory.file("identities")
    let writer = try IdentityCatalogue.Writer(
      path: path, snapshot: parent.id, target: Array(scene.source.utf8))
    for (name, bytes) in changes {
      try scene.write(name, bytes)
      try FileCalls.setTimes(
        at: AT_FDCWD, scene.source + "/" + name, accessed: nil,
        modified: old[name]?.modifiedNanoseconds, path: name)
    }
    var identities: [RestoredIdentity] = []
    for (name, ordinal) in ordinals {
      let status = try FileCalls.status(
        at: AT_FDCWD, scene.source + "/" + name, path: name)
      identities.append(
        RestoredIdentity(
          ordinal: ordinal, inode: status.inode, changedNanoseconds: status.changedNanoseconds))
    }
    usleep(20_000)
    try writer.append(identities.sorted { $0.ordinal < $1.ordinal })
    try writer.finish()
    return path
  }

  @Test func aFullBackupProvesWhatIncrementalOnesTookOver() throws {
    var generator = SeededGenerator.printed()
    let scene = try BackupScene()
    let sizes = ["inline": 90, "small": 5000, "middle": 900_000, "large": 9 << 20]
    var contents: [String: [UInt8]] = [:]
    for (name, size) in sizes {
      for kind in ["same", "other"] {
        contents["\(name)-\(kind)"] = generator.manyBytes(size)
      }
    }
    for (name, bytes) in contents { try scene.write(name, bytes) }
    try scene.write("empty", [])
    let first = try scene.backUp().snapshot
    var changes: [String: [UInt8]] = [:]
    for (name, bytes) in contents where name.hasSuffix("-other") {
      var bytes = bytes
      bytes[bytes.count / 2] ^= 1
      changes[name] = bytes
    }
    let catalogue = try changeUnseen(scene, first, changes)
    // Metadata says that nothing happened, and is believed.
    let blind = try scene.backUp(parent: first) { $0.identityCatalogue = catalogue }
    #expect(blind.snapshot.counts.bytesRead == 0)
    #expect(blind.differing.count == 0)
    let full = try scene.backUp(parent: first) {
      $0.identityCatalogue = catalogue
      $0.isFull = true
    }
    #expect(full.differing.first.map { displayPath($0.path) } == changes.keys.sorted())
    #expect(full.differing.count == 4 && full.failures.isEmpty)
    #expect(full.snapshot.counts.filesChanged == 4)
    #expect(full.snapshot.counts.filesUnchanged == 5)
    try scene.expectRestored(full.snapshot)
    let proof = try scene.backUp(parent: full.snapshot) { $0.isFull = true }
    #expect(proof.differing.count == 0)
    #expect(proof.snapshot.counts.filesUnchanged == 9)
  }

  @Test func anotherInodeNumberIsForgivenOnDemand() throws {
    let scene = try BackupScene()
    try scene.write("file", [UInt8](repeating: 3, count: 3000))
    let first = try scene.backUp().snapshot
    // What another inode number looks like: a catalogue that has one, with the right times.
    let status = try FileCalls.status(at: AT_FDCWD, scene.source + "/file", path: "file")
    let path = scene.directory.file("identities")
    usleep(20_000)
    let writer = try IdentityCatalogue.Writer(
      path: path, snapshot: first.id, target: Array(scene.source.utf8))
    try writer.append([
      RestoredIdentity(
        ordinal: 1, inode: status.inode + 1000, changedNanoseconds: status.changedNanoseconds)
    ])
    try writer.finish()
    for (ignores, byteCount) in [(false, UInt64(3000)), (true, 0)] {
      let next = try scene.backUp(parent: first) {
        $0.identityCatalogue = path
        $0.ignoresInode = ignores
      }
      #expect(next.snapshot.counts.bytesRead == byteCount)
      #expect(try scene.entries(of: next.snapshot)["file"]?.inode == status.inode)
    }
  }

  // MARK: Streams

  private func backUpStream(
    _ scene: BackupScene, _ name: String, _ origin: StreamSource.Origin
  ) throws -> BackupOutcome {
    let stream = try StreamSource(path: Array(name.utf8), origin: origin)
    return try scene.backUp {
      $0.sources = []
      $0.stream = stream
    }
  }

  @Test func aCommandsOutputIsAFile() throws {
    var generator = SeededGenerator.printed()
    let scene = try BackupScene()
    let bytes = generator.manyBytes(11 << 20)
    try scene.write("data", bytes)
    let command = ["cat", scene.source + "/data"].map { Array($0.utf8) }
    let outcome = try backUpStream(scene, "dump/db.sql", .command(command))
    #expect(outcome.snapshot.counts.bytes == UInt64(bytes.count))
    #expect(outcome.snapshot.counts.entries == 3)
    try scene.restore(outcome.snapshot, to: "target")
    #expect(try readFile(scene.directory.file("target/dump/db.sql")) == bytes)
    let again = try backUpStream(scene, "dump/db.sql", .command(command))
    #expect(again.snapshot.counts.bytesNew == 0, "its chunks are known")
    let empty = try backUpStream(scene, "/nothing", .command([Array("true".utf8)]))
    #expect(empty.snapshot.counts.bytes == 0 && empty.snapshot.counts.files == 1)
    #expect(try scene.check().problems.isEmpty)
  }

  @Test func aCommandThatFailsMakesNoSnapshot() throws {
    let scene = try BackupScene()
    for (text, reason) in [
      ("head -c 3000000 /dev/zero; exit 7", "status 7"), ("exit 1", "status 1"),
      ("kill -9 $$", "signal 9"),
    ] {
      do {
        _ = try backUpStream(scene, "x", .command(["sh", "-c", text].map { Array($0.utf8) }))
        Issue.record("'\(text)' made a snapshot")
      } catch let error as PipelineError {
        #expect(error.message.contains(reason) && error.message.contains("sh -c"))
      }
    }
    do {
      _ = try backUpStream(scene, "x", .command([Array("/no/such/program".utf8)]))
      Issue.record("a program that is not there")
    } catch let error as PipelineError {
      #expect(error.message.contains("/no/such/program"))
    }
    for name in ["", "/", "a/../b", "a//b"] {
      #expect(throws: PipelineError.self) {
        try StreamSource(path: Array(name.utf8), origin: .descriptor(0))
      }
    }
    #expect(try scene.store().loadJournal().snapshots.isEmpty)
  }

  @Test func aStreamThatNeverEndsCanBeCancelled() throws {
    let scene = try BackupScene()
    let cancellation = Cancellation()
    let stream = try StreamSource(
      path: Array("s".utf8), origin: .command(["sleep", "600"].map { Array($0.utf8) }))
    let killer = WorkerThread.start(name: "cancel") {
      usleep(50_000)
      cancellation.cancel()
    }
    do {
      _ = try scene.backUp(cancellation: cancellation) {
        $0.sources = []
        $0.stream = stream
      }
      Issue.record("not cancelled")
    } catch let error as PipelineError {
      #expect(error.code == .cancelled)
    }
    killer.join()
  }

  // MARK: Previews and limits

  @Test func aPreviewSaysWhatABackupFinds() throws {
    let scene = try BackupScene()
    try scene.makeSmallTree(seed: 9)
    let first = try scene.backUp().snapshot
    try scene.write("a/file-4", [UInt8](repeating: 1, count: 6000))
    try scene.write("new", [1, 2, 3])
    let before = try scene.storage.list("").map(\.name)
    var options = BackupOptions(sources: [Array(scene.source.utf8)], threads: 2)
    options.parent = first
    options.parent?.startedNanoseconds = Machine.nowNanoseconds() + 1_000_000_000
    let preview = try BackupPreview(
      store: try scene.store(), options: options, progress: ProgressCounters(),
      cancellation: Cancellation()
    ).run()
    #expect(try scene.storage.list("").map(\.name) == before)
    let found = try scene.backUp(parent: first).snapshot.counts
    for field in [
      \SnapshotCounts.entries, \.files, \.directories, \.filesNew, \.filesChanged,
      \.filesUnchanged, \.bytes, \.bytesRead,
    ] {
      #expect(preview.counts[keyPath: field] == found[keyPath: field])
    }
  }

  @Test func limitsChangeNothingButTheTime() throws {
    var generator = SeededGenerator.printed()
    let scene = try BackupScene()
    try scene.makeSmallTree(seed: 10)
    try scene.write("large", generator.manyBytes(3 << 20))
    for readers in [1, 5] {
      let outcome = try scene.backUp(threads: 3) {
        $0.readers = readers
        $0.readRate = 20 << 20
        $0.cpuPercent = 60
        $0.keepsPageCache = readers == 1
      }
      #expect(outcome.failures.isEmpty)
      try scene.expectRestored(outcome.snapshot)
    }
  }

  /// What was not cached before is not cached after; what was stays.
  @Test func thePageCacheIsLeftAsItWas() throws {
    var generator = SeededGenerator.printed()
    let scene = try BackupScene()
    let sizes = ["small": 200_000, "large": 5 << 20]
    for (name, size) in sizes {
      for state in ["cold", "warm"] {
        try scene.write("\(name)-\(state)", generator.manyBytes(size))
      }
    }
    func cached(_ name: String) throws -> UInt64? {
      let path = scene.source + "/" + name
      let file = try FileCalls.openForReading(at: AT_FDCWD, path, path: path)
      return FileCalls.cachedPages(of: file.descriptor)
    }
    for name in sizes.keys {
      let path = scene.source + "/" + name + "-cold"
      let file = try FileCalls.openForReading(at: AT_FDCWD, path, path: path)
      try FileCalls.sync(file.descriptor, path: path)
      FileCalls.dropPages(of: file.descriptor, at: 0, count: 0)
      // In memory alone, or not told: there is nothing to be seen.
      guard FileCalls.cachedPages(of: file.descriptor) == 0 else { return }
    }
    // Small files are asked about one in sixteen while they are found cached.
    for number in 0..<40 { try scene.write("b-\(number)", generator.bytes(3000)) }
    // Read ahead in large folios, and over several windows.
    try scene.write("huge-cold", [UInt8](repeating: 7, count: 50 << 20))
    do {
      let path = scene.source + "/huge-cold"
      let file = try FileCalls.openForReading(at: AT_FDCWD, path, path: path)
      try FileCalls.sync(file.descriptor, path: path)
      FileCalls.dropPages(of: file.descriptor, at: 0, count: 0)
    }
    _ = try scene.backUp(threads: 1)
    #expect(try cached("large-cold") == 0)
    #expect(try cached("huge-cold") ?? 0 < UInt64(5 << 20) / 4096)
    #expect(try cached("large-warm") ?? 0 >= UInt64(5 << 20) / 4096)
    #expect(try cached("small-warm") ?? 0 > 0)
    _ = try scene.backUp(threads: 1) { $0.keepsPageCache = true }
    #expect(try cached("large-cold") ?? 0 > 0)
  }
}
