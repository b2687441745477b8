internal import MuninnDisk
internal import MuninnFormat

/// Writes an index segment from entries that come sorted by prefix, in one pass. Belongs to one
/// thread.
///
/// Memory: a page, up to 8 MiB of filter frames (which lie together, so that a filter is read in
/// long runs), and 16 bytes for each page and container.
final class SegmentBuilder {
  private static let filterRunByteCount = 8 << 20

  private let store: Store
  private let id: Identifier
  private let name: String
  private let seal: Seal
  private let writer: any ObjectWriter
  private let page = Buffer(capacity: SegmentTables.entriesPerPage * SegmentEntry.byteCount)
  private let frame: Buffer
  private let nothing = Buffer(capacity: 0)
  private var fill = 0
  private var filter: FilterBuilder
  private var waiting: [[UInt8]] = []
  private var waitingByteCount = 0
  private var lists = SegmentLists()
  private var entryCount: UInt64 = 0

  /// `capacity` is the most entries that may come.
  init(
    store: Store, id: Identifier, capacity: UInt64, remainderBits: Int
  ) throws(StoreError) {
    self.store = store
    self.id = id
    let name = ObjectName.segment(id)
    self.name = name
    let envelope = store.newEnvelope(kind: .segment, object: id)
    let seal = try decoding(name) { () throws(FormatError) in
      try Seal(envelope: envelope, keys: store.keys)
    }
    self.seal = seal
    frame = Buffer(capacity: seal.capacity(for: page.capacity))
    filter = FilterBuilder(
      shape: FilterShape(entryCount: capacity, remainderBits: remainderBits))
    let expected = capacity * 18 + capacity / 128 + 4096
    let writer = try onDisk(name) { () throws(DiskError) in
      try store.storage.create(name, expectedByteCount: expected)
    }
    self.writer = writer
    let head = envelope.encoded()
    try onDisk(name) { () throws(DiskError) in
      try head.withUnsafeBytesTyped { (raw) throws(DiskError) in try writer.append(raw) }
    }
  }

  @inline(__always)
  func append(_ entry: SegmentEntry) throws(StoreError) {
    let target = page.bytes
    target.storeBytes(of: entry.prefix.littleEndian, toByteOffset: fill, as: UInt64.self)
    target.storeBytes(of: entry.container.littleEndian, toByteOffset: fill + 8, as: UInt32.self)
    target.storeBytes(of: entry.slot.littleEndian, toByteOffset: fill + 12, as: UInt32.self)
    if fill == 0 { lists.firstPrefixes.append(entry.prefix) }
    fill += SegmentEntry.byteCount
    if fill == target.count { try closePage() }
  }

  private func closePage() throws(StoreError) {
    guard fill > 0 else { return }
    let payload = UnsafeRawBufferPointer(rebasing: page.bytes[..<fill])
    let number = UInt32(lists.pageOffsets.count)
    lists.pageOffsets.append(writer.byteCount)
    let count = try decoding(name) { () throws(FormatError) in
      try seal.frame(
        payload, kind: .segmentPage, number: number, level: 0, scratch: nothing.bytes,
        into: frame.bytes)
    }
    try onDisk(name) { () throws(DiskError) in
      try writer.append(UnsafeRawBufferPointer(rebasing: frame.bytes[..<count]))
    }
    entryCount += UInt64(fill / SegmentEntry.byteCount)
    fill = 0
    take(filter.add(page: payload))
    if waitingByteCount > Self.filterRunByteCount { try writeFilter() }
  }

  private func take(_ frames: [[UInt8]]) {
    for frame in frames {
      waiting.append(frame)
      waitingByteCount += frame.count
    }
  }

  private func writeFilter() throws(StoreError) {
    for payload in waiting {
      let number = SegmentTables.filterNumber(UInt64(lists.filterOffsets.count))
      lists.filterOffsets.append(writer.byteCount)
      lists.filterByteCounts.append(
        UInt64(try write(payload, kind: .segmentFilter, number: number)))
    }
    waiting.removeAll()
    waitingByteCount = 0
  }

  /// Writes a frame and returns its bytes on disk.
  @discardableResult
  private func write(
    _ payload: [UInt8], kind: FrameKind, number: UInt32
  ) throws(StoreError) -> Int {
    let bytes = try decoding(name) { () throws(FormatError) in
      try seal.frame(payload, kind: kind, number: number, level: 0)
    }
    try onDisk(name) { () throws(DiskError) in
      try bytes.withUnsafeBytesTyped { (raw) throws(DiskError) in try writer.append(raw) }
    }
    return bytes.count
  }

  /// Completes the segment over these containers. Its content is synced; its name is durable after
  /// `makeNamesDurable`.
  func finish(containers: [Identifier]) throws(StoreError) -> SegmentRecord {
    try closePage()
    take(filter.finish())
    try writeFilter()
    lists.containers = containers
    let listsOffset = writer.byteCount
    let stream = lists.encoded()
    var start = 0
    var number: UInt64 = 0
    while start < stream.count {
      let end = min(start + SegmentTables.listByteCount, stream.count)
      try write(
        Array(stream[start..<end]), kind: .segmentLists,
        number: SegmentTables.listNumber(number))
      start = end
      number += 1
    }
    let tablesOffset = writer.byteCount
    let tables = SegmentTables(
      containerCount: UInt64(containers.count), filter: filter.shape,
      filterWordCount: filter.wordCount, listsOffset: listsOffset)
    try write(tables.encoded(), kind: .segmentTables, number: SegmentTables.headNumber)
    let footer = SegmentTables.footer(tablesOffset: tablesOffset, entryCount: entryCount)
    try onDisk(name) { () throws(DiskError) in
      try footer.withUnsafeBytesTyped { (raw) throws(DiskError) in try writer.append(raw) }
      try writer.finish()
    }
    return SegmentRecord(
      id: id, byteCount: writer.byteCount, entryCount: entryCount, containers: containers)
  }

  func discard() { writer.discard() }
}
