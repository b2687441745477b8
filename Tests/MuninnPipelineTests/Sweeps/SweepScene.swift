import Glibc
import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnStore
import MuninnTestSupport

/// What an operation starts from: a repository in memory, a source tree, and what every snapshot in
/// the repository must restore to.
///
/// `@unchecked Sendable`: one thread prepares it, and one thread sweeps with it after that.
final class SweepScene: @unchecked Sendable {
  typealias Tree = [String: [UInt8]]

  /// A promise that was not kept.
  struct Loss: Error, CustomStringConvertible {
    let description: String
  }

  var base: MemoryStorage
  private(set) var committed: [(snapshot: SnapshotRecord, tree: Tree)] = []
  private(set) var tree: Tree = [:]
  private let directory: TemporaryDirectory
  private var generator: SeededGenerator
  private var restoreCount = 0

  var source: String { directory.file("source") }

  /// The same seed makes the same tree.
  init(seed: UInt64) throws {
    directory = try TemporaryDirectory()
    generator = SeededGenerator(seed: seed)
    base = MemoryStorage()
    _ = try Store.create(in: base, averageChunkSize: 4096, isShared: false)
    for folder in ["", "/a", "/b", "/b/c"] {
      let path = source + folder
      try FileCalls.makeDirectory(at: AT_FDCWD, path, mode: 0o755, path: path)
    }
    for (number, size) in [0, 10, 129, 3000, 40_000].enumerated() {
      try write("a/\(number)", size)
      try write("b/\(number)", size / 3)
    }
    try write("b/c/deep", 500)
  }

  func write(_ name: String, _ count: Int) throws {
    try writeFile(source + "/" + name, generator.manyBytes(count))
  }

  /// Backs the source up into the base, for what follows.
  func commit() throws {
    try look()
    committed.append((try backUp(base), tree))
  }

  /// Remembers the source as it is now: what a snapshot of it must restore to.
  func look() throws { tree = try SweepScene.contents(of: source) }

  /// The newest snapshot that the storage has is the parent, as on the command line.
  func backUp(_ storage: MemoryStorage, isFull: Bool = false) throws -> SnapshotRecord {
    let store = try Store.open(in: storage)
    var options = BackupOptions(sources: [Array(source.utf8)], threads: 1)
    options.isFull = isFull
    options.parent = try store.loadJournal().snapshots.last
    // The tree is changed in the same grain of the clock in which it is backed up.
    options.parent?.startedNanoseconds = Machine.nowNanoseconds() + 1_000_000_000
    let outcome = try BackupPipeline(
      store: store, options: options, progress: ProgressCounters(), cancellation: Cancellation()
    ).run { _ in }
    guard outcome.failures.isEmpty else {
      throw Loss(description: "paths that could not be read: \(outcome.failures.count)")
    }
    return outcome.snapshot
  }

  /// Every snapshot that must be there is, and each that is there restores to what it was made of.
  func verify(
    _ storage: MemoryStorage, after operation: SweptOperation, reported: SnapshotRecord?,
    isDone: Bool
  ) throws {
    let store: Store
    do throws(StoreError) { store = try Store.open(in: storage) } catch {
      if operation.makesRepository, !isDone, error.code == .notARepository { return }
      throw error
    }
    let journal = try store.loadJournal()
    guard journal.problems.isEmpty else { throw Loss(description: "\(journal.problems)") }
    var expected = Dictionary(
      uniqueKeysWithValues: committed.map { ($0.snapshot.id, $0.tree) })
    let found = Set(journal.snapshots.map(\.id))
    var required = Set(expected.keys)
    if operation.forgetsFirst, let first = committed.first?.snapshot.id {
      required.remove(first)
      if isDone, found.contains(first) { throw Loss(description: "\(first) is still there") }
    }
    if let reported { required.insert(reported.id) }
    if let lost = required.subtracting(found).first {
      throw Loss(description: "snapshot \(lost) was committed and is not there")
    }
    // One whose answer was lost, or the reported one, is of the source as it is.
    for id in found where expected[id] == nil { expected[id] = tree }
    let outcome = try CheckPipeline(
      store: store, readData: true, threads: 1, progress: ProgressCounters(),
      cancellation: Cancellation()
    ).run()
    guard outcome.problems.isEmpty || (operation.startsDamaged && !isDone) else {
      throw Loss(description: "check: \(outcome.problems)")
    }
    for snapshot in journal.snapshots {
      guard try restored(snapshot, store) == expected[snapshot.id] else {
        throw Loss(description: "snapshot \(snapshot.id) restores to something else")
      }
    }
  }

  private func restored(_ snapshot: SnapshotRecord, _ store: Store) throws -> Tree {
    restoreCount += 1
    let target = directory.file("target-\(restoreCount)")
    let options = RestoreOptions(
      root: snapshot.root, entryCount: snapshot.counts.entries, byteCount: snapshot.counts.bytes,
      target: Array(target.utf8), threads: 1)
    let outcome = try RestorePipeline(
      store: store, options: options, progress: ProgressCounters(), cancellation: Cancellation()
    ).run()
    guard outcome.failures.isEmpty else {
      throw Loss(description: "snapshot \(snapshot.id): \(outcome.failures[0].message)")
    }
    defer { try? removeTree(target) }
    return try SweepScene.contents(of: target)
  }

  /// Every directory, with nothing, and every file, with its bytes, by path.
  private static func contents(of root: String) throws -> Tree {
    var tree: Tree = [:]
    var folders = [""]
    while let folder = folders.popLast() {
      let path = root + folder
      let opened = try FileCalls.open(
        at: AT_FDCWD, path, flags: O_RDONLY | O_DIRECTORY, path: path)
      let listing = try DirectoryListing.read(opened.descriptor, path: path)
      tree[folder + "/"] = []
      for index in 0..<listing.count {
        let name = folder + "/" + String(decoding: listing.name(index), as: UTF8.self)
        if listing.typeHint(index) == .directory {
          folders.append(name)
        } else {
          tree[name] = try readFile(root + name)
        }
      }
    }
    return tree
  }
}
