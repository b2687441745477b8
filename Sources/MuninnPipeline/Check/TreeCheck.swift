internal import MuninnFormat
internal import MuninnStore

/// Follows every reference from snapshots down to chunks. A page that snapshots share is followed
/// once.
struct TreeCheck {
  private let store: Store
  private let damage: ContainerDamage
  private let index: ChunkIndex
  private let reader: ChunkReader
  /// The problems below each page that was followed.
  private var known: [ChunkIdentity: [PathFailure]] = [:]

  init(store: Store, damage: ContainerDamage, index: ChunkIndex) {
    self.store = store
    self.damage = damage
    self.index = index
    reader = ChunkReader(store: store)
  }

  mutating func problems(of snapshot: SnapshotRecord) -> [PathFailure] {
    follow(snapshot.root.page, level: snapshot.root.level)
  }

  private mutating func follow(_ page: ChunkReference, level: UInt8) -> [PathFailure] {
    if let before = known[page.identity] { return before }
    var found: [PathFailure] = []
    do throws(StoreError) {
      if level == 0 {
        for entry in try decodeLeaf(page, reader) {
          if let message = problem(of: entry) {
            found.append(PathFailure(path: entry.path, message: message))
          }
        }
      } else {
        for below in try upperPage(page, level: level) {
          found += follow(below.page, level: level - 1).map {
            $0.path.isEmpty ? PathFailure(path: below.firstKey, message: $0.message) : $0
          }
        }
      }
    } catch {
      found.append(PathFailure(path: [], message: "a manifest page is lost: \(error)"))
    }
    known[page.identity] = found
    return found
  }

  private func upperPage(
    _ page: ChunkReference, level: UInt8
  ) throws(StoreError) -> [PageReference] {
    let bytes = try reader.read(page)
    do throws(FormatError) {
      return try bytes.withUnsafeBytesTyped { (raw) throws(FormatError) in
        try ReferencePage.decode(raw, level: level)
      }
    } catch {
      throw StoreError(error, object: ObjectName.container(page.location.container))
    }
  }

  private func problem(of entry: ManifestEntry) -> String? {
    switch entry.content {
    case .none, .inline: return nil
    case .extents(let extents): return problem(of: extents)
    case .tree(let root, _):
      return problem(below: root.page, level: root.level)
    }
  }

  private func problem(of extents: [Extent]) -> String? {
    for case .chunk(let chunk) in extents where !isSound(chunk) {
      return "needs a chunk that is lost or damaged in "
        + ObjectName.container(chunk.location.container)
    }
    return nil
  }

  private func problem(below page: ChunkReference, level: UInt8) -> String? {
    do throws(StoreError) {
      if level == 0 {
        let bytes = try reader.read(page)
        let extents: [Extent]
        do throws(FormatError) {
          extents = try bytes.withUnsafeBytesTyped { (raw) throws(FormatError) in
            try ExtentPage.decode(raw)
          }
        } catch {
          throw StoreError(error, object: ObjectName.container(page.location.container))
        }
        return problem(of: extents)
      }
      for below in try upperPage(page, level: level) {
        if let message = problem(below: below.page, level: level - 1) { return message }
      }
      return nil
    } catch {
      return "a page of its extents is lost: \(error)"
    }
  }

  private func isSound(_ chunk: ChunkReference) -> Bool {
    if isSound(chunk, at: chunk.location) { return true }
    guard let found = try? index.find(chunk.identity) else { return false }
    return isSound(chunk, at: found)
  }

  private func isSound(_ chunk: ChunkReference, at location: ChunkLocation) -> Bool {
    guard !damage.isDamaged(location), let container = try? store.container(location.container)
    else { return false }
    let slot = Int(location.slot)
    return slot < container.directory.chunkCount
      && container.directory.identities[slot] == chunk.identity
      && container.directory.lengths[slot] == chunk.length
  }
}
