internal import MuninnDisk
internal import MuninnFormat

/// Reads the parts of an index segment that are not pages, each held against the object's size
/// before memory is taken for it.
struct SegmentReader {
  let store: Store
  let name: String
  let byteCount: UInt64
  let seal: Seal

  /// One frame's payload. `count` is what the frame takes on disk.
  func frame(
    at offset: UInt64, count: Int, kind: FrameKind, number: UInt32
  ) throws(StoreError) -> [UInt8] {
    guard count >= Frame.byteCount, UInt64(count) <= byteCount, offset <= byteCount - UInt64(count)
    else {
      throw StoreError(
        .damaged, "\(count) bytes at offset \(offset) of \(byteCount)", object: name)
    }
    let bytes = try store.read(name, at: offset, count: count)
    return try decoding(name) { () throws(FormatError) in
      try bytes.withUnsafeBytesTyped { (raw) throws(FormatError) in
        try seal.open(raw, kind: kind, number: number, limit: FormatLimit.recordByteCount).payload
      }
    }
  }

  /// The head of the tables, at the object's end.
  func tables(entryCount: UInt64) throws(StoreError) -> SegmentTables {
    let footerAt = byteCount - UInt64(SegmentTables.footerByteCount)
    let footer = try store.read(name, at: footerAt, count: SegmentTables.footerByteCount)
    let offset = try decoding(name) { () throws(FormatError) in
      let (offset, count) = try footer.withUnsafeBytesTyped { (raw) throws(FormatError) in
        try SegmentTables.decodeFooter(raw)
      }
      guard count == entryCount, offset >= UInt64(Envelope.byteCount), offset < footerAt,
        footerAt - offset <= 4096
      else { throw FormatError(.invalidValue, "\(count) entries, tables at \(offset)") }
      return offset
    }
    let payload = try frame(
      at: offset, count: Int(footerAt - offset), kind: .segmentTables,
      number: SegmentTables.headNumber)
    return try decoding(name) { () throws(FormatError) in
      let tables = try payload.withUnsafeBytesTyped { (raw) throws(FormatError) in
        try SegmentTables(decoding: raw)
      }
      guard tables.filterWordCount <= byteCount / 8, tables.listsOffset < offset,
        let lists = SegmentLists.byteCount(tables, entryCount: entryCount),
        lists <= offset - tables.listsOffset
      else { throw FormatError(.invalidValue, "tables that are larger than the segment") }
      return tables
    }
  }

  func lists(_ tables: SegmentTables, entryCount: UInt64) throws(StoreError) -> SegmentLists {
    let total = SegmentLists.byteCount(tables, entryCount: entryCount) ?? 0
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Int(total))
    var offset = tables.listsOffset
    var number: UInt64 = 0
    while UInt64(bytes.count) < total {
      let payload = Int(min(total - UInt64(bytes.count), UInt64(SegmentTables.listByteCount)))
      let count = Frame.byteCount + payload + seal.overhead
      let part = try frame(
        at: offset, count: count, kind: .segmentLists, number: SegmentTables.listNumber(number))
      guard part.count == payload else {
        throw StoreError(.damaged, "a list of \(part.count) bytes", object: name)
      }
      bytes.append(contentsOf: part)
      offset += UInt64(count)
      number += 1
    }
    return try decoding(name) { () throws(FormatError) in
      try bytes.withUnsafeBytesTyped { (raw) throws(FormatError) in
        try SegmentLists(decoding: raw, tables, entryCount: entryCount)
      }
    }
  }

  /// The whole filter, into memory.
  func filter(_ tables: SegmentTables, _ lists: SegmentLists) throws(StoreError) -> ChunkFilter {
    let filter = try decoding(name) { () throws(FormatError) in
      try ChunkFilter(shape: tables.filter, wordCount: tables.filterWordCount)
    }
    for ordinal in lists.filterOffsets.indices {
      let payload = try frame(
        at: lists.filterOffsets[ordinal], count: Int(clamping: lists.filterByteCounts[ordinal]),
        kind: .segmentFilter, number: SegmentTables.filterNumber(UInt64(ordinal)))
      try decoding("\(name), filter") { () throws(FormatError) in
        try payload.withUnsafeBytesTyped { (raw) throws(FormatError) in
          try filter.append(frame: raw)
        }
      }
    }
    guard filter.isComplete else {
      throw StoreError(.damaged, "a filter that lacks frames", object: name)
    }
    return filter
  }
}
