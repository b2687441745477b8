internal import MuninnDisk
package import MuninnFormat

/// A container whose directory has been read and checked.
package final class OpenContainer: Sendable {
  package let id: Identifier
  package let directory: ContainerDirectory
  package let byteCount: UInt64
  package let seal: Seal
  let name: String
  /// The numbers of a salvaged container's blocks in their frames; else a block's number is its
  /// place in the directory.
  private let frameNumbers: [UInt32]?
  /// Where the chunks of a salvaged container are: slots behind a lost block are others than they
  /// were.
  private let salvaged: [ChunkIdentity: UInt32]

  init(
    id: Identifier, directory: ContainerDirectory, byteCount: UInt64, seal: Seal, name: String,
    frameNumbers: [UInt32]? = nil
  ) {
    self.frameNumbers = frameNumbers
    var salvaged: [ChunkIdentity: UInt32] = [:]
    if frameNumbers != nil {
      for (slot, identity) in directory.identities.enumerated() {
        salvaged[identity] = UInt32(slot)
      }
    }
    self.salvaged = salvaged
    self.id = id
    self.directory = directory
    self.byteCount = byteCount
    self.seal = seal
    self.name = name
  }

  /// Where a chunk is now in a container whose directory was made again from its blocks; nil where
  /// it is not there, and for other containers.
  package func slot(salvaged identity: ChunkIdentity) -> UInt32? { salvaged[identity] }

  /// Decodes block `ordinal` from its frame into `target`; returns the bytes of its chunks.
  ///
  /// Checks the frame's checksum, its number, and the decoded size against the directory's.
  package func decodeBlock(
    _ ordinal: Int, frame: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(StoreError) -> Int {
    let record = directory.blocks[ordinal]
    let sizes = try decoding("\(name), block \(ordinal)") { () throws(FormatError) in
      try seal.open(
        frame, kind: .block, number: frameNumbers?[ordinal] ?? UInt32(ordinal), into: target)
    }
    guard sizes.payload == Int(record.rawByteCount), sizes.frame == Int(record.frameByteCount)
    else {
      throw StoreError(
        .damaged, "block \(ordinal) is not the size that the directory says", object: name)
    }
    return sizes.payload - 4 - 4 * Int(record.chunkCount)
  }
}

extension Store {
  /// Reads and checks a container's envelope, footer and directory.
  package func openContainer(_ id: Identifier) throws(StoreError) -> OpenContainer {
    let name = ObjectName.container(id)
    let size = try onDisk(name) { () throws(DiskError) in
      try readingTwice { () throws(DiskError) in try storage.size(of: name) }
    }
    let least = UInt64(Envelope.byteCount + ContainerFooter.tailByteCount)
    guard size >= least else {
      throw StoreError(.damaged, "a container of \(size) bytes: it was cut short", object: name)
    }
    let head = try read(name, at: 0, count: Envelope.byteCount)
    let envelope = try envelope(of: head, name: name, object: id)
    guard envelope.kind == .dataContainer || envelope.kind == .manifestContainer else {
      throw StoreError(.damaged, "an object of kind \(envelope.kind)", object: name)
    }
    // Most directories fit in the last 64 KiB: one read serves for both.
    let tailCount = Int(min(size, 64 << 10))
    var tail = try read(name, at: size - UInt64(tailCount), count: tailCount)
    let footer = try decoding(name) { () throws(FormatError) in
      try tail.withUnsafeBytesTyped { (bytes) throws(FormatError) in
        try ContainerFooter(
          decoding: UnsafeRawBufferPointer(rebasing: bytes.suffix(ContainerFooter.byteCount)),
          objectByteCount: size)
      }
    }
    guard tail.suffix(ContainerFooter.tailByteCount).prefix(Envelope.byteCount) == head[...] else {
      throw StoreError(.damaged, "the envelope's copy is damaged", object: name)
    }
    let wanted = Int(footer.directoryByteCount) + ContainerFooter.tailByteCount
    guard wanted <= FormatLimit.recordByteCount else {
      throw StoreError(.damaged, "a directory of \(wanted) bytes", object: name)
    }
    if wanted > tailCount { tail = try read(name, at: footer.directoryOffset, count: wanted) }
    let seal = try decoding(name) { () throws(FormatError) in
      try Seal(envelope: envelope, keys: keys)
    }
    let directory = try decoding("\(name), directory") { () throws(FormatError) in
      try tail.withUnsafeBytesTyped { (bytes) throws(FormatError) in
        let frame = UnsafeRawBufferPointer(rebasing: bytes.suffix(wanted))
        let payload = try seal.open(
          frame, kind: .directory, number: footer.blockCount, limit: FormatLimit.recordByteCount
        ).payload
        return try payload.withUnsafeBytesTyped { (plain) throws(FormatError) in
          try ContainerDirectory(decoding: plain)
        }
      }
    }
    guard directory.blocks.count == Int(footer.blockCount),
      directory.chunkCount == Int(footer.chunkCount),
      directory.blocks.last.map({ $0.offset + UInt64($0.frameByteCount) })
        ?? UInt64(Envelope.byteCount) == footer.directoryOffset
    else {
      throw StoreError(.damaged, "directory and footer do not agree", object: name)
    }
    return OpenContainer(
      id: id, directory: directory, byteCount: size, seal: seal, name: name)
  }

  /// Exactly `count` bytes of an object.
  package func read(_ name: String, at offset: UInt64, count: Int) throws(StoreError) -> [UInt8] {
    let target = Buffer(capacity: max(count, 1))
    let wanted = UnsafeMutableRawBufferPointer(rebasing: target.bytes[..<count])
    let got = try onDisk(name) { () throws(DiskError) in
      try readingTwice { () throws(DiskError) in
        try storage.read(name, at: offset, into: wanted)
      }
    }
    guard got == count else {
      throw StoreError(
        .damaged, "\(got) bytes at offset \(offset) where \(count) belong", object: name)
    }
    return [UInt8](wanted)
  }

  /// The envelope at the start of `bytes`, which must name this repository and `object`.
  func envelope(of bytes: [UInt8], name: String, object: Identifier) throws(StoreError) -> Envelope
  {
    let envelope = try decoding(name) { () throws(FormatError) in
      try bytes.withUnsafeBytesTyped { (raw) throws(FormatError) in try Envelope(decoding: raw) }
    }
    guard envelope.repository == header.repository else {
      throw StoreError(
        .damaged,
        "belongs to repository \(envelope.repository), not to this one (\(header.repository))",
        object: name)
    }
    guard envelope.object == object else {
      throw StoreError(.damaged, "is object \(envelope.object) under another's name", object: name)
    }
    guard envelope.suite == header.suite else {
      throw StoreError(
        .damaged, "cipher suite \(envelope.suite) is not the repository's", object: name)
    }
    return envelope
  }
}

/// The open containers that were used last, bounded by the chunks in their directories.
final class ContainerCache: Sendable {
  private struct State {
    var containers: [Identifier: OpenContainer] = [:]
    var unsalvageable: Set<Identifier> = []
    var order: [Identifier] = []
    var chunkCount = 0
  }

  private let state = Monitor(State())
  /// 36 bytes a chunk: 72 MiB.
  private let maximumChunkCount = 2 << 20

  func container(_ id: Identifier) -> OpenContainer? { state.withLock { $0.containers[id] } }

  /// Forgets what lies in containers that are not wanted any more.
  func keep(_ isWanted: (Identifier) -> Bool) {
    state.withLock { state in
      let gone = state.order.filter { !isWanted($0) }
      guard !gone.isEmpty else { return }
      for id in gone {
        if let container = state.containers.removeValue(forKey: id) {
          state.chunkCount -= container.directory.chunkCount
        }
      }
      state.order.removeAll { !isWanted($0) }
    }
  }

  /// Whether a salvage has found nothing in it: that reads all of it, and is not done twice.
  func isUnsalvageable(_ id: Identifier) -> Bool {
    state.withLock { $0.unsalvageable.contains(id) }
  }

  func noteUnsalvageable(_ id: Identifier) {
    state.withLock { _ = $0.unsalvageable.insert(id) }
  }

  func insert(_ container: OpenContainer) {
    state.withLock { state in
      guard state.containers.updateValue(container, forKey: container.id) == nil else { return }
      state.order.append(container.id)
      state.chunkCount += container.directory.chunkCount
      while state.chunkCount > maximumChunkCount, state.order.count > 1 {
        let oldest = state.order.removeFirst()
        if let gone = state.containers.removeValue(forKey: oldest) {
          state.chunkCount -= gone.directory.chunkCount
        }
      }
    }
  }
}
