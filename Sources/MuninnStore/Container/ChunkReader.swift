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
  ///
  /// A hint to a container that is not live any more, since it was repacked, may still be read for
  /// a while; what the index says stays as long as whoever asks is registered, and goes first.
  package func locate(_ reference: ChunkReference) throws(StoreError) -> (OpenContainer, UInt32) {
    var failure: StoreError?
    if let found = find(reference, &failure) { return found }
    // Whoever reads without a registration can be overtaken by a collection.
    if try followIfBehind(), let found = find(reference, &failure) { return found }
    throw failure
      ?? StoreError(
        .damaged,
        "does not hold the chunk that slot \(reference.location.slot) should, and no other does",
        object: ObjectName.container(reference.location.container))
  }

  private func find(
    _ reference: ChunkReference, _ failure: inout StoreError?
  ) -> (OpenContainer, UInt32)? {
    let isLive = mayBeLive(reference.location.container)
    if isLive, let found = look(for: reference, at: reference.location, &failure) { return found }
    do throws(StoreError) {
      if let place = try index().find(reference.identity), place != reference.location,
        let found = look(for: reference, at: place, &failure)
      {
        return found
      }
    } catch {
      failure = failure ?? error
    }
    return isLive ? nil : look(for: reference, at: reference.location, &failure)
  }

  private func look(
    for reference: ChunkReference, at place: ChunkLocation, _ failure: inout StoreError?
  ) -> (OpenContainer, UInt32)? {
    do throws(StoreError) {
      let container = try container(place.container)
      if Int(place.slot) < container.directory.chunkCount,
        container.directory.identities[Int(place.slot)] == reference.identity,
        container.directory.lengths[Int(place.slot)] == reference.length
      {
        return (container, place.slot)
      }
      return container.slot(salvaged: reference.identity).map { (container, $0) }
    } catch {
      failure = failure ?? error
      return nil
    }
  }
}
