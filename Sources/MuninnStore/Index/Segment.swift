internal import MuninnDisk
internal import MuninnFormat

/// An index segment that is open: tables in memory, pages mapped and checked as they are touched.
final class Segment: Sendable {
  let record: SegmentRecord
  let tables: SegmentTables
  private let object: MappedObject
  private let seal: Seal
  private let name: String
  private let pageFrameByteCount: Int

  init(_ record: SegmentRecord, store: Store) throws(StoreError) {
    self.record = record
    let name = ObjectName.segment(record.id)
    let mapped = try onDisk(name) { () throws(DiskError) in try store.storage.map(name) }
    guard mapped.count >= Envelope.byteCount + SegmentTables.footerByteCount,
      UInt64(mapped.count) == record.byteCount
    else {
      throw StoreError(
        .damaged, "\(mapped.count) bytes where the journal says \(record.byteCount)", object: name)
    }
    let envelope = try store.envelope(
      of: [UInt8](mapped.bytes.prefix(Envelope.byteCount)), name: name, object: record.id)
    let seal = try decoding(name) { () throws(FormatError) in
      try Seal(envelope: envelope, masterKey: store.masterKey)
    }
    tables = try decoding(name) { () throws(FormatError) in
      let (offset, count) = try SegmentTables.decodeFooter(
        UnsafeRawBufferPointer(rebasing: mapped.bytes.suffix(SegmentTables.footerByteCount)))
      guard count == record.entryCount, offset >= UInt64(Envelope.byteCount),
        offset <= UInt64(mapped.count - SegmentTables.footerByteCount)
      else { throw FormatError(.invalidValue, "\(count) entries, tables at \(offset)") }
      let pageCount = SegmentTables.pageCount(of: count)
      guard pageCount <= UInt64(mapped.count) else {
        throw FormatError(.invalidValue, "\(count) entries in \(mapped.count) bytes")
      }
      let payload = try seal.open(
        UnsafeRawBufferPointer(rebasing: mapped.bytes[Int(offset)...]), kind: .segmentTables,
        number: UInt32(truncatingIfNeeded: pageCount), limit: FormatLimit.recordByteCount
      ).payload
      return try payload.withUnsafeBytesTyped { (raw) throws(FormatError) in
        try SegmentTables(decoding: raw, entryCount: count)
      }
    }
    object = mapped
    self.seal = seal
    self.name = name
    pageFrameByteCount =
      Frame.byteCount + SegmentTables.entriesPerPage * SegmentEntry.byteCount + seal.overhead
  }

  var pageCount: Int { tables.firstPrefixes.count }

  /// The entries of page `number`.
  func page(_ number: Int) throws(StoreError) -> [SegmentEntry] {
    let start = Envelope.byteCount + number * pageFrameByteCount
    return try decoding("\(name), page \(number)") { () throws(FormatError) in
      guard start < object.count else { throw FormatError(.truncated, "the page is missing") }
      let payload = try seal.open(
        UnsafeRawBufferPointer(rebasing: object.bytes[start...]), kind: .segmentPage,
        number: UInt32(number), limit: SegmentTables.entriesPerPage * SegmentEntry.byteCount
      ).payload
      return try payload.withUnsafeBytesTyped { (raw) throws(FormatError) in
        var reader = ByteReader(raw)
        var entries: [SegmentEntry] = []
        entries.reserveCapacity(raw.count / SegmentEntry.byteCount)
        while reader.remaining > 0 {
          let entry = SegmentEntry(
            prefix: try reader.integer(UInt64.self), container: try reader.integer(UInt32.self),
            slot: try reader.integer(UInt32.self))
          guard Int(entry.container) < tables.containers.count else {
            throw FormatError(.invalidValue, "container \(entry.container) of a segment")
          }
          entries.append(entry)
        }
        return entries
      }
    }
  }

  /// The pages that can hold `prefix`: the last one that begins at or below it, and those before
  /// that begin with it.
  func pages(for prefix: UInt64) -> Range<Int> {
    let firsts = tables.firstPrefixes
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
}
