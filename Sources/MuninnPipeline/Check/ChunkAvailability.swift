internal import MuninnFormat
internal import MuninnStore

/// Bytes of a file that cannot be had.
struct LostRanges: Sendable, CustomStringConvertible {
  private(set) var ranges: [Range<UInt64>] = []
  private(set) var reason = ""

  var isEmpty: Bool { ranges.isEmpty }
  var byteCount: UInt64 { ranges.reduce(0) { $0 + UInt64($1.count) } }

  /// Joins what touches. Ranges may come in any order.
  mutating func add(_ offset: UInt64, count: UInt64, reason: String) {
    let (end, overflow) = offset.addingReportingOverflow(count)
    guard count > 0, !overflow else { return }
    if self.reason.isEmpty { self.reason = reason }
    if let last = ranges.last, last.upperBound == offset {
      ranges[ranges.count - 1] = last.lowerBound..<end
    } else {
      ranges.append(offset..<end)
    }
  }

  /// `bytes 0 to 4095 and 2 more ranges cannot be had: why`.
  var description: String {
    let sorted = ranges.sorted { $0.lowerBound < $1.lowerBound }
    let shown = sorted.prefix(8).map { "\($0.lowerBound) to \($0.upperBound - 1)" }
    let more = sorted.count > 8 ? " and \(sorted.count - 8) more ranges" : ""
    return "bytes \(shown.joined(separator: ", "))\(more) cannot be had: \(reason)"
  }
}

/// Tells which chunks can be read, damage taken into account. Belongs to one thread.
final class ChunkAvailability {
  private let store: Store
  private let damage: ContainerDamage
  private let index: ChunkIndex
  /// Containers of which nothing can be read: looked for once.
  private var unreadable: Set<Identifier> = []

  init(store: Store, damage: ContainerDamage, index: ChunkIndex) {
    self.store = store
    self.damage = damage
    self.index = index
  }

  /// What of an entry's content cannot be had.
  func lostRanges(of entry: ManifestEntry, _ reader: ChunkReader) -> LostRanges {
    var lost = LostRanges()
    var offset: UInt64 = 0
    switch entry.content {
    case .none, .inline: break
    case .extents(let extents): add(extents, &offset, &lost)
    case .tree(let root, _): add(root, size: entry.size, reader, &lost)
    }
    return lost
  }

  private func add(_ extents: [Extent], _ offset: inout UInt64, _ lost: inout LostRanges) {
    for extent in extents {
      if case .chunk(let chunk) = extent, !isThere(chunk) {
        lost.add(
          offset, count: extent.byteCount,
          reason: "a chunk is lost or damaged in "
            + ObjectName.container(chunk.location.container))
      }
      offset = offset.addingReportingOverflow(extent.byteCount).partialValue
    }
  }

  private func add(
    _ root: TreeRoot, size: UInt64, _ reader: ChunkReader, _ lost: inout LostRanges
  ) {
    var offset: UInt64 = 0
    do throws(StoreError) {
      var tree = try TreeReader(root, reader: reader)
      while true {
        do throws(StoreError) {
          guard let leaf = try tree.nextLeaf() else { break }
          add(try reader.extents(of: leaf), &offset, &lost)
        } catch {
          let count = tree.last?.byteCount ?? (size - min(offset, size))
          lost.add(offset, count: count, reason: "a page of its extents is lost: \(error)")
          offset = offset.addingReportingOverflow(count).partialValue
        }
      }
    } catch {
      lost.add(0, count: size, reason: "a page of its extents is lost: \(error)")
    }
  }

  func isThere(_ chunk: ChunkReference) -> Bool {
    if isThere(chunk, at: chunk.location) { return true }
    guard let found = try? index.find(chunk.identity), found != chunk.location else {
      return false
    }
    return isThere(chunk, at: found)
  }

  private func isThere(_ chunk: ChunkReference, at location: ChunkLocation) -> Bool {
    guard !damage.chunks.contains(location), !unreadable.contains(location.container) else {
      return false
    }
    // What is on its way out may lie there still, and counts for nothing.
    guard index.isLive(location.container) || damage.containers.contains(location.container)
    else { return false }
    // A damaged container is opened by its readable blocks.
    guard let container = try? store.container(location.container) else {
      unreadable.insert(location.container)
      return false
    }
    if container.slot(salvaged: chunk.identity) != nil { return true }
    let slot = Int(location.slot)
    return slot < container.directory.chunkCount
      && container.directory.identities[slot] == chunk.identity
      && container.directory.lengths[slot] == chunk.length
  }
}

/// An upper page of a manifest or of a file's tree, read and decoded.
func decodeUpperPage(
  _ page: ChunkReference, level: UInt8, _ reader: ChunkReader
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
