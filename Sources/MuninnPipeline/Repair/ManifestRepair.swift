internal import MuninnFormat
internal import MuninnStore

/// Finds what of snapshots' trees cannot be had. Belongs to one thread.
///
/// A page that snapshots share and that nothing is wrong with is read once.
struct ManifestRepair {
  struct Loss {
    let path: [UInt8]
    let message: String
  }

  struct Finding {
    let snapshot: SnapshotRecord
    var lost: [Loss] = []
    /// Leaves that are to be written anew.
    var changedLeaves: Set<ChunkIdentity> = []
    var lostLeafCount = 0
    var healedCount: UInt64 = 0
    /// Why nothing of the tree can be listed.
    var wholeLoss: String?
    /// Its container set is a difference to one that is lost.
    var isWithoutBase = false

    var isChanged: Bool { !changedLeaves.isEmpty || lostLeafCount > 0 || isWithoutBase }

    func repaired(as id: Identifier?) -> RepairOutcome.Repaired {
      RepairOutcome.Repaired(
        original: snapshot.id, snapshot: id, lostPaths: UInt64(lost.count),
        healedPaths: healedCount)
    }
  }

  private let chunks: ChunkAvailability
  private let reader: ChunkReader
  private var soundLeaves: Set<Pair128> = []
  private static let maximumSoundCount = 4 << 20

  init(store: Store, damage: ContainerDamage, index: ChunkIndex) {
    chunks = ChunkAvailability(store: store, damage: damage, index: index)
    reader = ChunkReader(store: store)
  }

  mutating func survey(_ snapshot: SnapshotRecord) -> Finding {
    var finding = Finding(snapshot: snapshot)
    var tree: TreeReader
    do throws(StoreError) { tree = try TreeReader(snapshot.root, reader: reader) } catch {
      finding.wholeLoss = error.description
      return finding
    }
    var isAnythingThere = false
    var lastPath: [UInt8] = []
    while true {
      do throws(StoreError) {
        guard let leaf = try tree.nextLeaf() else { break }
        if soundLeaves.contains(leaf.identity.fingerprint) {
          isAnythingThere = true
          continue
        }
        let entries = try decodeLeaf(leaf, reader)
        isAnythingThere = true
        lastPath = entries.last?.path ?? lastPath
        survey(entries, of: leaf, &finding)
      } catch {
        finding.lostLeafCount += 1
        let place = tree.last?.firstKey ?? lastPath
        let count = tree.last.map { "\($0.entryCount) entries" } ?? "all entries"
        finding.lost.append(
          Loss(path: place, message: "\(count) from this path on cannot be listed: \(error)"))
      }
    }
    if !isAnythingThere { finding.wholeLoss = finding.lost.first?.message ?? "it has no leaf" }
    return finding
  }

  private mutating func survey(
    _ entries: [ManifestEntry], of leaf: ChunkReference, _ finding: inout Finding
  ) {
    var entries = entries
    let found = mark(&entries)
    finding.lost += found.lost
    finding.healedCount += found.healedCount
    if found.isChanged {
      finding.changedLeaves.insert(leaf.identity)
    } else if found.lost.isEmpty {
      if soundLeaves.count >= ManifestRepair.maximumSoundCount { soundLeaves.removeAll() }
      soundLeaves.insert(leaf.identity.fingerprint)
    }
  }

  /// Marks the entries whose content cannot be had, and takes the mark from those whose can.
  func mark(
    _ entries: inout [ManifestEntry]
  ) -> (lost: [Loss], healedCount: UInt64, isChanged: Bool) {
    var lost: [Loss] = []
    var healedCount: UInt64 = 0
    var isChanged = false
    for at in entries.indices {
      let ranges = chunks.lostRanges(of: entries[at], reader)
      if !ranges.isEmpty { lost.append(Loss(path: entries[at].path, message: "\(ranges)")) }
      guard ranges.isEmpty == entries[at].isDamaged else { continue }
      isChanged = true
      if ranges.isEmpty { healedCount += 1 }
      entries[at].isDamaged = !ranges.isEmpty
    }
    return (lost, healedCount, isChanged)
  }
}

/// Writes the manifest of a repaired snapshot: changed leaves anew, the others as they are.
struct ManifestRewrite {
  let store: Store
  let repair: ManifestRepair
  let manifest: ManifestChunks

  func run(_ finding: ManifestRepair.Finding) throws(StoreError) -> SnapshotRecord {
    let reader = ChunkReader(store: store)
    var source = try TreeReader(finding.snapshot.root, reader: reader)
    var tree = TreeWriter()
    while true {
      var entries: [ManifestEntry]?
      do throws(StoreError) {
        guard let leaf = try source.nextLeaf() else { break }
        // A leaf that is a root has no reference of its own.
        if finding.changedLeaves.contains(leaf.identity) || source.last == nil {
          entries = try decodeLeaf(leaf, reader)
        } else {
          _ = try reader.read(leaf)
        }
      } catch {
        // What could not be read when it was looked through is left out.
        guard error.code == .damaged || error.code == .notFound || error.code == .inputOutput
        else { throw error }
        continue
      }
      if var entries {
        _ = repair.mark(&entries)
        try write(entries, to: &tree)
      } else if let reference = source.last {
        try tree.append(reference) { (page) throws(StoreError) in try manifest.put(page) }
      }
    }
    let root = try tree.finish { (page) throws(StoreError) in try manifest.put(page) }
    var record = finding.snapshot
    record.id = randomIdentifier()
    record.root = root
    record.repairs = finding.snapshot.id
    record.counts.errors += UInt64(finding.lost.count)
    return record
  }

  private func write(
    _ entries: [ManifestEntry], to tree: inout TreeWriter
  ) throws(StoreError) {
    var page = EntryPageWriter()
    for entry in entries where page.append(entry) { try close(&page, to: &tree) }
    try close(&page, to: &tree)
  }

  private func close(
    _ page: inout EntryPageWriter, to tree: inout TreeWriter
  ) throws(StoreError) {
    guard page.entryCount > 0 else { return }
    let (key, count, bytes) = (page.firstKey, UInt64(page.entryCount), page.byteCount)
    let reference = PageReference(
      firstKey: key, page: try manifest.put(page.finish()), entryCount: count, byteCount: bytes)
    try tree.append(reference) { (page) throws(StoreError) in try manifest.put(page) }
  }
}
