import Glibc
import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnStore
import MuninnTestSupport
import Synchronization
import Testing

/// Backups restored: what comes back is what was there.
@Suite struct RestoreRoundTripTests {
  private let directory: TemporaryDirectory
  private let store: Store

  init() throws {
    directory = try TemporaryDirectory()
    store = try Store.create(
      in: LocalStorage(path: directory.file("repository"), create: true), averageChunkSize: nil,
      isShared: false)
  }

  private func backUp(
    _ path: String, parent: SnapshotRecord? = nil, catalogue: String? = nil
  ) throws -> BackupOutcome {
    var options = BackupOptions(sources: [Array(path.utf8)], threads: 2)
    options.parent = parent
    options.identityCatalogue = catalogue
    return try BackupPipeline(
      store: store, options: options, progress: ProgressCounters(), cancellation: Cancellation()
    ).run { _ in }
  }

  private func restore(
    _ snapshot: SnapshotRecord, to target: String,
    _ adjust: (inout RestoreOptions) -> Void = { _ in }
  ) throws -> RestoreOutcome {
    var options = RestoreOptions(
      root: snapshot.root, entryCount: snapshot.counts.entries,
      byteCount: snapshot.counts.bytes, target: Array(target.utf8), threads: 2)
    adjust(&options)
    let counters = ProgressCounters()
    let outcome = try RestorePipeline(
      store: store, options: options, progress: counters, cancellation: Cancellation()
    ).run()
    #expect(counters.phase == .done)
    #expect(counters.entries.load(ordering: .relaxed) == outcome.entries)
    #expect(counters.bytes.load(ordering: .relaxed) == outcome.bytes)
    return outcome
  }

  private func hostileTree(_ name: String = "source") throws -> HostileTree {
    var generator = SeededGenerator.printed()
    return try HostileTree.make(at: directory.file(name), seed: generator.next())
  }

  private func expectSame(_ left: [String: String], _ right: [String: String]) {
    for path in Set(left.keys).union(right.keys).sorted() where left[path] != right[path] {
      Issue.record("\(path): \(left[path] ?? "absent") became \(right[path] ?? "absent")")
    }
  }

  @Test(arguments: [1, 4], [false, true])
  func aHostileTreeComesBackWhole(threads: Int, defragments: Bool) throws {
    let tree = try hostileTree()
    let backup = try backUp(tree.path)
    let target = directory.file("deep/down/target")
    let outcome = try restore(backup.snapshot, to: target) {
      $0.threads = threads
      $0.defragment = defragments
      $0.countsExtents = true
      $0.source = Array(tree.path.utf8)
    }
    expectSame(try describeTree(tree.path), try describeTree(target))
    for failure in outcome.failures {
      Issue.record("\(displayPath(failure.path)): \(failure.message)")
    }
    #expect(outcome.entries == UInt64(tree.entryCount + 1))
    if let extents = outcome.extents {
      #expect(extents.files > 0 && extents.total >= extents.files)
      #expect(outcome.sourceExtents?.files == extents.files)
    }
  }

  @Test func theNextBackupOfARestoredTreeReadsNoFile() throws {
    let tree = try hostileTree()
    let first = try backUp(tree.path)
    let target = directory.file("target")
    let catalogue = directory.file("identities")
    _ = try restore(first.snapshot, to: target) {
      $0.identityCatalogue = CatalogueDestination(path: catalogue, snapshot: first.snapshot.id)
    }
    let second = try backUp(target, parent: first.snapshot, catalogue: catalogue)
    #expect(second.snapshot.counts.bytesRead == 0)
    #expect(second.snapshot.counts.filesChanged == 0)
    #expect(second.snapshot.counts.filesNew == 0)
    #expect(second.snapshot.counts.filesUnchanged == first.snapshot.counts.files)
    let again = directory.file("again")
    _ = try restore(second.snapshot, to: again)
    expectSame(try describeTree(tree.path), try describeTree(again))
  }

  @Test func selectedPathsComeWithWhatLiesAboveThem() throws {
    let tree = try hostileTree()
    let backup = try backUp(tree.path)
    let target = directory.file("target")
    let wanted = ["directories/many", "links-elsewhere", "files/size-300000", "names/a/b"]
    let outcome = try restore(backup.snapshot, to: target) {
      $0.paths = wanted.map { Array($0.utf8) } + [Array("files/absent".utf8)]
    }
    #expect(outcome.failures.map { displayPath($0.path) } == ["files/absent"])
    func isWanted(_ path: String) -> Bool {
      wanted.contains { path == $0 || path.hasPrefix($0 + "/") || $0.hasPrefix(path + "/") }
        || path == "."
    }
    // Links are to the first name that was selected, so that part is left out.
    func bare(_ lines: [String: String]) -> [String: String] {
      lines.mapValues { line in
        guard let range = line.firstRange(of: " same as ") else { return line }
        let rest = line[range.upperBound...].drop { $0 != " " }
        return String(line[..<range.lowerBound] + rest)
      }
    }
    let source = try describeTree(tree.path).filter { isWanted($0.key) }
    expectSame(bare(source), bare(try describeTree(target)))
    let names = ["hard-2", "hard-3"]
    let inodes = try names.map {
      try FileCalls.status(at: AT_FDCWD, target + "/links-elsewhere/" + $0, path: $0).inode
    }
    #expect(Set(inodes).count == 1)
  }
}
