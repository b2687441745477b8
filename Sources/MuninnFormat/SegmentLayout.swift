/// One entry of an index segment: 16 bytes (prefix 8, container 4, slot 4), sorted by prefix.
///
/// The prefix is the fingerprint's low word. It only proposes a place: fingerprint and tag are
/// confirmed in the container's directory.
package struct SegmentEntry: Sendable, Equatable {
  package let prefix: UInt64
  /// Ordinal in the segment's table of containers.
  package let container: UInt32
  package let slot: UInt32

  package static let byteCount = 16

  package init(prefix: UInt64, container: UInt32, slot: UInt32) {
    self.prefix = prefix
    self.container = container
    self.slot = slot
  }
}

/// The head of an index segment's tables: how much there is of what, and where the lists begin.
///
/// A segment is its envelope; the pages (`entriesPerPage` entries each, the last one maybe fewer,
/// never compressed) and in between the frames of the filter, in the order of their numbers each;
/// the frames of the lists, one behind the other; this head's frame; and a footer of 32 bytes:
/// XXH3-64 of the rest (8), magic `MUNSEGM1` (8), head's offset (8), entries (8). No part but the
/// entries as a whole grows without bound, so that a segment is written and read with little
/// memory whatever its size.
///
/// Payload: containers (8), filter blocks (8), filter words (8), lists' offset (8), remainder bits
/// (1).
package struct SegmentTables: Sendable, Equatable {
  package static let entriesPerPage = 1024
  package static let footerByteCount = 32
  /// Bytes of the lists in a frame.
  package static let listByteCount = 1 << 20
  static let magic = [UInt8]("MUNSEGM1".utf8)

  package var containerCount: UInt64
  package var filter: FilterShape
  /// Of 8 bytes.
  package var filterWordCount: UInt64
  package var listsOffset: UInt64

  package init(
    containerCount: UInt64, filter: FilterShape, filterWordCount: UInt64, listsOffset: UInt64
  ) {
    self.containerCount = containerCount
    self.filter = filter
    self.filterWordCount = filterWordCount
    self.listsOffset = listsOffset
  }

  /// Numbers of frames, each used once: pages from 0, filter, lists and head above all of them.
  package static func filterNumber(_ ordinal: UInt64) -> UInt32 {
    1 << 31 | UInt32(truncatingIfNeeded: ordinal)
  }
  package static func listNumber(_ ordinal: UInt64) -> UInt32 {
    3 << 30 | UInt32(truncatingIfNeeded: ordinal)
  }
  package static let headNumber = UInt32.max
  /// So that numbers do not run into each other.
  package static let maximumPageCount: UInt64 = 1 << 30

  /// The pages that hold so many entries; any number may come from a record.
  package static func pageCount(of entryCount: UInt64) -> UInt64 {
    let (full, rest) = entryCount.quotientAndRemainder(dividingBy: UInt64(entriesPerPage))
    return rest == 0 ? full : full + 1
  }

  package func encoded() -> [UInt8] {
    var writer = ByteWriter(reserving: 33)
    writer.integer(containerCount)
    writer.integer(filter.blockCount)
    writer.integer(filterWordCount)
    writer.integer(listsOffset)
    writer.byte(UInt8(filter.remainderBits))
    return writer.bytes
  }

  package init(decoding bytes: UnsafeRawBufferPointer) throws(FormatError) {
    var reader = ByteReader(bytes)
    containerCount = try reader.integer(UInt64.self)
    let blocks = try reader.integer(UInt64.self)
    filterWordCount = try reader.integer(UInt64.self)
    listsOffset = try reader.integer(UInt64.self)
    filter = try FilterShape(blockCount: blocks, remainderBits: Int(try reader.byte()))
    try reader.expectEnd()
    guard containerCount <= UInt64(UInt32.max), filterWordCount > blocks,
      filterWordCount < UInt64(UInt32.max)
    else {
      throw FormatError(
        .invalidValue,
        "a segment over \(containerCount) containers with \(filterWordCount) words of filter")
    }
  }

  package static func footer(tablesOffset: UInt64, entryCount: UInt64) -> [UInt8] {
    var body = ByteWriter(reserving: 24)
    body.raw(magic)
    body.integer(tablesOffset)
    body.integer(entryCount)
    var writer = ByteWriter(reserving: footerByteCount)
    writer.integer(body.bytes.withUnsafeBytes { checksum($0) })
    writer.raw(body.bytes)
    return writer.bytes
  }

  package static func decodeFooter(
    _ bytes: UnsafeRawBufferPointer
  ) throws(FormatError) -> (tablesOffset: UInt64, entryCount: UInt64) {
    var reader = ByteReader(bytes)
    let sum = try reader.integer(UInt64.self)
    guard try reader.array(8) == magic else {
      throw FormatError(.truncated, "the segment has no footer: it was cut short")
    }
    guard checksum(UnsafeRawBufferPointer(rebasing: bytes[8...])) == sum else {
      throw FormatError(.checksumMismatch, "the segment's footer is damaged (checksum)")
    }
    let offset = try reader.integer(UInt64.self)
    let count = try reader.integer(UInt64.self)
    try reader.expectEnd()
    return (offset, count)
  }
}

/// The lists of an index segment, as one stream of bytes that its frames hold: containers (16
/// each), pages (first prefix 8, offset of the frame 8), frames of the filter (offset 8, bytes 8).
package struct SegmentLists: Sendable, Equatable {
  package var containers: [Identifier] = []
  package var firstPrefixes: [UInt64] = []
  package var pageOffsets: [UInt64] = []
  package var filterOffsets: [UInt64] = []
  package var filterByteCounts: [UInt64] = []

  package init() {}

  package func encoded() -> [UInt8] {
    var writer = ByteWriter(
      reserving: containers.count * 16 + pageOffsets.count * 16 + filterOffsets.count * 16)
    for container in containers { writer.identifier(container) }
    for (prefix, offset) in zip(firstPrefixes, pageOffsets) {
      writer.integer(prefix)
      writer.integer(offset)
    }
    for (offset, byteCount) in zip(filterOffsets, filterByteCounts) {
      writer.integer(offset)
      writer.integer(byteCount)
    }
    return writer.bytes
  }

  /// Bytes of the stream; nil where it is more than any object holds.
  package static func byteCount(
    _ tables: SegmentTables, entryCount: UInt64
  ) -> UInt64? {
    let pages = SegmentTables.pageCount(of: entryCount)
    guard pages <= SegmentTables.maximumPageCount else { return nil }
    return tables.containerCount * 16 + pages * 16 + tables.filter.frameCount * 16
  }

  package init(
    decoding bytes: UnsafeRawBufferPointer, _ tables: SegmentTables, entryCount: UInt64
  ) throws(FormatError) {
    guard SegmentLists.byteCount(tables, entryCount: entryCount) == UInt64(bytes.count) else {
      throw FormatError(
        .invalidValue, "\(bytes.count) bytes of lists for \(entryCount) entries of a segment")
    }
    var reader = ByteReader(bytes)
    containers.reserveCapacity(Int(tables.containerCount))
    for _ in 0..<tables.containerCount { containers.append(try reader.identifier()) }
    let pages = Int(SegmentTables.pageCount(of: entryCount))
    firstPrefixes.reserveCapacity(pages)
    pageOffsets.reserveCapacity(pages)
    var least: UInt64 = 0
    for _ in 0..<pages {
      let prefix = try reader.integer(UInt64.self)
      guard prefix >= least else {
        throw FormatError(.invalidValue, "pages of a segment are not in order")
      }
      least = prefix
      firstPrefixes.append(prefix)
      pageOffsets.append(try reader.integer(UInt64.self))
    }
    for _ in 0..<tables.filter.frameCount {
      filterOffsets.append(try reader.integer(UInt64.self))
      filterByteCounts.append(try reader.integer(UInt64.self))
    }
    try reader.expectEnd()
  }
}
