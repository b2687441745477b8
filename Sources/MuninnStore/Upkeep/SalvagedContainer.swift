internal import Glibc
internal import MuninnDisk
package import MuninnFormat

/// What a salvage found in a damaged container.
package struct Salvage: Sendable {
  /// The readable blocks with a directory made from them.
  package let container: OpenContainer
  /// Bytes between envelope and directory that belong to no readable block.
  package let lostByteCount: UInt64
}

extension Store {
  /// Makes the directory of a damaged container again from the blocks that can be read.
  ///
  /// Goes from frame to frame, and where none begins from magic to magic; a block counts if its
  /// checksum, and where the repository is encrypted its tag, is good. Identities are computed from
  /// the chunks. Slots are numbered through what is readable, so hints behind a lost block are
  /// stale: `OpenContainer.slot(salvaged:)` knows better. Throws where nothing is left of it.
  package func salvageContainer(_ id: Identifier) throws(StoreError) -> Salvage {
    let name = ObjectName.container(id)
    let size = try onDisk(name) { () throws(DiskError) in
      try readingTwice { () throws(DiskError) in try storage.size(of: name) }
    }
    let seal = try salvagedSeal(id, name, size)
    var scan = BlockScan(store: self, name: name, size: size, seal: seal)
    scan.run()
    guard !scan.directory.blocks.isEmpty else {
      throw StoreError(.damaged, "not one of its blocks can be read", object: name)
    }
    let container = OpenContainer(
      id: id, directory: scan.directory, byteCount: size, seal: seal, name: name,
      frameNumbers: scan.numbers)
    return Salvage(container: container, lostByteCount: scan.lostByteCount)
  }

  /// The seal from the envelope or its copy; where nothing is encrypted it needs neither.
  private func salvagedSeal(
    _ id: Identifier, _ name: String, _ size: UInt64
  ) throws(StoreError) -> Seal {
    var failure = StoreError(.damaged, "\(size) bytes: it was cut short", object: name)
    var places: [UInt64] = [0]
    if size >= UInt64(ContainerFooter.tailByteCount) {
      places.append(size - UInt64(ContainerFooter.tailByteCount))
    }
    for place in places {
      do throws(StoreError) {
        let bytes = try read(name, at: place, count: Envelope.byteCount)
        let envelope = try envelope(of: bytes, name: name, object: id)
        return try decoding(name) { () throws(FormatError) in
          try Seal(envelope: envelope, keys: keys)
        }
      } catch {
        if error.code == .unsupportedFormat || error.code == .wrongKey { throw error }
        failure = error
      }
    }
    guard header.suite == .none else { throw failure }
    let envelope = Envelope(
      kind: .dataContainer, suite: .none, repository: header.repository, object: id)
    return try decoding(name) { () throws(FormatError) in
      try Seal(envelope: envelope, keys: nil)
    }
  }
}

/// One pass over the bytes of a container in search of its blocks.
private struct BlockScan {
  let store: Store
  let name: String
  let size: UInt64
  let seal: Seal
  var directory = ContainerDirectory()
  var numbers: [UInt32] = []
  var lostByteCount: UInt64 = 0

  /// Bytes that are looked through at once for a frame's magic.
  private static let windowByteCount = 1 << 20
  /// Bytes that are stepped over where the disk returns an error.
  private static let unreadableStep: UInt64 = 4096
  private static let magic: [UInt8] = [0x4D, 0x46, 0x52, 0x4D]

  init(store: Store, name: String, size: UInt64, seal: Seal) {
    self.store = store
    self.name = name
    self.size = size
    self.seal = seal
  }

  mutating func run() {
    var offset = UInt64(Envelope.byteCount)
    while offset + UInt64(Frame.byteCount) < size,
      directory.chunkCount < FormatLimit.chunksPerContainer
    {
      if let end = takeBlock(at: offset) {
        offset = end
        continue
      }
      if isDirectory(at: offset) { return }
      let next = nextMagic(after: offset)
      lostByteCount += next - offset
      offset = next
    }
  }

  private func bytes(at offset: UInt64, _ count: Int) -> [UInt8]? {
    guard offset <= size, UInt64(count) <= size - offset else { return nil }
    return try? store.read(name, at: offset, count: count)
  }

  private func header(at offset: UInt64) -> Frame? {
    guard let bytes = bytes(at: offset, Frame.byteCount) else { return nil }
    return bytes.withUnsafeBytes { try? Frame(header: $0) }
  }

  private func isDirectory(at offset: UInt64) -> Bool {
    guard let frame = header(at: offset), frame.kind == .directory,
      let bytes = bytes(at: offset, Frame.byteCount + frame.storedByteCount)
    else { return false }
    return bytes.withUnsafeBytes {
      (try? Frame.checked($0, kind: .directory, number: frame.number)) != nil
    }
  }

  /// Takes the block whose frame begins at `offset`; returns its end, or nil where none begins.
  private mutating func takeBlock(at offset: UInt64) -> UInt64? {
    guard let frame = header(at: offset), frame.kind == .block,
      frame.rawByteCount <= FormatLimit.blockByteCount,
      numbers.last.map({ frame.number > $0 }) ?? true,
      let bytes = bytes(at: offset, Frame.byteCount + frame.storedByteCount),
      let payload = bytes.withUnsafeBytes({
        try? seal.open(
          $0, kind: .block, number: frame.number, limit: FormatLimit.blockByteCount
        ).payload
      }), let lengths = chunkLengths(payload)
    else { return nil }
    directory.blocks.append(
      BlockRecord(
        offset: offset, frameByteCount: UInt32(bytes.count), rawByteCount: UInt32(payload.count),
        firstSlot: UInt32(directory.chunkCount), chunkCount: UInt32(lengths.count)))
    numbers.append(frame.number)
    payload.withUnsafeBytes { raw in
      var start = 0
      for length in lengths {
        let end = start + Int(length)
        directory.identities.append(
          store.identifying.identity(of: UnsafeRawBufferPointer(rebasing: raw[start..<end])))
        directory.lengths.append(length)
        start = end
      }
    }
    return offset + UInt64(bytes.count)
  }

  /// The table at the end of a block's payload; nil where it does not fit the payload.
  private func chunkLengths(_ payload: [UInt8]) -> [UInt32]? {
    func word(_ offset: Int) -> UInt32 {
      payload.withUnsafeBytes {
        UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
      }
    }
    guard payload.count >= 8 else { return nil }
    let count = Int(word(payload.count - 4))
    guard count > 0, count <= (payload.count - 4) / 4 else { return nil }
    let table = payload.count - 4 - 4 * count
    let lengths = (0..<count).map { word(table + 4 * $0) }
    guard lengths.reduce(0, { $0 + UInt64($1) }) == UInt64(table) else { return nil }
    return lengths
  }

  /// Where the next frame may begin behind `offset`, or the end.
  private func nextMagic(after offset: UInt64) -> UInt64 {
    // The magic stands 8 bytes into a frame.
    var place = offset + 9
    while place + UInt64(Frame.byteCount) - 8 <= size {
      let count = Int(min(UInt64(BlockScan.windowByteCount), size - place))
      guard let window = bytes(at: place, count) ?? bytes(at: place, min(count, 4096)) else {
        place += BlockScan.unreadableStep
        continue
      }
      if let found = firstMagic(in: window) { return place + UInt64(found) - 8 }
      guard window.count > 3 else { break }
      place += UInt64(window.count - 3)
    }
    return size
  }

  private func firstMagic(in window: [UInt8]) -> Int? {
    window.withUnsafeBytes { bytes in
      guard let start = bytes.baseAddress else { return nil }
      var at = 0
      while at + BlockScan.magic.count <= bytes.count {
        guard let found = memchr(start + at, CInt(BlockScan.magic[0]), bytes.count - at) else {
          return nil
        }
        at = UnsafeRawPointer(found) - start
        if bytes[at...].starts(with: BlockScan.magic) { return at }
        at += 1
      }
      return nil
    }
  }
}
