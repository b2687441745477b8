/// How the prefixes of a segment map to its filter.
///
/// The range of prefixes is split evenly into blocks, a block into 256 buckets. Of each prefix the
/// filter keeps its bucket, in unary (Elias-Fano), and the `remainderBits` that follow: one bucket
/// an entry on average, so that it costs `remainderBits` + 2.4 bits an entry and is wrong about one
/// stranger in 2^`remainderBits`. It is made in one pass over the sorted run, with the memory of a
/// block.
///
/// Source: P. Elias, "Efficient storage and retrieval by content and address of static files",
/// 1974; as a filter it is the quotienting of J. Cleary, "Compact hash tables using bidirectional
/// linear probing", 1984, laid out for sorted input.
package struct FilterShape: Sendable, Equatable {
  package static let bucketsPerBlock = 256
  package static let blocksPerFrame = 64
  package static let remainderRange = 6...16

  package let blockCount: UInt64
  package let remainderBits: Int

  package init(entryCount: UInt64, remainderBits: Int) {
    let perBlock = UInt64(Self.bucketsPerBlock)
    blockCount = max(1, entryCount / perBlock + (entryCount % perBlock == 0 ? 0 : 1))
    self.remainderBits = remainderBits
  }

  package init(blockCount: UInt64, remainderBits: Int) throws(FormatError) {
    guard blockCount > 0, blockCount < 1 << 40, Self.remainderRange.contains(remainderBits) else {
      throw FormatError(
        .invalidValue, "a filter of \(blockCount) blocks with \(remainderBits) bits")
    }
    self.blockCount = blockCount
    self.remainderBits = remainderBits
  }

  package var frameCount: UInt64 {
    (blockCount + UInt64(Self.blocksPerFrame) - 1) / UInt64(Self.blocksPerFrame)
  }

  /// The most bytes that one block takes, and so bounds a frame: every key of it is different.
  package static func frameLimit(remainderBits: Int) -> Int {
    blocksPerFrame * (bucketsPerBlock << min(remainderBits, 10)) * 3
  }

  /// Blocks in frame `number`.
  package func blocks(inFrame number: UInt64) -> Int {
    Int(min(UInt64(Self.blocksPerFrame), blockCount - number * UInt64(Self.blocksPerFrame)))
  }

  /// Block, and bucket with remainder behind it; both grow with the prefix.
  @inline(__always)
  func place(of prefix: UInt64) -> (block: UInt64, key: UInt64) {
    let product = blockCount.multipliedFullWidth(by: prefix)
    return (product.high, product.low >> UInt64(56 - remainderBits))
  }

  /// Words of a block with so many keys: count (32 bits), unary part, remainders.
  @inline(__always)
  func wordCount(keys: Int) -> Int {
    (32 + Self.bucketsPerBlock + keys * (1 + remainderBits) + 63) / 64
  }

  /// Whether the block whose `count` words begin at `words` has the key. What cannot be a block
  /// says yes: the page decides then.
  @inline(__always)
  func contains(_ key: UInt64, in words: UnsafePointer<UInt64>, count: Int) -> Bool {
    let keys = Int(UInt64(littleEndian: words[0]) & 0xFFFF_FFFF)
    guard keys < 1 << 24, wordCount(keys: keys) <= count else { return true }
    let end = 32 + Self.bucketsPerBlock + keys
    let bucket = Int(key >> UInt64(remainderBits))
    let remainder = key & ((1 << UInt64(remainderBits)) - 1)
    guard var at = start(ofBucket: bucket, in: words, end: end) else { return true }
    var ordinal = at - 32 - bucket
    while at < end, ordinal < keys, UInt64(littleEndian: words[at >> 6]) >> UInt64(at & 63) & 1 == 1
    {
      let bit = end + ordinal * remainderBits
      var found = UInt64(littleEndian: words[bit >> 6]) >> UInt64(bit & 63)
      if (bit & 63) + remainderBits > 64 {
        found |= UInt64(littleEndian: words[(bit >> 6) + 1]) << UInt64(64 - (bit & 63))
      }
      if found & ((1 << UInt64(remainderBits)) - 1) == remainder { return true }
      at += 1
      ordinal += 1
    }
    return false
  }

  /// The bit behind the zero that ends the bucket before; nil where there are too few zeros.
  @inline(__always)
  private func start(ofBucket bucket: Int, in words: UnsafePointer<UInt64>, end: Int) -> Int? {
    if bucket == 0 { return 32 }
    var rest = bucket - 1
    var index = 0
    // The count's bits are no zeros of buckets.
    var zeros = ~UInt64(littleEndian: words[0]) & ~0xFFFF_FFFF
    while true {
      let count = zeros.nonzeroBitCount
      if rest < count { break }
      rest -= count
      index += 1
      guard index * 64 < end else { return nil }
      zeros = ~UInt64(littleEndian: words[index])
    }
    let at = index * 64 + ChunkFilter.select(rest, in: zeros) + 1
    return at <= end ? at : nil
  }
}

/// Makes the filter's frames from a sorted run, in one pass.
package struct FilterBuilder {
  package let shape: FilterShape
  private var block: UInt64 = 0
  private var keys: [UInt32] = []
  private var words: [UInt64] = []
  private var frameCount: UInt64 = 0
  /// All words so far, of 8 bytes.
  package private(set) var wordCount: UInt64 = 0

  package init(shape: FilterShape) { self.shape = shape }

  /// Adds the prefixes of a page's entries, which are sorted and not below those before; returns
  /// the payloads of the frames that this completes.
  package mutating func add(page: UnsafeRawBufferPointer) -> [[UInt8]] {
    var complete: [[UInt8]] = []
    var offset = 0
    while offset + SegmentEntry.byteCount <= page.count {
      let prefix = UInt64(
        littleEndian: page.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
      let (target, key) = shape.place(of: prefix)
      if target > block { advance(to: target, &complete) }
      let narrow = UInt32(truncatingIfNeeded: key)
      if keys.last != narrow { keys.append(narrow) }
      offset += SegmentEntry.byteCount
    }
    return complete
  }

  /// The frames that are left, after the last entry.
  package mutating func finish() -> [[UInt8]] {
    var complete: [[UInt8]] = []
    advance(to: shape.blockCount, &complete)
    return complete
  }

  private mutating func advance(to target: UInt64, _ complete: inout [[UInt8]]) {
    while block < target {
      closeBlock()
      block += 1
      if block % UInt64(FilterShape.blocksPerFrame) == 0 || block == shape.blockCount {
        var payload = ByteWriter(reserving: words.count * 8)
        for word in words { payload.integer(word) }
        complete.append(payload.bytes)
        wordCount += UInt64(words.count)
        words.removeAll(keepingCapacity: true)
      }
    }
  }

  private mutating func closeBlock() {
    let first = words.count
    words.append(contentsOf: repeatElement(0, count: shape.wordCount(keys: keys.count)))
    words[first] = UInt64(keys.count)
    let bits = shape.remainderBits
    let end = 32 + FilterShape.bucketsPerBlock + keys.count
    for (ordinal, key) in keys.enumerated() {
      let unary = 32 + Int(key >> UInt32(bits)) + ordinal
      words[first + unary >> 6] |= 1 << UInt64(unary & 63)
      let remainder = UInt64(key) & ((1 << UInt64(bits)) - 1)
      let bit = end + ordinal * bits
      words[first + bit >> 6] |= remainder << UInt64(bit & 63)
      if (bit & 63) + bits > 64 {
        words[first + (bit >> 6) + 1] |= remainder >> UInt64(64 - (bit & 63))
      }
    }
    keys.removeAll(keepingCapacity: true)
  }
}

/// Tells that a prefix is certainly not in a segment: a whole filter in memory.
///
/// `@unchecked Sendable`: filled by one thread before it is shared, and never changed after.
package final class ChunkFilter: @unchecked Sendable {
  package let shape: FilterShape
  // Sound: allocated, filled and freed here alone; every index is below these counts.
  private let words: UnsafeMutablePointer<UInt64>
  private let capacity: Int
  private let starts: UnsafeMutablePointer<UInt32>
  private var fill = 0
  private var blockCount = 0

  /// Room for `wordCount` words, which the caller has held against the segment's size.
  package init(shape: FilterShape, wordCount: UInt64) throws(FormatError) {
    guard wordCount < UInt64(UInt32.max), shape.blockCount < wordCount else {
      throw FormatError(
        .invalidValue, "a filter of \(wordCount) words for \(shape.blockCount) blocks")
    }
    self.shape = shape
    capacity = Int(wordCount)
    words = .allocate(capacity: capacity)
    starts = .allocate(capacity: Int(shape.blockCount) + 1)
    starts[0] = 0
  }

  deinit {
    words.deallocate()
    starts.deallocate()
  }

  /// Memory, in bytes.
  package var byteCount: Int { capacity * 8 + (Int(shape.blockCount) + 1) * 4 }

  /// Takes over the next frame's payload; they come in order.
  package func append(frame payload: UnsafeRawBufferPointer) throws(FormatError) {
    let count = payload.count / 8
    let wanted = min(FilterShape.blocksPerFrame, Int(shape.blockCount) - blockCount)
    guard payload.count % 8 == 0, count <= capacity - fill, wanted > 0 else {
      throw FormatError(.invalidValue, "a filter frame of \(payload.count) bytes")
    }
    UnsafeMutableRawBufferPointer(start: words + fill, count: payload.count)
      .copyMemory(from: payload)
    let end = fill + count
    for _ in 0..<wanted {
      guard fill < end else { throw FormatError(.truncated, "a filter frame lacks blocks") }
      let size = shape.wordCount(keys: Int(UInt64(littleEndian: words[fill]) & 0xFFFF_FFFF))
      guard size <= end - fill else {
        throw FormatError(.invalidValue, "a block of a filter is longer than its frame")
      }
      fill += size
      blockCount += 1
      starts[blockCount] = UInt32(fill)
    }
    guard fill == end else {
      throw FormatError(.invalidValue, "a filter frame has \(end - fill) words too many")
    }
  }

  package var isComplete: Bool { fill == capacity && blockCount == Int(shape.blockCount) }

  package func mayContain(_ prefix: UInt64) -> Bool {
    let (block, key) = shape.place(of: prefix)
    let start = Int(starts[Int(block)])
    return shape.contains(key, in: words + start, count: Int(starts[Int(block) + 1]) - start)
  }

  /// The same from the payload of the one frame that can tell; see `FilterShape.frame(of:)`.
  package static func frame(_ payload: [UInt8], of shape: FilterShape, mayContain prefix: UInt64)
    -> Bool
  {
    let (block, key) = shape.place(of: prefix)
    return payload.withUnsafeBytes { raw -> Bool in
      // A payload lies in memory of its own, aligned by the allocator.
      let words = raw.bindMemory(to: UInt64.self)
      guard let base = words.baseAddress else { return true }
      var at = 0
      for _ in 0..<Int(block % UInt64(FilterShape.blocksPerFrame)) {
        guard at < words.count else { return true }
        at += shape.wordCount(keys: Int(UInt64(littleEndian: words[at]) & 0xFFFF_FFFF))
      }
      guard at < words.count else { return true }
      return shape.contains(key, in: base + at, count: words.count - at)
    }
  }

  /// The position of the set bit before which `rank` others are set.
  @inline(__always)
  static func select(_ rank: Int, in word: UInt64) -> Int {
    var rest = rank
    var word = word
    var base = 0
    var width: UInt64 = 32
    while width >= 8 {
      let count = (word & ((1 << width) - 1)).nonzeroBitCount
      if rest >= count {
        rest -= count
        word >>= width
        base += Int(width)
      }
      width >>= 1
    }
    while rest > 0 {
      word &= word - 1
      rest -= 1
    }
    return base + word.trailingZeroBitCount
  }
}

extension FilterShape {
  /// The number of the frame that can tell about a prefix.
  package func frame(of prefix: UInt64) -> UInt64 {
    place(of: prefix).block / UInt64(Self.blocksPerFrame)
  }
}
