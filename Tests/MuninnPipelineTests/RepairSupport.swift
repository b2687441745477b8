import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnStore
import MuninnTestSupport
import Testing

/// A repository with two snapshots of a tree, to be damaged again and again: its objects as they
/// were, and what each snapshot's files hold.
struct DamageableRepository {
  let objects: [String: [UInt8]]
  let snapshots: [SnapshotRecord]
  let contents: [[String: [UInt8]]]
  /// Keeps the source for backups of it.
  let scene: BackupScene

  /// With `isSealed` an encrypted one, whose key was rotated once, and with two slots.
  init(withCheckpoint: Bool = false, isSealed: Bool = false) throws {
    var generator = SeededGenerator(seed: 77)
    scene = isSealed ? try DamageableRepository.sealedScene() : try BackupScene()
    try scene.makeSmallTree(seed: 5)
    for number in 0..<60 { try scene.write("b/many-\(number)", generator.bytes(9000)) }
    // Long enough for a tree of extents, and for blocks of its own.
    try scene.write("long", generator.manyBytes(6 << 20))
    let first = try scene.backUp().snapshot
    var contents = [try scene.files(below: scene.source)]
    for number in 60..<80 { try scene.write("b/many-\(number)", generator.bytes(9000)) }
    try scene.write("a/file-3", generator.bytes(400_000))
    let second = try scene.backUp(parent: first).snapshot
    contents.append(try scene.files(below: scene.source))
    if withCheckpoint {
      let store = try scene.store()
      var journal = try store.loadJournal()
      try store.writeCheckpoint(session: randomIdentifier(), state: &journal)
    }
    snapshots = [first, second]
    self.contents = contents
    // As a crashed writer leaves it.
    scene.storage.poke("sessions/000000000000000a0000000000000000", Array("host 1 2\n".utf8))
    var objects: [String: [UInt8]] = [:]
    for object in try scene.storage.list("") {
      objects[object.name] = scene.storage.peek(object.name)
    }
    self.objects = objects
  }

  private static func sealedScene() throws -> BackupScene {
    let storage = MemoryStorage()
    let store = try Store.create(
      in: storage, averageChunkSize: nil, isShared: false, key: SweepKey.new(SweepKey.old))
    _ = try store.rotateKey(to: SweepKey.new(SweepKey.next))
    _ = try store.addKey(SweepKey.new(SweepKey.file))
    return try BackupScene(storage: storage, key: SweepKey.next)
  }

  /// What opens a storage of this repository: should the slot of one key be damaged, the other's.
  func key(_ storage: MemoryStorage) -> KeyMaterial? {
    guard scene.key != nil else { return nil }
    let opens = (try? Store.open(in: storage, key: SweepKey.next)) != nil
    return opens ? SweepKey.next : SweepKey.file
  }

  /// A storage with these objects, `change`d.
  func storage(_ change: [String: [UInt8]?] = [:]) -> MemoryStorage {
    let storage = MemoryStorage()
    for (name, bytes) in objects { storage.poke(name, bytes) }
    for (name, bytes) in change { storage.poke(name, bytes) }
    return storage
  }

  func names(_ prefix: String) -> [String] {
    objects.keys.filter { $0.hasPrefix(prefix) }.sorted()
  }

  /// Containers of one kind.
  func containers(isManifest: Bool) throws -> [String] {
    let journal = try Store.open(in: storage(), key: scene.key).loadJournal()
    return journal.containers.values.filter { $0.isManifest == isManifest }
      .map { ObjectName.container($0.id) }.sorted()
  }

  /// The slots' identities of the block that a byte of a container lies in; nil outside of blocks.
  func identities(at offset: Int, of name: String) throws -> Set<ChunkIdentity>? {
    let store = try Store.open(in: storage(), key: scene.key)
    let id = try #require(ObjectName.id(name))
    let directory = try store.openContainer(id).directory
    for block in directory.blocks {
      let range = Int(block.offset)..<Int(block.offset) + Int(block.frameByteCount)
      guard range.contains(offset) else { continue }
      let slots = Int(block.firstSlot)..<Int(block.firstSlot + block.chunkCount)
      return Set(directory.identities[slots])
    }
    return nil
  }
}

/// What of a snapshot can be read in memory, without a restore to disk.
struct SnapshotContent {
  /// Files that can be read whole.
  var files: [String: [UInt8]] = [:]
  /// Files that are listed and cannot.
  var unreadable: Set<String> = []
  var marked: Set<String> = []
  /// The chunks that each file is made of.
  var chunks: [String: Set<ChunkIdentity>] = [:]
  var lostPages = 0

  init(_ snapshot: SnapshotRecord, store: Store) {
    let reader = ChunkReader(store: store)
    guard var tree = try? TreeReader(snapshot.root, reader: reader) else {
      lostPages = 1
      return
    }
    while true {
      do throws(StoreError) {
        guard let leaf = try tree.nextLeaf() else { break }
        let bytes = try reader.read(leaf)
        let entries = bytes.withUnsafeBytes { (try? EntryPage.decode($0)) ?? [] }
        for entry in entries where entry.kind == .file { take(entry, reader) }
      } catch {
        lostPages += 1
      }
    }
  }

  private mutating func take(_ entry: ManifestEntry, _ reader: ChunkReader) {
    let path = displayPath(entry.path)
    if entry.isDamaged { marked.insert(path) }
    var extents: [Extent] = []
    switch entry.content {
    case .none: files[path] = []
    case .inline(let bytes): files[path] = bytes
    case .extents(let list): extents = list
    case .tree(let root, _):
      do throws(StoreError) {
        var tree = try TreeReader(root, reader: reader)
        while let leaf = try tree.nextLeaf() {
          let page = try reader.read(leaf)
          extents += page.withUnsafeBytes { (try? ExtentPage.decode($0)) ?? [] }
        }
      } catch {
        unreadable.insert(path)
        return
      }
    }
    guard files[path] == nil else { return }
    var content: [UInt8] = []
    for extent in extents {
      switch extent {
      case .hole(let count): content += [UInt8](repeating: 0, count: Int(count))
      case .chunk(let chunk):
        chunks[path, default: []].insert(chunk.identity)
        guard let bytes = try? reader.read(chunk) else {
          unreadable.insert(path)
          continue
        }
        content += bytes
      }
    }
    if !unreadable.contains(path) { files[path] = content }
  }
}

func runCheck(
  _ storage: MemoryStorage, _ data: CheckData = .all, key: KeyMaterial? = nil
) throws -> CheckOutcome {
  try CheckPipeline(
    store: try Store.open(in: storage, key: key), data: data, threads: 2,
    progress: ProgressCounters(),
    cancellation: Cancellation()
  ).run()
}

@discardableResult
func runRepair(
  _ storage: MemoryStorage, readData: Bool = true, isDryRun: Bool = false,
  suspects: Set<Identifier> = [], key: KeyMaterial? = nil
) throws -> RepairOutcome {
  var options = RepairOptions(threads: 2)
  options.readData = readData
  options.isDryRun = isDryRun
  options.suspects = suspects
  return try RepairPipeline(
    store: try Store.open(in: storage, key: key), options: options, progress: ProgressCounters(),
    cancellation: Cancellation()
  ).run()
}
