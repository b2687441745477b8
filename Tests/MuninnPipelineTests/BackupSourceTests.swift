import Glibc
import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnStore
import MuninnTestSupport
import Synchronization
import Testing

/// What a backup takes in: sources, exclusions, what is missing; and how it ends before its time.
@Suite struct BackupSourceTests {
  @Test func severalSourcesKeepTheirPlaces() throws {
    let scene = try BackupScene()
    try scene.makeSmallTree(seed: 3)
    let sources = [scene.source + "/b/../a/", scene.source + "/b/c/./file-4"]
    let outcome = try scene.backUp { $0.sources = sources.map { Array($0.utf8) } }
    #expect(outcome.failures.isEmpty)
    #expect(outcome.snapshot.paths == sources.map { Array($0.utf8) })
    let entries = try scene.entries(of: outcome.snapshot)
    let root = String(scene.source.dropFirst())
    #expect(entries[""]?.kind == .directory)
    #expect(entries[root]?.kind == .directory)
    let inside = Set(entries.keys.filter { $0.hasPrefix(root + "/") })
    let expected = ["a", "b", "b/c", "b/c/file-4"] + (0..<8).map { "a/file-\($0)" }
    #expect(inside == Set(expected.map { root + "/" + $0 }))
    try scene.expectRestored(
      outcome.snapshot, below: scene.source + "/a", as: scene.source + "/a")
    let next = try scene.backUp(parent: outcome.snapshot) {
      $0.sources = sources.map { Array($0.utf8) }
    }
    #expect(next.snapshot.counts.bytesRead == 0)
  }

  @Test func aSourceThatIsAFileOrALinkIsTaken() throws {
    let scene = try BackupScene()
    try scene.write("file", [1, 2, 3])
    let file = try scene.backUp { $0.sources = [Array((scene.source + "/file").utf8)] }
    #expect(
      try scene.entries(of: file.snapshot)[String((scene.source + "/file").dropFirst())]?.content
        == .inline([1, 2, 3]))
    let link = scene.directory.file("link")
    try FileCalls.makeSymlink(target: scene.source, at: AT_FDCWD, link, path: link)
    let tree = try scene.backUp { $0.sources = [Array(link.utf8)] }
    #expect(try scene.entries(of: tree.snapshot)["file"] != nil)
    try scene.expectRestored(tree.snapshot)
  }

  @Test func aMissingSourceIsReported() throws {
    let scene = try BackupScene()
    try scene.write("file", [1])
    let lost = Array((scene.source + "/lost").utf8)
    let present = Array((scene.source + "/file").utf8)
    let outcome = try scene.backUp { $0.sources = [present, lost] }
    #expect(outcome.failures.map(\.path) == [lost])
    #expect(outcome.failures[0].message.contains("ENOENT"))
    #expect(outcome.snapshot.counts.errors == 1)
    #expect(outcome.snapshot.counts.files == 1)
    for sources in [[lost], [lost, lost], []] as [[[UInt8]]] {
      do {
        _ = try scene.backUp { $0.sources = sources }
        Issue.record("a backup of nothing")
      } catch let error as PipelineError {
        #expect(error.code == .notFound)
      }
    }
    for source in ["relative", "", "a\0b"] {
      do {
        _ = try scene.backUp { $0.sources = [Array(source.utf8)] }
        Issue.record("'\(source)' was taken")
      } catch let error as PipelineError {
        #expect(error.code == .invalidInput)
      }
    }
    #expect(try scene.store().loadJournal().head == 1)
  }

  @Test func whatIsExcludedIsNotLookedAt() throws {
    let scene = try BackupScene()
    try scene.makeSmallTree(seed: 4)
    let outcome = try scene.backUp {
      $0.rules.excludes = PathPatterns([
        "/b/", "file-[0-3]", "!/a/file-2", "# a comment", "", "*-7",
      ])
    }
    let names = Set(try scene.entries(of: outcome.snapshot).keys)
    #expect(names == ["", "a", "a/file-2", "a/file-4", "a/file-5", "a/file-6"])
    #expect(outcome.snapshot.counts.entries == UInt64(names.count))
    // What is no longer excluded joins the next snapshot.
    let next = try scene.backUp(parent: outcome.snapshot)
    #expect(next.snapshot.counts.filesNew == 12)
    try scene.expectRestored(next.snapshot)
  }

  @Test func anEmptyTreeIsATree() throws {
    let scene = try BackupScene()
    let first = try scene.backUp()
    #expect(first.snapshot.counts.entries == 1)
    try scene.expectRestored(first.snapshot)
    let second = try scene.backUp(parent: first.snapshot)
    #expect(second.snapshot.root == first.snapshot.root)
  }

  // MARK: Cancellation

  @Test func aCancelledBackupLeavesNoSnapshot() throws {
    let scene = try BackupScene()
    try scene.makeSmallTree(seed: 5)
    let cancellation = Cancellation()
    cancellation.cancel()
    do {
      _ = try scene.backUp(cancellation: cancellation)
      Issue.record("not cancelled")
    } catch let error as PipelineError {
      #expect(error.code == .cancelled)
    }
    #expect(
      try scene.storage.list("").map(\.name)
        == [ObjectName.repository, ObjectName.repositoryCopy])
  }

  @Test func cancelledInTheMiddle() throws {
    var generator = SeededGenerator.printed()
    let scene = try BackupScene()
    for number in 0..<10 { try scene.write("file-\(number)", generator.manyBytes(2 << 20)) }
    for moment in [0, 1, 5, 15] as [UInt64] {
      let before = try scene.store().loadJournal().snapshots.count
      let progress = ProgressCounters()
      let cancellation = Cancellation()
      let isOver = Monitor(false)
      let watcher = WorkerThread.start(name: "cancel") {
        while progress.bytes.load(ordering: .relaxed) < moment << 20 {
          if isOver.withLock({ $0 }) { return }
          usleep(200)
        }
        cancellation.cancel()
      }
      var isCommitted = true
      do {
        _ = try scene.backUp(progress: progress, cancellation: cancellation)
      } catch let error as PipelineError {
        #expect(error.code == .cancelled)
        isCommitted = false
      }
      isOver.withLock { $0 = true }
      watcher.join()
      // The cancellation may come too late: then there is the snapshot, else there is none.
      let after = try scene.store().loadJournal().snapshots.count
      #expect(after == before + (isCommitted ? 1 : 0))
      #expect(try scene.storage.list(ObjectName.sessionPrefix).isEmpty)
    }
    #expect(try scene.check().problems.isEmpty)
    try scene.expectRestored(try scene.backUp().snapshot)
  }

  /// A repository that fills up ends the backup; what was there stays, and the next one succeeds.
  @Test func aFullRepositoryKeepsWhatItHas() throws {
    var generator = SeededGenerator.printed()
    let scene = try BackupScene()
    try scene.makeSmallTree(seed: 6)
    let first = try scene.backUp().snapshot
    try scene.write("more", generator.manyBytes(3 << 20))
    let used = try scene.storage.list("").reduce(0) { $0 + $1.size }
    scene.storage.setCapacity(used + (1 << 20))
    do {
      _ = try scene.backUp(parent: first)
      Issue.record("there was room")
    } catch let error as PipelineError {
      #expect(error.store?.code == .noSpace)
    }
    #expect(try scene.store().loadJournal().snapshots.map(\.id) == [first.id])
    #expect(try scene.check().problems.isEmpty)
    scene.storage.setCapacity(nil)
    try scene.expectRestored(try scene.backUp(parent: first).snapshot)
  }
}
