import Glibc
import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnStore
import MuninnTestSupport
import Synchronization
import Testing

/// Looking into snapshots without restoring them: archives, contents, differences, searches.
@Suite struct LookTests {
  private let directory: TemporaryDirectory
  private let store: Store

  init() throws {
    directory = try TemporaryDirectory()
    store = try Store.create(
      in: LocalStorage(path: directory.file("repository"), create: true), averageChunkSize: nil,
      isShared: false)
  }

  private func backUp(_ path: String, parent: SnapshotRecord? = nil) throws -> SnapshotRecord {
    var options = BackupOptions(sources: [Array(path.utf8)], threads: 2)
    options.parent = parent
    return try BackupPipeline(
      store: store, options: options, progress: ProgressCounters(), cancellation: Cancellation()
    ).run { _ in }.snapshot
  }

  private func archive(
    _ snapshot: SnapshotRecord, to path: String, _ adjust: (inout RestoreOptions) -> Void = { _ in }
  ) throws -> [PathFailure] {
    var options = RestoreOptions(
      root: snapshot.root, entryCount: 0, byteCount: 0, target: [], threads: 1)
    adjust(&options)
    let file = try FileCalls.open(
      at: AT_FDCWD, path, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600, path: path)
    let descriptor = file.descriptor
    let stream = TarStream(store: store, options: options, cancellation: Cancellation())
    return try stream.run(ProgressCounters()) { bytes in
      bytes.withUnsafeBytes { raw in
        (try? FileCalls.write(descriptor, raw, path: path)) != nil
      }
    }
  }

  @Test(.enabled(if: geteuid() == 0))
  func gnuTarMakesTheTreeThatWasBackedUp() throws {
    var generator = SeededGenerator.printed()
    let tree = try HostileTree.make(at: directory.file("source"), seed: generator.next())
    let snapshot = try backUp(tree.path)
    let path = directory.file("archive.tar")
    #expect(try archive(snapshot, to: path).isEmpty)
    let target = directory.file("target")
    try FileCalls.makeDirectory(at: AT_FDCWD, target, mode: 0o700, path: target)
    let result = try runProgram([
      "tar", "-x", "-p", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-f", path, "-C",
      target,
    ])
    #expect(result.status == 0, "\(result.errors.prefix(2000))")
    // GNU tar's own comparison of the archive with the tree, contents, times and owners.
    let compared = try runProgram([
      "tar", "--compare", "--xattrs", "--xattrs-include=*", "--numeric-owner",
      // It would read a hole of a terabyte byte by byte.
      "--exclude=sparse/far", "-f", path, "-C",
      tree.path,
    ])
    #expect(compared.status == 0, "\(compared.output.prefix(2000))\(compared.errors.prefix(2000))")
    let (left, right) = (try describeTree(tree.path), try describeTree(target))
    for name in Set(left.keys).union(right.keys).sorted() {
      // Sockets and inode flags have no place in an archive; symlinks are never sparse.
      guard let old = left[name], !old.hasPrefix("socket") else { continue }
      #expect(bare(old) == right[name].map(bare), "\(name)")
    }
  }

  private func bare(_ line: String) -> String {
    guard let range = line.firstRange(of: " flags ") else { return line }
    return String(line[..<range.lowerBound])
  }

  @Test func aPartOfATreeIsArchivedUnderItsNames() throws {
    let source = directory.file("source")
    for name in ["", "/a", "/a/b"] {
      try FileCalls.makeDirectory(at: AT_FDCWD, source + name, mode: 0o755, path: name)
    }
    let long = String(repeating: "n", count: 200)
    try writeFile(source + "/a/b/\(long)", [1, 2, 3])
    try writeFile(source + "/a/other", [4])
    let path = directory.file("archive.tar")
    let failures = try archive(try backUp(source), to: path) {
      $0.paths = [Array("a/b".utf8), Array("missing".utf8)]
    }
    #expect(failures.map { displayPath($0.path) } == ["missing"])
    let listed = try runProgram(["tar", "-t", "-f", path])
    #expect(listed.status == 0)
    #expect(listed.output.split(separator: "\n") == ["./", "a/", "a/b/", "a/b/\(long)"])
  }

  @Test func differencesAreFoundAndUnchangedPagesAreNotRead() throws {
    let source = directory.file("source")
    try FileCalls.makeDirectory(at: AT_FDCWD, source, mode: 0o755, path: source)
    for number in 1000..<3000 {
      try writeFile(source + "/f\(number)", Array("content of \(number)".utf8))
    }
    let first = try backUp(source)
    try writeFile(source + "/f1500", Array("other content".utf8))
    try FileCalls.unlink(at: AT_FDCWD, source + "/f2000", path: "f2000")
    try writeFile(source + "/g", [1])
    try FileCalls.setMode(at: AT_FDCWD, source + "/f1600", mode: 0o600, path: "f1600")
    let second = try backUp(source, parent: first)
    var found: [String: EntryAspects] = [:]
    var kinds: [String: String] = [:]
    func note(_ difference: EntryDifference) -> Bool {
      let path = displayPath(difference.path)
      found[path] = difference.aspects
      kinds[path] = difference.old == nil ? "+" : difference.new == nil ? "-" : "M"
      return true
    }
    #expect(try SnapshotDifference(store: store).run(first.root, second.root, note).isEmpty)
    #expect(kinds == ["": "M", "f1500": "M", "f1600": "M", "f2000": "-", "g": "+"])
    #expect(found["f1500"] == [.content, .modified])
    #expect(found["f1600"] == .mode)
    #expect(found[""] == .modified)
    (found, kinds) = ([:], [:])
    #expect(try SnapshotDifference(store: store).run(second.root, second.root, note).isEmpty)
    #expect(found.isEmpty)
    // Against the directory: the first snapshot as against the second one, the second not at all.
    let look = DirectoryDifference(
      store: store, readsContent: false, cancellation: Cancellation())
    #expect(try look.run(second.root, directory: Array(source.utf8), note).isEmpty)
    #expect(found.isEmpty)
    #expect(try look.run(first.root, directory: Array(source.utf8), note).isEmpty)
    #expect(kinds == ["": "M", "f1500": "M", "f1600": "M", "f2000": "-", "g": "+"])
  }

  @Test func contentIsComparedWhereItIsAskedFor() throws {
    let source = directory.file("source")
    try FileCalls.makeDirectory(at: AT_FDCWD, source, mode: 0o755, path: source)
    var generator = SeededGenerator(seed: 3)
    let bytes = generator.bytes(300_000)
    for name in ["same", "forged", "touched"] { try writeFile(source + "/" + name, bytes) }
    let snapshot = try backUp(source)
    let time = try FileCalls.status(at: AT_FDCWD, source + "/forged", path: "")
      .modifiedNanoseconds
    var other = bytes
    other[200_000] ^= 1
    try writeFile(source + "/forged", other)
    try FileCalls.setTimes(
      at: AT_FDCWD, source + "/forged", accessed: nil, modified: time, path: "")
    try writeFile(source + "/touched", bytes)
    var found: [String: EntryAspects] = [:]
    let look = DirectoryDifference(store: store, readsContent: true, cancellation: Cancellation())
    let failures = try look.run(snapshot.root, directory: Array(source.utf8)) {
      found[displayPath($0.path)] = $0.aspects
      return true
    }
    #expect(failures.isEmpty)
    #expect(found["forged"] == .content)
    #expect(found["touched"] == .modified)
    #expect(found["same"] == nil)
  }

  @Test func searchesFindNamesInEverySnapshot() throws {
    let source = directory.file("source")
    try FileCalls.makeDirectory(at: AT_FDCWD, source, mode: 0o755, path: source)
    try FileCalls.makeDirectory(at: AT_FDCWD, source + "/d", mode: 0o755, path: source)
    try writeFile(source + "/d/one.tex", [1])
    let first = try backUp(source)
    try writeFile(source + "/two.tex", [2])
    let second = try backUp(source, parent: first)
    var search = SnapshotSearch(store: store, patterns: ["*.tex"])
    var found: [String] = []
    for snapshot in [second, first, second] {
      let failures = try search.run(snapshot.root) { entry in
        found.append(displayPath(entry.path))
        return true
      }
      #expect(failures.isEmpty)
    }
    #expect(
      found == ["d/one.tex", "two.tex", "d/one.tex", "d/one.tex", "two.tex"])
  }
}

/// Copies of snapshots in another repository.
@Suite struct CopyTests {
  private let directory: TemporaryDirectory
  private let stores: [Store]

  init() throws {
    let directory = try TemporaryDirectory()
    self.directory = directory
    stores = try ["one", "two"].map { name in
      try Store.create(
        in: LocalStorage(path: directory.file(name), create: true), averageChunkSize: nil,
        isShared: false)
    }
  }

  private func backUp(_ path: String, parent: SnapshotRecord? = nil) throws -> SnapshotRecord {
    var options = BackupOptions(sources: [Array(path.utf8)], threads: 2)
    options.parent = parent
    return try BackupPipeline(
      store: stores[0], options: options, progress: ProgressCounters(),
      cancellation: Cancellation()
    ).run { $0.tags = [Array("kept".utf8)] }.snapshot
  }

  private func restore(_ snapshot: SnapshotRecord, from store: Store, to target: String) throws {
    let options = RestoreOptions(
      root: snapshot.root, entryCount: 0, byteCount: 0, target: Array(target.utf8), threads: 2)
    let outcome = try RestorePipeline(
      store: store, options: options, progress: ProgressCounters(), cancellation: Cancellation()
    ).run()
    #expect(outcome.failureCount == 0)
  }

  private func copy(
    _ snapshot: SnapshotRecord, base: CopyPipeline.Base?, _ counters: ProgressCounters
  ) throws -> SnapshotRecord {
    try CopyPipeline(
      from: stores[0], to: stores[1], threads: 3, progress: counters,
      cancellation: Cancellation()
    ).run(snapshot, base: base)
  }

  @Test func aCopyRestoresAloneAndTheNextOneReadsWhatIsNew() throws {
    var generator = SeededGenerator.printed()
    let tree = try HostileTree.make(at: directory.file("source"), seed: generator.next())
    // Long enough for a tree of extents.
    try writeFile(tree.path + "/long", generator.bytes(9 << 20))
    let first = try backUp(tree.path)
    let counters = ProgressCounters()
    let copied = try copy(first, base: nil, counters)
    #expect(copied.id == first.id)
    #expect(copied.completedNanoseconds == first.completedNanoseconds)
    #expect(copied.tags == first.tags && copied.counts.files == first.counts.files)
    let chunks = counters.chunksNew.load(ordering: .relaxed)
    #expect(chunks > 100)

    try writeFile(tree.path + "/new", generator.bytes(200_000))
    let second = try backUp(tree.path, parent: first)
    let later = ProgressCounters()
    let again = try copy(
      second, base: CopyPipeline.Base(source: first.root, target: copied), later)
    let looked =
      later.chunksNew.load(ordering: .relaxed) + later.chunksDuplicate.load(ordering: .relaxed)
    #expect((1..<50).contains(looked), "\(looked) chunks were read")

    // The first repository is not needed any more.
    try removeTree(directory.file("one"))
    let target = directory.file("target")
    try restore(again, from: stores[1], to: target)
    let (left, right) = (try describeTree(tree.path), try describeTree(target))
    for path in Set(left.keys).union(right.keys).sorted() where left[path] != right[path] {
      Issue.record("\(path): \(left[path] ?? "absent") became \(right[path] ?? "absent")")
    }
    let check = try CheckPipeline(
      store: stores[1], readData: true, threads: 2, progress: ProgressCounters(),
      cancellation: Cancellation()
    ).run()
    #expect(check.problems.isEmpty)
    #expect(check.snapshots == 2)
  }

  @Test func aLostChunkEndsTheCopyAndNothingIsCommitted() throws {
    let source = directory.file("source")
    try FileCalls.makeDirectory(at: AT_FDCWD, source, mode: 0o755, path: source)
    var generator = SeededGenerator(seed: 11)
    for name in ["a", "b"] { try writeFile(source + "/" + name, generator.bytes(400_000)) }
    let snapshot = try backUp(source)
    for object in try stores[0].storage.list("containers") where object.size > 100_000 {
      let path = directory.file("one/") + object.name
      var bytes = try readFile(path)
      bytes[bytes.count / 2] ^= 1
      try writeFile(path, bytes)
    }
    let reopened = try Store.open(
      in: LocalStorage(path: directory.file("one"), create: false))
    let error = #expect(throws: PipelineError.self) {
      try CopyPipeline(
        from: reopened, to: stores[1], threads: 2, progress: ProgressCounters(),
        cancellation: Cancellation()
      ).run(snapshot, base: nil)
    }
    #expect(error?.code == .damaged)
    #expect(try stores[1].loadJournal().snapshots.isEmpty)
  }
}
