import MuninnFormat
import MuninnTestSupport
import Testing

/// Values over their limits are refused before memory is taken for them, and nothing that is read
/// traps.
@Suite struct LimitTests {
  private func refuses(
    _ bytes: [UInt8], _ what: Comment, code: FormatError.Code? = nil,
    sourceLocation: SourceLocation = #_sourceLocation,
    _ decode: (UnsafeRawBufferPointer) throws(FormatError) -> Void
  ) {
    do throws(FormatError) {
      try withRaw(bytes, decode)
      Issue.record("\(what): accepted", sourceLocation: sourceLocation)
    } catch {
      if let code { #expect(error.code == code, what, sourceLocation: sourceLocation) }
    }
  }

  private func written(_ body: (inout ByteWriter) -> Void) -> [UInt8] {
    var writer = ByteWriter()
    body(&writer)
    return writer.bytes
  }

  @Test func varintsOver64Bits() {
    for bytes: [UInt8] in [
      [UInt8](repeating: 0xFF, count: 10), [UInt8](repeating: 0x80, count: 9) + [2],
      [UInt8](repeating: 0x80, count: 11), [0x80], [],
    ] {
      refuses(bytes, "\(bytes)") { (raw) throws(FormatError) in
        var reader = ByteReader(raw)
        _ = try reader.varint()
      }
    }
  }

  @Test func countsOverTheirLimit() {
    for limit in [0, 1, 100] {
      let bytes = written { $0.count(limit + 1) }
      refuses(bytes, "\(limit + 1)", code: .invalidValue) { (raw) throws(FormatError) in
        var reader = ByteReader(raw)
        _ = try reader.count(limit: limit, "count")
      }
    }
    // Nothing may be counted where there is room for nothing.
    refuses([0], "a limit below zero") { (raw) throws(FormatError) in
      var reader = ByteReader(raw)
      _ = try reader.count(limit: -1, "count")
    }
  }

  private static let pageHeads: [(name: String, head: [UInt8])] = [
    ("no containers, no names", [1, 0, 0, 0]),
    ("a table of 2^63 containers", [1, 0] + [UInt8](repeating: 0xFF, count: 8) + [0x7F]),
    ("a table of 2^56 names", [1, 0, 0] + [UInt8](repeating: 0xFF, count: 7) + [0x7F]),
    ("2^28 entries", [1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0x7F]),
    ("another layout", [2, 0, 0, 0, 0]),
  ]

  @Test func headsOfPages() {
    for (name, head) in Self.pageHeads {
      // One entry of each kind begins with zeros behind this head.
      for fill: UInt8 in [0, 1, 0xFF] {
        let bytes = head + [1] + [UInt8](repeating: fill, count: 200)
        refuses(bytes, "\(name), \(fill)") { (raw) throws(FormatError) in
          _ = try EntryPage.decode(raw)
        }
        refuses(bytes, "\(name), \(fill)") { (raw) throws(FormatError) in
          _ = try ExtentPage.decode(raw)
        }
      }
    }
  }

  /// A page without tables, whose entries name users and containers all the same.
  @Test func ordinalsOfAnEmptyTable() {
    var entry = ManifestEntry(path: [], kind: .directory)
    entry.userName = []
    var page = Sample.page([entry])
    // layout, level, containers, strings, the empty string's length, entries
    #expect(Array(page[..<6]) == [1, 0, 0, 1, 0, 1])
    page.replaceSubrange(3..<5, with: [0])
    refuses(page, "a user's name of an empty table") { (raw) throws(FormatError) in
      _ = try EntryPage.decode(raw)
    }
    var extents = ExtentPage.encoded([.chunk(Sample.reference(1))])
    #expect(extents[2] == 1)
    extents.replaceSubrange(2..<19, with: [0])
    refuses(extents, "a container of an empty table") { (raw) throws(FormatError) in
      _ = try ExtentPage.decode(raw)
    }
  }

  @Test func filesWhoseExtentsDoNotAddUp() {
    func page(_ change: (inout ManifestEntry) -> Void) -> [UInt8] {
      var entry = ManifestEntry(path: [1], kind: .file)
      change(&entry)
      return Sample.page([entry])
    }
    let wrong: [(Comment, [UInt8])] = [
      ("a size without content", page { $0.size = 1 }),
      ("inline content of another size", page { $0.content = .inline([1]) }),
      (
        "extents of another size",
        page {
          $0.size = 5
          $0.content = .extents([.hole(4)])
        }
      ),
      (
        "extents over 2^64",
        page {
          $0.size = 0
          $0.content = .extents([.hole(.max), .hole(1)])
        }
      ),
      (
        "a size over 2^63",
        page {
          $0.size = 1 << 63
          $0.content = .extents([.hole(1 << 63)])
        }
      ),
      (
        "a size over 2^63, with a tree",
        page {
          $0.size = 1 << 63
          $0.content = .tree(TreeRoot(level: 1, page: Sample.reference(1)), containerLists: [])
        }
      ),
      (
        "too many extents",
        page {
          $0.content = .extents([Extent](repeating: .hole(0), count: 65))
        }
      ),
      (
        "too much inline content",
        page {
          $0.size = 129
          $0.content = .inline([UInt8](repeating: 0, count: 129))
        }
      ),
      (
        "a tree of too many levels",
        page {
          $0.content = .tree(TreeRoot(level: 13, page: Sample.reference(1)), containerLists: [])
        }
      ),
      ("a mode over 12 bits", page { $0.mode = 0o10000 }),
      ("a path that leaves the target", Sample.page([ManifestEntry(path: [46, 46], kind: .file)])),
    ]
    for (what, bytes) in wrong {
      refuses(bytes, what, code: .invalidValue) { (raw) throws(FormatError) in
        _ = try EntryPage.decode(raw)
      }
    }
  }

  @Test func pathsOutOfOrder() {
    let entries = Sample.entries
    for (left, right) in [(1, 1), (2, 1), (3, 0), (10, 9)] {
      refuses(Sample.page([entries[left], entries[right]]), "\(left), \(right)") {
        (raw) throws(FormatError) in
        _ = try EntryPage.decode(raw)
      }
    }
    let references = Sample.pageReferences
    refuses(ReferencePage.encoded(level: 1, [references[2], references[1]]), "upper page") {
      (raw) throws(FormatError) in
      _ = try ReferencePage.decode(raw, level: 1)
    }
    refuses(ReferencePage.encoded(level: 1, []), "an empty upper page") {
      (raw) throws(FormatError) in
      _ = try ReferencePage.decode(raw, level: 1)
    }
  }

  /// Shared prefixes make a page of a few kilobytes name any number of bytes of paths.
  @Test func pathsThatSharedPrefixesBlowUp() {
    let long = [UInt8](repeating: 0x61, count: FormatLimit.pathByteCount - 1)
    var writer = EntryPageWriter()
    var hasEnded = false
    for last in 0..<UInt8(80) {
      let isEnd = writer.append(ManifestEntry(path: long + [last + 1], kind: .fifo))
      hasEnded = hasEnded || isEnd
    }
    #expect(hasEnded, "the writer ends a page long before its reader's limit")
    refuses(writer.finish(), "80 MiB of paths", code: .invalidValue) { (raw) throws(FormatError) in
      _ = try EntryPage.decode(raw)
    }
  }

  @Test func directoriesThatAreNotSound() {
    func changed(_ change: (inout ContainerDirectory) -> Void) -> [UInt8] {
      var directory = Sample.directory
      change(&directory)
      return directory.encoded()
    }
    func block(
      _ ordinal: Int, offset: UInt64 = 128, raw: UInt32 = 112, first: UInt32 = 0,
      count: UInt32 = 2
    ) -> [UInt8] {
      changed {
        $0.blocks[ordinal] = BlockRecord(
          offset: offset, frameByteCount: 90, rawByteCount: raw, firstSlot: first,
          chunkCount: count)
      }
    }
    let wrong: [(Comment, [UInt8])] = [
      ("a gap before the first block", block(0, offset: 129)),
      ("overlapping blocks", block(1, offset: 128, raw: 70_008, first: 2, count: 1)),
      ("a block over its limit", block(0, raw: UInt32(FormatLimit.blockByteCount) + 1)),
      ("a block without chunks", block(0, count: 0)),
      ("a block of too many chunks", block(0, count: .max)),
      ("slots that do not follow", block(0, first: 1)),
      ("a block of another size", block(0, raw: 113)),
      ("a length too many", changed { $0.lengths.append(1) }),
      ("a length too few", changed { $0.lengths.removeLast() }),
      ("lengths that do not add up", changed { $0.lengths[0] = .max }),
      ("2^32 - 1 chunks", [UInt8](repeating: 0xFF, count: 8)),
    ]
    for (what, bytes) in wrong {
      refuses(bytes, what, code: .invalidValue) { (raw) throws(FormatError) in
        _ = try ContainerDirectory(decoding: raw)
      }
    }
  }

  /// Footers with a good checksum and places that cannot be.
  @Test(
    arguments: [
      (offset: 127, count: 1000), (offset: 128, count: 0), (offset: 827, count: 0),
      (offset: 824, count: .max), (offset: 999, count: 0), (offset: 999, count: .max - 174),
      (offset: 1000, count: 0), (offset: .max, count: 1), (offset: 500, count: 325),
    ] as [(offset: UInt64, count: UInt64)])
  func footersThatPointAstray(place: (offset: UInt64, count: UInt64)) {
    let footer = ContainerFooter(
      directoryOffset: place.offset, directoryByteCount: place.count, containerByteCount: 1000,
      blockCount: 1, chunkCount: 1)
    refuses(footer.encoded(), "\(place)") { (raw) throws(FormatError) in
      _ = try ContainerFooter(decoding: raw, objectByteCount: 1000)
    }
  }

  @Test func footersOfAnotherContainer() {
    for size in [0, 47, 48, 175, 176, 70_629, 70_631, .max] as [UInt64] {
      refuses(Sample.footer.encoded(), "\(size)") { (raw) throws(FormatError) in
        _ = try ContainerFooter(decoding: raw, objectByteCount: size)
      }
    }
  }

  @Test(arguments: [0, 1, 1024, 2049, 1 << 40, .max - 1022, .max] as [UInt64])
  func segmentsOfAnotherSize(entryCount: UInt64) {
    refuses(Sample.segmentLists.encoded(), "\(entryCount)", code: .invalidValue) {
      (raw) throws(FormatError) in
      _ = try SegmentLists(decoding: raw, Sample.segmentTables, entryCount: entryCount)
    }
  }

  @Test func framesOverTheirLimit() throws {
    let frame = try Sample.seal().frame([UInt8](0..<100), kind: .block, number: 1, level: 0)
    for limit in [0, 99] {
      #expect(throws: FormatError.self) {
        try withRaw(frame) { (raw) throws(FormatError) in
          try Sample.seal().open(raw, kind: .block, number: 1, limit: limit)
        }
      }
    }
    let small = UnsafeMutableRawBufferPointer.allocate(byteCount: 99, alignment: 16)
    defer { small.deallocate() }
    #expect(throws: FormatError.self) {
      try withRaw(frame) { (raw) throws(FormatError) in
        try Sample.seal().open(raw, kind: .block, number: 1, into: small)
      }
    }
    // What the header alone says is bounded too.
    for offset in [16, 20] {
      var bytes = frame
      bytes[offset + 3] = 0xFF
      refuses(bytes, "4 GiB", code: .invalidValue) { (raw) throws(FormatError) in
        _ = try Frame(header: raw)
      }
    }
  }

  @Test func otherVersionsAreNamed() throws {
    var bytes = Sample.envelope().encoded()
    bytes[8] = UInt8(formatVersion) + 1
    mendEnvelope(&bytes)
    do throws(FormatError) {
      _ = try withRaw(bytes) { (raw) throws(FormatError) in try Envelope(decoding: raw) }
      Issue.record("a newer format version was read")
    } catch {
      #expect(error.code == .unsupportedVersion)
      #expect(error.message.contains("version \(formatVersion + 1)"))
      #expect(error.message.contains("newer build"))
    }
    refuses(written { $0.raw([UInt8](repeating: 0, count: 200)) }, "zeros", code: .wrongKind) {
      (raw) throws(FormatError) in
      _ = try Envelope(decoding: raw)
    }
  }

  @Test func unknownOperationsAreNamed() {
    var payload = Sample.record([Sample.forgottenOperation]).encodedPayload()
    #expect(payload[81] == 3)
    payload[81] = 200
    refuses(payload, "operation 200", code: .unsupportedVersion) { (raw) throws(FormatError) in
      _ = try JournalRecord(decodingPayload: raw)
    }
  }

  @Test func chunkSizesOfAHeader() throws {
    let wrong: [(UInt32, UInt32, UInt32)] = [
      (63, 128, 256), (128, 128, 256), (64, 256, 256), (64, 128, (16 << 20) + 1), (0, 0, 0),
    ]
    for (minimum, average, maximum) in wrong {
      var header = Sample.header(.none)
      header.minimumChunkSize = minimum
      header.averageChunkSize = average
      header.maximumChunkSize = maximum
      let bytes = try header.encoded()
      #expect(throws: FormatError.self, "\(minimum), \(average), \(maximum)") {
        _ = try RepositoryHeader(decoding: bytes)
      }
    }
  }
}
