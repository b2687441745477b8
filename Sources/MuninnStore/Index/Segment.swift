internal import MuninnDisk
internal import MuninnFormat

/// An index segment that is open: its lists in memory, its filter where it fits, its pages read and
/// checked as they are asked.
///
/// Nothing is mapped. A page is checked and maybe decrypted anyway, and a file that is cut short
/// under a reader then makes a short read, an error of this one segment, and no signal.
final class Segment: Sendable {
  let record: SegmentRecord
  let name: String
  let tables: SegmentTables
  let lists: SegmentLists
  private let store: Store
  private let seal: Seal
  /// Nil where it does not fit into memory.
  private let filter: ChunkFilter?

  /// Opens the segment, with its filter in memory if that takes at most `filterBudget` bytes, which
  /// are taken off it.
  init(
    _ record: SegmentRecord, store: Store, filterBudget: inout UInt64
  ) throws(StoreError) {
    let name = ObjectName.segment(record.id)
    let size = try onDisk(name) { () throws(DiskError) in try store.storage.size(of: name) }
    guard size == record.byteCount,
      size >= UInt64(Envelope.byteCount + SegmentTables.footerByteCount)
    else {
      throw StoreError(
        .damaged, "\(size) bytes where the journal says \(record.byteCount)", object: name)
    }
    let head = try store.read(name, at: 0, count: Envelope.byteCount)
    let envelope = try store.envelope(of: head, name: name, object: record.id)
    let seal = try decoding(name) { () throws(FormatError) in
      guard envelope.kind == .segment else {
        throw FormatError(.wrongKind, "an object of kind \(envelope.kind)")
      }
      return try Seal(envelope: envelope, keys: store.keys)
    }
    let reader = SegmentReader(store: store, name: name, byteCount: size, seal: seal)
    let tables = try reader.tables(entryCount: record.entryCount)
    lists = try reader.lists(tables, entryCount: record.entryCount)
    self.record = record
    self.name = name
    self.tables = tables
    self.store = store
    self.seal = seal
    let cost = tables.filterWordCount * 8 + tables.filter.blockCount * 4
    if cost <= filterBudget {
      filter = try reader.filter(tables, lists)
      filterBudget -= cost
    } else {
      filter = nil
    }
  }

  var pageCount: Int { lists.firstPrefixes.count }

  /// Memory that the lists and the filter take, in bytes.
  var residentByteCount: Int {
    (filter?.byteCount ?? 0) + lists.containers.count * 16 + pageCount * 16
      + lists.filterOffsets.count * 16
  }

  var hasResidentFilter: Bool { filter != nil }

  /// Entries of page `number`.
  func entryCount(ofPage number: Int) -> Int {
    let before = UInt64(number) * UInt64(SegmentTables.entriesPerPage)
    return Int(min(UInt64(SegmentTables.entriesPerPage), record.entryCount - before))
  }

  /// Bytes that a page's buffer needs: the frame, and behind it the entries.
  var pageBufferByteCount: Int {
    Frame.byteCount + seal.overhead + 2 * SegmentTables.entriesPerPage * SegmentEntry.byteCount
  }

  /// Reads the entries of page `number`, sorted and 16 bytes each, to the end of `buffer`; the
  /// result lies in it.
  func readPage(
    _ number: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws(StoreError) -> UnsafeRawBufferPointer {
    let byteCount = entryCount(ofPage: number) * SegmentEntry.byteCount
    let frameCount = Frame.byteCount + byteCount + seal.overhead
    let frame = UnsafeMutableRawBufferPointer(rebasing: buffer[..<frameCount])
    let target = UnsafeMutableRawBufferPointer(
      rebasing: buffer[frameCount..<(frameCount + byteCount)])
    let got = try onDisk(name) { () throws(DiskError) in
      try store.storage.read(name, at: lists.pageOffsets[number], into: frame)
    }
    try decoding("\(name), page \(number)") { () throws(FormatError) in
      guard got == frameCount else { throw FormatError(.truncated, "the page is missing") }
      let sizes = try seal.open(
        UnsafeRawBufferPointer(frame), kind: .segmentPage, number: UInt32(number), into: target)
      guard sizes.payload == byteCount else {
        throw FormatError(.invalidValue, "\(sizes.payload) bytes of entries")
      }
    }
    return UnsafeRawBufferPointer(target)
  }

  /// The pages that can hold `prefix`: the last one that begins at or below it, and those before
  /// that begin with it.
  func pages(for prefix: UInt64) -> Range<Int> {
    let firsts = lists.firstPrefixes
    var low = 0
    var high = firsts.count
    while low < high {
      let middle = (low + high) / 2
      if firsts[middle] < prefix { low = middle + 1 } else { high = middle }
    }
    let begin = max(0, low - 1)
    var end = low
    while end < firsts.count, firsts[end] == prefix { end += 1 }
    return begin..<max(end, min(begin + 1, firsts.count))
  }

  /// False where the prefix is certainly not in the segment.
  func mayContain(_ prefix: UInt64) -> Bool {
    if let filter { return filter.mayContain(prefix) }
    let number = tables.filter.frame(of: prefix)
    // A frame that cannot be read tells nothing: the page does.
    guard let frame = try? filterFrame(number) else { return true }
    return ChunkFilter.frame(frame, of: tables.filter, mayContain: prefix)
  }

  func filterFrame(_ number: UInt64) throws(StoreError) -> [UInt8] {
    let reader = SegmentReader(
      store: store, name: name, byteCount: record.byteCount, seal: seal)
    return try reader.frame(
      at: lists.filterOffsets[Int(number)],
      count: Int(clamping: lists.filterByteCounts[Int(number)]), kind: .segmentFilter,
      number: SegmentTables.filterNumber(number))
  }

  /// Where the segment says that chunks of this prefix may be.
  func places(of prefix: UInt64) throws(StoreError) -> [ChunkLocation] {
    var found: [ChunkLocation] = []
    let buffer = Buffer(capacity: pageBufferByteCount)
    for number in pages(for: prefix) {
      let page = try readPage(number, into: buffer.bytes)
      var low = 0
      var high = page.count / SegmentEntry.byteCount
      let count = high
      while low < high {
        let middle = (low + high) / 2
        if page.entry(middle).prefix < prefix { low = middle + 1 } else { high = middle }
      }
      while low < count {
        let entry = page.entry(low)
        guard entry.prefix == prefix else { break }
        low += 1
        guard Int(entry.container) < lists.containers.count else {
          throw StoreError(
            .damaged, "container \(entry.container) of \(lists.containers.count)",
            object: "\(name), page \(number)")
        }
        found.append(
          ChunkLocation(container: lists.containers[Int(entry.container)], slot: entry.slot))
      }
    }
    return found
  }
}

extension UnsafeRawBufferPointer {
  /// Entry `ordinal` of a page; below the page's count.
  @inline(__always)
  func entry(_ ordinal: Int) -> SegmentEntry {
    let offset = ordinal * SegmentEntry.byteCount
    return SegmentEntry(
      prefix: UInt64(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self)),
      container: UInt32(littleEndian: loadUnaligned(fromByteOffset: offset + 8, as: UInt32.self)),
      slot: UInt32(littleEndian: loadUnaligned(fromByteOffset: offset + 12, as: UInt32.self)))
  }
}
