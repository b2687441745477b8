import Glibc
import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnStore
import MuninnTestSupport
import Testing

/// A source tree, a repository in memory, and what tests do with the two.
final class BackupScene {
  let directory: TemporaryDirectory
  let storage: MemoryStorage
  /// What opens the repository; nil where it is not encrypted.
  let key: KeyMaterial?
  var source: String { directory.file("source") }

  init(storage: MemoryStorage? = nil, key: KeyMaterial? = nil) throws {
    self.key = key
    directory = try TemporaryDirectory()
    if let storage {
      self.storage = storage
    } else {
      self.storage = MemoryStorage()
      _ = try Store.create(in: self.storage, averageChunkSize: nil, isShared: false)
    }
    try FileCalls.makeDirectory(at: AT_FDCWD, source, mode: 0o755, path: source)
  }

  /// The repository, opened anew each time: nothing is remembered.
  func store() throws(StoreError) -> Store { try Store.open(in: storage, key: key) }

  // MARK: The source

  func write(_ name: String, _ bytes: [UInt8]) throws { try writeFile(source + "/" + name, bytes) }

  func makeDirectory(_ name: String) throws {
    let path = source + "/" + name
    try FileCalls.makeDirectory(at: AT_FDCWD, path, mode: 0o755, path: path)
  }

  /// A few small files of every size class, in a few directories.
  func makeSmallTree(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    for name in ["a", "b", "b/c"] { try makeDirectory(name) }
    for (number, size) in [0, 10, 128, 129, 5000, 20_000, 70_000, 300_000].enumerated() {
      try write("a/file-\(number)", generator.bytes(size))
      try write("b/c/file-\(number)", generator.bytes(size / 3))
    }
  }

  /// The bytes of every regular file below a directory.
  func files(below path: String) throws -> [String: [UInt8]] {
    let result = try runProgram(["find", path, "-type", "f", "-printf", "%P\\n"])
    var files: [String: [UInt8]] = [:]
    for name in result.output.split(separator: "\n") {
      files[String(name)] = try readFile(path + "/" + name)
    }
    return files
  }

  // MARK: The engine

  /// Backs the source up. A parent counts as started now, so that the clock's grain plays no part.
  func backUp(
    parent: SnapshotRecord? = nil, threads: Int = 2, progress: ProgressCounters? = nil,
    cancellation: Cancellation = Cancellation(), _ adjust: (inout BackupOptions) -> Void = { _ in }
  ) throws -> BackupOutcome {
    var options = BackupOptions(sources: [Array(source.utf8)], threads: threads)
    options.parent = parent
    options.parent?.startedNanoseconds = Machine.nowNanoseconds() + 1_000_000_000
    adjust(&options)
    return try BackupPipeline(
      store: try store(), options: options, progress: progress ?? ProgressCounters(),
      cancellation: cancellation
    ).run { $0.host = Array("host".utf8) }
  }

  @discardableResult
  func restore(_ snapshot: SnapshotRecord, to name: String) throws -> RestoreOutcome {
    let options = RestoreOptions(
      root: snapshot.root, entryCount: snapshot.counts.entries, byteCount: snapshot.counts.bytes,
      target: Array(directory.file(name).utf8), threads: 2)
    return try RestorePipeline(
      store: try store(), options: options, progress: ProgressCounters(),
      cancellation: Cancellation()
    ).run()
  }

  func check() throws -> CheckOutcome {
    try CheckPipeline(
      store: try store(), readData: true, threads: 2, progress: ProgressCounters(),
      cancellation: Cancellation()
    ).run()
  }

  /// Restores a snapshot and compares it with the source, or with a directory below another.
  func expectRestored(
    _ snapshot: SnapshotRecord, below folder: String = "", as expected: String? = nil,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let name = "target-\(snapshot.id)"
    let outcome = try restore(snapshot, to: name)
    let failures = outcome.failures.map { "\(displayPath($0.path)): \($0.message)" }
    #expect(failures.isEmpty, sourceLocation: sourceLocation)
    let target = directory.file(name)
    let differences = try compare(expected ?? source, target + folder)
    #expect(differences == "", sourceLocation: sourceLocation)
    try removeTree(target)
  }

  /// What rsync would change to make the second directory like the first: nothing where they are
  /// the same.
  func compare(_ left: String, _ right: String) throws -> String {
    let result = try runProgram([
      "rsync", "-aHAXn", "--checksum", "--delete", "--itemize-changes", left + "/", right + "/",
    ])
    return result.output + result.errors + (result.status == 0 ? "" : "status \(result.status)")
  }

  /// Leaf pages of a snapshot's manifest.
  func leafCount(of snapshot: SnapshotRecord) throws -> Int {
    let reader = ChunkReader(store: try store())
    var leaves = try TreeReader(snapshot.root, reader: reader)
    var count = 0
    while try leaves.nextLeaf() != nil { count += 1 }
    return count
  }

  func entries(of snapshot: SnapshotRecord) throws -> [String: ManifestEntry] {
    var entries: [String: ManifestEntry] = [:]
    let listing = SnapshotListing(
      store: try store(), root: snapshot.root, path: [], isRecursive: true)
    _ = try listing.run { entry in
      entries[displayPath(entry.path)] = entry
      return true
    }
    return entries
  }
}

extension SeededGenerator {
  /// Many bytes, quickly also in a debug build.
  mutating func manyBytes(_ count: Int) -> [UInt8] {
    let words = (0..<((count + 7) / 8)).map { _ in next() }
    return words.withUnsafeBytes { [UInt8]($0.prefix(count)) }
  }
}
