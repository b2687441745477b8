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

/// The resident tables of an index segment: its containers, the first prefix of each page, and the
/// filter.
///
/// A segment is its envelope, the pages (frames of `entriesPerPage` entries, the last one shorter;
/// frame n+1 follows frame n; each page but the last has the same frame size, since pages are never
/// compressed), the tables' frame, and a footer of 32 bytes: XXH3-64 of the rest (8), magic
/// `MUNSEGM1` (8), tables' offset (8), entries (8). Payload of the tables: containers (count 4, ids
/// 16 each), pages (count 4, first prefixes 8 each), filter (count of 32-byte buckets 4, the
/// buckets).
package struct SegmentTables: Sendable, Equatable {
  package static let entriesPerPage = 1024
  package static let footerByteCount = 32
  static let magic = [UInt8]("MUNSEGM1".utf8)

  package var containers: [Identifier] = []
  package var firstPrefixes: [UInt64] = []
  package var filter: ChunkFilter

  package init(filter: ChunkFilter) { self.filter = filter }

  /// The pages that hold so many entries; any number may come from a record.
  package static func pageCount(of entryCount: UInt64) -> UInt64 {
    let (full, rest) = entryCount.quotientAndRemainder(dividingBy: UInt64(entriesPerPage))
    return rest == 0 ? full : full + 1
  }

  package func encoded() -> [UInt8] {
    var writer = ByteWriter(
      reserving: 12 + containers.count * 16 + firstPrefixes.count * 8 + filter.words.count * 4)
    writer.integer(UInt32(containers.count))
    for container in containers { writer.identifier(container) }
    writer.integer(UInt32(firstPrefixes.count))
    for prefix in firstPrefixes { writer.integer(prefix) }
    writer.integer(UInt32(filter.words.count / 8))
    for word in filter.words { writer.integer(word) }
    return writer.bytes
  }

  package init(decoding bytes: UnsafeRawBufferPointer, entryCount: UInt64) throws(FormatError) {
    var reader = ByteReader(bytes)
    let containerCount = Int(try reader.integer(UInt32.self))
    guard containerCount * 16 <= reader.remaining else {
      throw FormatError(.invalidValue, "a segment over \(containerCount) containers")
    }
    for _ in 0..<containerCount { containers.append(try reader.identifier()) }
    let pageCount = Int(try reader.integer(UInt32.self))
    guard UInt64(pageCount) == SegmentTables.pageCount(of: entryCount),
      pageCount * 8 <= reader.remaining
    else { throw FormatError(.invalidValue, "\(entryCount) entries in \(pageCount) pages") }
    firstPrefixes.reserveCapacity(pageCount)
    for _ in 0..<pageCount { firstPrefixes.append(try reader.integer(UInt64.self)) }
    let bucketCount = Int(try reader.integer(UInt32.self))
    guard bucketCount * 32 == reader.remaining, bucketCount > 0 else {
      throw FormatError(.invalidValue, "a filter of \(bucketCount) buckets")
    }
    var words: [UInt32] = []
    words.reserveCapacity(bucketCount * 8)
    for _ in 0..<(bucketCount * 8) { words.append(try reader.integer(UInt32.self)) }
    filter = ChunkFilter(words: words)
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

/// Tells that a prefix is certainly not in a segment: a split-block Bloom filter of 16 bits a key.
///
/// Source: F. Putze, P. Sanders, J. Singler, "Cache-, Hash- and Space-Efficient Bloom Filters",
/// 2007; the split into eight words with one bit each, and the odd multipliers, as in the Apache
/// Parquet format.
package struct ChunkFilter: Sendable, Equatable {
  package private(set) var words: [UInt32]

  private static let multipliers: [UInt32] = [
    0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947,
    0x5c6b_fb31,
  ]

  /// Room for `count` keys.
  package init(capacity count: Int) {
    words = [UInt32](repeating: 0, count: max(1, (count + 15) / 16) * 8)
  }

  package init(words: [UInt32]) { self.words = words }

  private func bucket(of prefix: UInt64) -> Int {
    let buckets = UInt64(words.count / 8)
    return Int(((prefix >> 32) &* buckets) >> 32) * 8
  }

  package mutating func insert(_ prefix: UInt64) {
    let start = bucket(of: prefix)
    let key = UInt32(truncatingIfNeeded: prefix)
    for lane in 0..<8 {
      words[start + lane] |= 1 << ((key &* ChunkFilter.multipliers[lane]) >> 27)
    }
  }

  package func mayContain(_ prefix: UInt64) -> Bool {
    let start = bucket(of: prefix)
    let key = UInt32(truncatingIfNeeded: prefix)
    for lane in 0..<8 {
      let bit: UInt32 = 1 << ((key &* ChunkFilter.multipliers[lane]) >> 27)
      if words[start + lane] & bit == 0 { return false }
    }
    return true
  }
}
