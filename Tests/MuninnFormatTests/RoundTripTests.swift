import MuninnFormat
import MuninnTestSupport
import Testing

/// What is encoded comes back, whatever the values.
@Suite struct RoundTripTests {
  @Test func numbers() throws {
    var generator = SeededGenerator.printed()
    var values: [UInt64] = [0, 1, .max, .max - 1]
    for bit in 0..<64 { values += [1 << bit, (1 << bit) - 1] }
    for _ in 0..<2000 { values.append(generator.number()) }
    var writer = ByteWriter()
    for value in values {
      writer.varint(value)
      writer.signed(Int64(bitPattern: value))
      writer.integer(value)
    }
    try withRaw(writer.bytes) { (raw) throws(FormatError) in
      var reader = ByteReader(raw)
      for value in values {
        let read = (
          try reader.varint(), try reader.signed(), try reader.integer(UInt64.self)
        )
        #expect(read == (value, Int64(bitPattern: value), value))
      }
      try reader.expectEnd()
    }
  }

  @Test func entryPages() throws {
    var generator = SeededGenerator.printed()
    for _ in 0..<60 {
      let containers = generator.identifiers(upTo: 5) + [generator.identifier()]
      let paths = generator.paths(Int(generator.next() % 40))
      let entries = paths.map { generator.entry($0, containers) }
      let decoded = try withRaw(Sample.page(entries)) { (raw) throws(FormatError) in
        try EntryPage.decode(raw)
      }
      #expect(decoded == entries)
    }
  }

  @Test func aPageWriterStartsAnew() throws {
    var writer = EntryPageWriter()
    for entry in Sample.entries { _ = writer.append(entry) }
    #expect(writer.entryCount == Sample.entries.count)
    #expect(writer.byteCount == Sample.entries.reduce(0) { $0 + $1.size })
    #expect(writer.firstKey.isEmpty)
    _ = writer.finish()
    _ = writer.append(Sample.entries[1])
    #expect(writer.firstKey == Sample.entries[1].path)
    #expect(writer.finish() == Sample.page([Sample.entries[1]]))
  }

  @Test func upperAndExtentPages() throws {
    var generator = SeededGenerator.printed()
    for level in UInt8(1)...12 {
      let containers = generator.identifiers(upTo: 5) + [generator.identifier()]
      let references = generator.paths(30).map {
        PageReference(
          firstKey: $0, page: generator.reference(containers), entryCount: generator.number(),
          byteCount: generator.number())
      }
      let page = ReferencePage.encoded(level: level, references)
      let decoded = try withRaw(page) { (raw) throws(FormatError) in
        try ReferencePage.decode(raw, level: level)
      }
      #expect(decoded == references)
      #expect(throws: FormatError.self, "a page of level \(level) stands for no other") {
        try withRaw(page) { (raw) throws(FormatError) in
          try ReferencePage.decode(raw, level: level + 1)
        }
      }
      let extents = generator.extents(Int(generator.next() % 2000), containers)
      let restored = try withRaw(ExtentPage.encoded(extents)) { (raw) throws(FormatError) in
        try ExtentPage.decode(raw)
      }
      #expect(restored == extents)
    }
  }

  @Test func directories() throws {
    var generator = SeededGenerator.printed()
    for _ in 0..<50 {
      var directory = ContainerDirectory()
      var offset = UInt64(Envelope.byteCount)
      for _ in 0..<(generator.next() % 20) {
        let lengths = (0...(generator.next() % 30)).map { _ in
          UInt32(generator.number(below: 1 << 19))
        }
        let frame = UInt32(generator.number(below: 1 << 20))
        directory.blocks.append(
          BlockRecord(
            offset: offset, frameByteCount: frame,
            rawByteCount: lengths.reduce(UInt32(4 + 4 * lengths.count), +),
            firstSlot: UInt32(directory.chunkCount), chunkCount: UInt32(lengths.count)))
        directory.lengths += lengths
        directory.identities += lengths.map { _ in generator.identity() }
        offset += UInt64(frame)
      }
      let decoded = try withRaw(directory.encoded()) { (raw) throws(FormatError) in
        try ContainerDirectory(decoding: raw)
      }
      #expect(decoded == directory)
      for (ordinal, block) in directory.blocks.enumerated() {
        for slot in block.firstSlot..<(block.firstSlot + block.chunkCount) {
          #expect(directory.block(ofSlot: slot) == ordinal)
        }
      }
      #expect(directory.block(ofSlot: UInt32(directory.chunkCount)) == nil)
    }
  }

  @Test func records() throws {
    var generator = SeededGenerator.printed()
    for _ in 0..<200 {
      let record = JournalRecord(
        number: generator.number(), previousHash: generator.bytes(32),
        session: generator.identifier(), nonce: generator.identifier(),
        timeNanoseconds: Int64(bitPattern: generator.number()),
        operations: (0..<(generator.next() % 5)).map { _ in generator.operation() })
      let decoded = try withRaw(record.encodedPayload()) { (raw) throws(FormatError) in
        try JournalRecord(decodingPayload: raw)
      }
      #expect(decoded == record)
    }
  }

  @Test func identifiersAsText() {
    var generator = SeededGenerator.printed()
    for _ in 0..<500 {
      let id = generator.identifier()
      #expect(id.description.utf8.count == 32)
      #expect(Identifier(hex: id.description) == id)
    }
    #expect(Identifier(hex: "") == nil)
    #expect(Identifier(hex: String(repeating: "0", count: 31)) == nil)
    #expect(Identifier(hex: String(repeating: "0", count: 33)) == nil)
    #expect(Identifier(hex: String(repeating: "A", count: 32)) == nil)
    #expect(Identifier(hex: "+" + String(repeating: "0", count: 31)) == nil)
  }

  /// In memory and from its frames alone, full, crowded and empty.
  @Test(arguments: [6, 7, 8, 11, 13, 16], [0, 1, 255, 256, 257, 5000, 100_000])
  func aFilterHoldsWhatWasPutIn(remainderBits: Int, count: Int) throws {
    var generator = SeededGenerator.printed()
    // Some prefixes twice, and a crowd in a narrow range.
    var inside = (0..<count).map { _ in generator.next() }
    for index in inside.indices where index % 50 == 7 { inside[index] = inside[index / 2] }
    for index in inside.indices where index % 10 == 3 {
      inside[index] = 1 << 60 | inside[index] >> 30
    }
    inside.sort()
    var writer = ByteWriter()
    for prefix in inside {
      writer.integer(prefix)
      writer.integer(UInt64(3))
    }
    let shape = FilterShape(entryCount: UInt64(count), remainderBits: remainderBits)
    var builder = FilterBuilder(shape: shape)
    var frames: [[UInt8]] = []
    for start in stride(from: 0, to: writer.bytes.count, by: 16_384) {
      let end = min(start + 16_384, writer.bytes.count)
      frames += writer.bytes[start..<end].withUnsafeBytes { builder.add(page: $0) }
    }
    frames += builder.finish()
    #expect(frames.count == Int(shape.frameCount))
    let filter = try ChunkFilter(shape: shape, wordCount: builder.wordCount)
    for frame in frames {
      try frame.withUnsafeBytesTyped { (raw) throws(FormatError) in try filter.append(frame: raw) }
    }
    #expect(filter.isComplete)
    #expect(inside.allSatisfy { filter.mayContain($0) })
    #expect(
      inside.allSatisfy {
        ChunkFilter.frame(frames[Int(shape.frame(of: $0))], of: shape, mayContain: $0)
      })
    let strangers = (0..<20_000).map { _ in generator.next() }
    let wrong = strangers.count { filter.mayContain($0) }
    #expect(
      wrong <= 40 + 60_000 >> remainderBits, "\(wrong) of 20,000 strangers pass")
    for stranger in strangers.prefix(500) {
      #expect(
        ChunkFilter.frame(frames[Int(shape.frame(of: stranger))], of: shape, mayContain: stranger)
          == filter.mayContain(stranger))
    }
    if count == 100_000 {
      let bits = Double(filter.byteCount * 8) / Double(count)
      #expect(bits < Double(remainderBits) + 2.5, "\(bits) bits an entry")
    }
  }

  /// What lies in a page decides where it ends, so that a run that two trees share gives the same
  /// pages.
  @Test func pagesOfASharedRunAreTheSame() throws {
    var generator = SeededGenerator.printed()
    let containers = [generator.identifier()]
    let entries = generator.paths(4000).map { generator.entry($0, containers) }
    func pages(_ entries: [ManifestEntry]) -> [[UInt8]] {
      var pages: [[UInt8]] = []
      var writer = EntryPageWriter()
      for entry in entries where writer.append(entry) { pages.append(writer.finish()) }
      if writer.entryCount > 0 { pages.append(writer.finish()) }
      return pages
    }
    let whole = pages(entries)
    #expect(whole.count > 10)
    let without = Set(pages(Array(entries.dropFirst(3))))
    let shared = whole.count { without.contains($0) }
    #expect(shared > whole.count / 2, "\(shared) of \(whole.count) pages are shared")
  }
}
