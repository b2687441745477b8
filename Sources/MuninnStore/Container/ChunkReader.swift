internal import MuninnDisk
package import MuninnFormat

/// Reads single chunks by reference: manifest pages, and files one at a time. Belongs to one
/// thread.
///
/// Keeps the blocks that it decoded last, since the chunks of a manifest or of a small file lie
/// side by side.
package final class ChunkReader {
  private struct BlockKey: Hashable {
    let container: Identifier
    let ordinal: Int
  }

  private let store: Store
  private var blocks: [BlockKey: [UInt8]] = [:]
  private var order: [BlockKey] = []
  private let maximumBlockCount: Int
  package private(set) var bytesRead: UInt64 = 0

  package init(store: Store, maximumBlockCount: Int = 32) {
    self.store = store
    self.maximumBlockCount = maximumBlockCount
  }

  /// The chunk's bytes, verified by fingerprint and tag. A stale location is resolved through the
  /// index.
  package func read(_ reference: ChunkReference) throws(StoreError) -> [UInt8] {
    let (container, slot) = try store.locate(reference)
    let directory = container.directory
    guard let ordinal = directory.block(ofSlot: slot) else {
      throw StoreError(.damaged, "has no slot \(slot)", object: container.name)
    }
    let block = try decodedBlock(container, ordinal)
    var start = 0
    for index in Int(directory.blocks[ordinal].firstSlot)..<Int(slot) {
      start += Int(directory.lengths[index])
    }
    let end = start + Int(directory.lengths[Int(slot)])
    guard end <= block.count else {
      throw StoreError(.damaged, "slot \(slot) lies outside its block", object: container.name)
    }
    let chunk = [UInt8](block[start..<end])
    let identity = chunk.withUnsafeBytes { store.identifying.identity(of: $0) }
    guard identity == reference.identity else {
      throw StoreError(
        .damaged, "the chunk at slot \(slot) is not what its fingerprint says",
        object: container.name)
    }
    return chunk
  }

  private func decodedBlock(_ container: OpenContainer, _ ordinal: Int) throws(StoreError)
    -> [UInt8]
  {
    let key = BlockKey(container: container.id, ordinal: ordinal)
    if let known = blocks[key] { return known }
    let record = container.directory.blocks[ordinal]
    let frame = try store.read(
      container.name, at: record.offset, count: Int(record.frameByteCount))
    bytesRead += UInt64(frame.count)
    let target = Buffer(capacity: max(Int(record.rawByteCount), 1))
    let count = try frame.withUnsafeBytesTyped { (bytes) throws(StoreError) in
      try container.decodeBlock(ordinal, frame: bytes, into: target.bytes)
    }
    let block = [UInt8](target.bytes[..<count])
    blocks[key] = block
    order.append(key)
    if order.count > maximumBlockCount { blocks[order.removeFirst()] = nil }
    return block
  }
}

extension Store {
  /// The container, opened, through the cache. One that is damaged is opened by the blocks that can
  /// be read of it.
  package func container(_ id: Identifier) throws(StoreError) -> OpenContainer {
    if let known = containers.container(id) { return known }
    let opened: OpenContainer
    do throws(StoreError) {
      opened = try openContainer(id)
    } catch {
      guard error.code == .damaged || error.code == .inputOutput,
        !containers.isUnsalvageable(id)
      else { throw error }
      guard let salvage = try? salvageContainer(id) else {
        containers.noteUnsalvageable(id)
        throw error
      }
      opened = salvage.container
    }
    containers.insert(opened)
    return opened
  }

  /// Where a chunk really is: at its hint, or where the index says.
  package func locate(_ reference: ChunkReference) throws(StoreError) -> (OpenContainer, UInt32) {
    let hint = reference.location
    var failure: StoreError?
    do throws(StoreError) {
      let container = try container(hint.container)
      if Int(hint.slot) < container.directory.chunkCount,
        container.directory.identities[Int(hint.slot)] == reference.identity,
        container.directory.lengths[Int(hint.slot)] == reference.length
      {
        return (container, hint.slot)
      }
      if let slot = container.slot(salvaged: reference.identity) { return (container, slot) }
    } catch {
      failure = error
    }
    if let found = try index().find(reference.identity), found != hint {
      let container = try container(found.container)
      if Int(found.slot) < container.directory.chunkCount,
        container.directory.identities[Int(found.slot)] == reference.identity
      {
        return (container, found.slot)
      }
    }
    throw failure
      ?? StoreError(
        .damaged, "does not hold the chunk that slot \(hint.slot) should, and no other does",
        object: ObjectName.container(hint.container))
  }
}
