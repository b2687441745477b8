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
  /// What opens the repository, tried in this order; nothing where it is not encrypted.
  var keys: [KeyMaterial] = []
  /// Damaged objects' bytes, which a repair is to keep.
  private(set) var evidence: [[UInt8]] = []
  /// Paths, as `contents` has them, whose content the damage takes.
  var touched: Set<String> = []
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
    try makeSource(["", "/a", "/b", "/b/c", "/c"])
    for (number, size) in [0, 10, 129, 3000, 40_000].enumerated() {
      try write("a/\(number)", size)
      try write("b/\(number)", size / 3)
    }
    try write("b/c/deep", 500)
  }

  /// Makes directories of the source.
  func makeSource(_ folders: [String]) throws {
    for folder in folders {
      let path = source + folder
      try FileCalls.makeDirectory(at: AT_FDCWD, path, mode: 0o755, path: path)
    }
  }

  func write(_ name: String, _ count: Int) throws {
    try writeFile(source + "/" + name, generator.manyBytes(count))
  }

  /// Backs the source up into the base, for what follows.
  func commit() throws {
    try look()
    committed.append((try backUp(base), tree))
  }

  /// Opens the repository with the first key that does.
  func open(_ storage: MemoryStorage) throws(StoreError) -> Store {
    var refusal: StoreError?
    for key in keys {
      do throws(StoreError) { return try Store.open(in: storage, key: key) } catch {
        guard error.code == .wrongKey else { throw error }
        refusal = error
      }
    }
    if let refusal { throw refusal }
    return try Store.open(in: storage)
  }

  /// Changes the bytes of an object of the base.
  func damage(_ name: String, _ change: (inout [UInt8]) -> Void) throws {
    guard var bytes = base.peek(name) else { throw Loss(description: "there is no \(name)") }
    change(&bytes)
    base.poke(name, bytes)
    evidence.append(bytes)
  }

  /// Remembers the source as it is now: what a snapshot of it must restore to.
  func look() throws { tree = try SweepScene.contents(of: source) }

  /// The newest complete snapshot that the storage has is the parent, behind the partial ones, as
  /// on the command line.
  func backUp(
    _ storage: MemoryStorage, isFull: Bool = false, savesPartially: Bool = false
  ) throws -> SnapshotRecord {
    try backUp(try open(storage), isFull: isFull, savesPartially: savesPartially)
  }

  func backUp(
    _ store: Store, isFull: Bool = false, savesPartially: Bool = false
  ) throws -> SnapshotRecord {
    var options = BackupOptions(sources: [Array(source.utf8)], threads: 1)
    options.isFull = isFull
    options.partialNanoseconds = savesPartially ? 0 : nil
    // The tree is changed in the same grain of the clock in which it is backed up.
    let trusting = try store.loadJournal().snapshots.map { snapshot in
      var snapshot = snapshot
      snapshot.startedNanoseconds = Machine.nowNanoseconds() + 1_000_000_000
      return snapshot
    }
    options.parent = trusting.last { !$0.isPartial }
    options.partials = trusting.filter(\.isPartial).reversed()
    let outcome = try BackupPipeline(
      store: store, options: options, progress: ProgressCounters(), cancellation: Cancellation()
    ).run { _ in }
    guard outcome.failures.isEmpty else {
      throw Loss(description: "paths that could not be read: \(outcome.failures.count)")
    }
    return outcome.snapshot
  }

  /// Whether a tree has the source's entries up to some path and no others.
  func isBeginning(_ part: Tree) -> Bool {
    func path(_ name: String) -> [UInt8] {
      Array(name.utf8.dropFirst().reversed().drop { $0 == 0x2F }.reversed())
    }
    let order = tree.keys.sorted { pathPrecedes(path($0), path($1)) }
    return !part.isEmpty && Set(part.keys) == Set(order.prefix(part.count))
      && part.allSatisfy { tree[$0.key] == $0.value }
  }

  /// What a snapshot restores to, and the paths that it says it could not.
  func restored(
    _ snapshot: SnapshotRecord, _ store: Store
  ) throws -> (tree: Tree, failed: Set<String>) {
    restoreCount += 1
    let target = directory.file("target-\(restoreCount)")
    let options = RestoreOptions(
      root: snapshot.root, entryCount: snapshot.counts.entries, byteCount: snapshot.counts.bytes,
      target: Array(target.utf8), threads: 1)
    let outcome = try RestorePipeline(
      store: store, options: options, progress: ProgressCounters(), cancellation: Cancellation()
    ).run()
    defer { try? removeTree(target) }
    return (
      try SweepScene.contents(of: target),
      Set(outcome.failures.map { "/" + displayPath($0.path) })
    )
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
