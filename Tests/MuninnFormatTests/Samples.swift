import MuninnFormat

/// One value of each layout, the same in every run: what the golden files hold.
enum Sample {
  static let repository = Identifier(high: 0x0123_4567_89AB_CDEF, low: 0xFEDC_BA98_7654_3210)
  static let object = Identifier(high: 0x1111_2222_3333_4444, low: 0x5555_6666_7777_8888)
  static let salt = [UInt8](0..<32)
  static let masterKey = [UInt8](32..<64)

  static let passphrase = "correct horse battery staple"
  static let keyFile = [UInt8](100..<164)
  /// For tests alone: a few microseconds.
  static let cheap = ScryptCost(roundsLog2: 4, blockSize: 2, parallelism: 1)

  static func secret(_ text: String) -> Secret {
    var bytes = Array(text.utf8)
    return Secret(taking: &bytes)
  }

  /// Master keys 1 to `count`.
  static func keys(_ count: Int = 2) throws(FormatError) -> KeyRing {
    var keys = KeyRing(first: try MasterKey(bytes: masterKey))
    for number in 1..<max(1, count) {
      keys = try keys.adding(
        try MasterKey(bytes: [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 32)))
    }
    return keys
  }

  static func slot(_ material: KeyMaterial, epochs: Int = 2) throws(FormatError) -> KeySlot {
    try KeySlot(
      wrapping: try keys(epochs), with: material, cost: cheap, repository: repository, id: object,
      salt: salt, label: Array("laptop".utf8), createdNanoseconds: 1_700_000_000_000_000_004)
  }

  static func identifier(_ number: UInt64) -> Identifier {
    Identifier(high: 0xA000_0000_0000_0000 | number, low: number << 8)
  }

  static func identity(_ number: UInt64) -> ChunkIdentity {
    let word = (number + 1) &* 0x9E37_79B9_7F4A_7C15
    return ChunkIdentity(
      fingerprint: Pair128(low: word, high: word ^ 1), tag: Pair128(low: ~word, high: number))
  }

  static func reference(_ number: UInt64, length: UInt32 = 70_000) -> ChunkReference {
    ChunkReference(
      identity: identity(number), length: length,
      location: ChunkLocation(container: identifier(number % 3), slot: UInt32(number)))
  }

  static func envelope(_ suite: CipherSuite = .aes256gcm, kind: ObjectKind = .dataContainer)
    -> Envelope
  {
    Envelope(
      kind: kind, suite: suite, repository: repository, object: object,
      salt: suite == .none ? [UInt8](repeating: 0, count: Envelope.saltByteCount) : salt,
      key: suite == .none ? .none : KeyName(epoch: 7, id: identifier(50)))
  }

  static func seal(_ suite: CipherSuite = .none) throws(FormatError) -> Seal {
    try Seal(
      envelope: envelope(suite),
      masterKey: suite == .none ? nil : try MasterKey(bytes: masterKey))
  }

  static var directory: ContainerDirectory {
    var directory = ContainerDirectory()
    directory.identities = (0..<3).map { identity($0) }
    directory.lengths = [100, 0, 70_000]
    directory.blocks = [
      BlockRecord(
        offset: 128, frameByteCount: 90, rawByteCount: 112, firstSlot: 0, chunkCount: 2),
      BlockRecord(
        offset: 218, frameByteCount: 70_040, rawByteCount: 70_008, firstSlot: 2, chunkCount: 1),
    ]
    return directory
  }

  static let footer = ContainerFooter(
    directoryOffset: 70_258, directoryByteCount: 196, containerByteCount: 70_630, blockCount: 2,
    chunkCount: 3)

  static var segmentTables: SegmentTables {
    SegmentTables(
      containerCount: 2, filter: FilterShape(entryCount: segmentEntryCount, remainderBits: 13),
      filterWordCount: 400, listsOffset: 40_000)
  }

  static var segmentLists: SegmentLists {
    var lists = SegmentLists()
    lists.containers = [identifier(1), identifier(2)]
    lists.firstPrefixes = [7, 0x8000_0000_0000_0000]
    lists.pageOffsets = [128, 16_544]
    lists.filterOffsets = [24_192]
    lists.filterByteCounts = [3232]
    return lists
  }

  /// Entries whose prefixes lie anywhere, two of them equal.
  static var segmentPage: [UInt8] {
    var prefixes = (0..<600).map { UInt64($0) &* 0x9E37_79B9_7F4A_7C15 }
    prefixes[5] = prefixes[6]
    var writer = ByteWriter()
    for prefix in prefixes.sorted() {
      writer.integer(prefix)
      writer.integer(UInt64(0))
    }
    return writer.bytes
  }

  static func filterFrames(_ page: [UInt8], _ shape: FilterShape) -> [[UInt8]] {
    var builder = FilterBuilder(shape: shape)
    return page.withUnsafeBytes { builder.add(page: $0) } + builder.finish()
  }

  /// The entries that two pages hold.
  static let segmentEntryCount: UInt64 = 1500

  static let pageReferences = [
    PageReference(firstKey: [], page: reference(1), entryCount: 300, byteCount: 1 << 40),
    PageReference(
      firstKey: Array("usr/bin/a".utf8), page: reference(2), entryCount: 1, byteCount: 0),
    PageReference(
      firstKey: Array("usr/bin/b".utf8), page: reference(4), entryCount: 20, byteCount: 999),
  ]

  static let extents: [Extent] = [
    .chunk(reference(1)), .hole(1 << 33), .chunk(reference(2, length: 1)),
  ]

  /// An entry of every kind, with every content and every field set somewhere.
  static var entries: [ManifestEntry] {
    func entry(_ path: String, _ kind: EntryKind, _ number: UInt64) -> ManifestEntry {
      var entry = ManifestEntry(path: Array(path.utf8), kind: kind)
      entry.mode = UInt16(0o7000 + number)
      entry.userID = UInt32(number) << 24
      entry.groupID = UInt32(number)
      entry.userName = Array("user".utf8)
      entry.groupName = number > 3 ? Array("group".utf8) : Array("user".utf8)
      entry.modifiedNanoseconds = -Int64(number) * 1_000_000_007
      entry.changedNanoseconds = Int64(number) * 1_000_000_009
      entry.inode = number << 40
      return entry
    }
    var root = entry("", .directory, 1)
    root.birthNanoseconds = 77
    root.attributes = [
      NamedAttribute(name: Array("user.a".utf8), value: []),
      NamedAttribute(name: Array("user.b".utf8), value: [0, 255]),
    ]
    var empty = entry("a", .file, 2)
    empty.hardLink = .first
    empty.inodeFlags = 0x50
    var inline = entry("a-b", .file, 3)
    inline.size = 3
    inline.content = .inline([1, 2, 3])
    inline.isUnstable = true
    inline.isDamaged = true
    var plain = entry("b", .file, 4)
    plain.size = (1 << 33) + 70_001
    plain.content = .extents(extents)
    var long = entry("c", .file, 5)
    long.size = 1 << 45
    long.content = .tree(
      TreeRoot(level: 2, page: reference(7)), containerLists: [reference(8), reference(9)])
    var link = entry("d/e", .symlink, 6)
    link.linkTarget = [0x2F, 0xFF]
    var later = entry("d/f", .file, 2)
    later.hardLink = .later(Array("a".utf8))
    var character = entry("d/g", .characterDevice, 7)
    character.deviceMajor = 240
    character.deviceMinor = 70_000
    var block = entry("d/h", .blockDevice, 8)
    block.deviceMajor = 1
    return [
      root, empty, inline, plain, long, link, later, character, block, entry("d/i", .fifo, 9),
      entry("d/j", .socket, 10),
    ]
  }

  static func page(_ entries: [ManifestEntry]) -> [UInt8] {
    var writer = EntryPageWriter()
    for entry in entries { _ = writer.append(entry) }
    return writer.finish()
  }

  /// One of a first backup that did not end.
  static var partialSnapshot: SnapshotRecord {
    var partial = snapshot
    partial.isPartial = true
    partial.isFull = true
    partial.parent = nil
    partial.repairs = nil
    partial.containers = ContainerSet(
      base: nil, added: [identifier(23), identifier(24)], removed: [])
    return partial
  }

  static var snapshot: SnapshotRecord {
    var snapshot = SnapshotRecord(
      id: identifier(20), root: TreeRoot(level: 1, page: reference(5)),
      containers: ContainerSet(
        base: identifier(19), added: [identifier(1)], removed: [identifier(2)]))
    snapshot.parent = identifier(19)
    snapshot.startedNanoseconds = 1_700_000_000_000_000_001
    snapshot.completedNanoseconds = 1_700_000_000_000_000_002
    snapshot.host = Array("host".utf8)
    snapshot.user = Array("user".utf8)
    snapshot.programVersion = Array("0.1".utf8)
    snapshot.paths = [Array("/a".utf8), [0x2F, 0xFF]]
    snapshot.tags = [Array("tag".utf8)]
    snapshot.fileSystem = identifier(21)
    snapshot.fileSystemName = Array("fs".utf8)
    snapshot.document = Array("{}".utf8)
    snapshot.counts.entries = 11
    snapshot.counts.bytes = 1 << 45
    snapshot.counts.errors = 1
    snapshot.repairs = identifier(22)
    return snapshot
  }

  static func record(_ operations: [JournalOperation]) -> JournalRecord {
    JournalRecord(
      number: 3, previousHash: sha256([1]), session: identifier(30), nonce: identifier(31),
      timeNanoseconds: 1_700_000_000_000_000_003, operations: operations)
  }

  static let containerOperation = JournalOperation.containers([
    ContainerRecord(
      id: identifier(1), isManifest: false, byteCount: 32 << 20, chunkCount: 500,
      rawByteCount: 33 << 20),
    ContainerRecord(
      id: identifier(2), isManifest: true, byteCount: 1000, chunkCount: 1, rawByteCount: 700),
  ])

  static let segmentOperation = JournalOperation.segments(
    added: [
      SegmentRecord(
        id: identifier(40), byteCount: 9000, entryCount: 501,
        containers: [identifier(1), identifier(2)])
    ],
    removed: [identifier(39)])

  static let checkpointRecord = CheckpointRecord(
    id: identifier(50), byteCount: 5000, hash: sha256([2]), record: 1, recordHash: sha256([3]))

  static var checkpoint: Checkpoint {
    var checkpoint = Checkpoint(record: 2, recordHash: sha256([4]), journalByteCount: 4711)
    if case .containers(let records) = containerOperation { checkpoint.containers = records }
    if case .segments(let added, _) = segmentOperation { checkpoint.segments = added }
    var second = snapshot
    second.id = identifier(22)
    checkpoint.snapshots = [snapshot, second]
    checkpoint.forgottenSets = [
      ForgottenSet(
        snapshot: identifier(19),
        containers: ContainerSet(base: nil, added: [identifier(2)], removed: []))
    ]
    checkpoint.earlier = [checkpointRecord]
    checkpoint.repacks = [Repack(added: [identifier(3)], removed: [identifier(1), identifier(2)])]
    checkpoint.repackCounts = [RepackCount(snapshot: identifier(20), count: 1)]
    if case .adopted(let records) = adoptedOperation {
      checkpoint.condemned = records.map { CondemnedContainer(container: $0, number: 2) }
    }
    checkpoint.retired = [RetiredSegment(id: identifier(41), byteCount: 800, number: 1)]
    checkpoint.fenced = [7, 9].map { Identifier(high: $0, low: 0) }
    checkpoint.holds = [HeldSnapshot(snapshot: identifier(20), reason: Array("audit".utf8))]
    checkpoint.settings.minimumAge = 86_400
    checkpoint.forgottenTimes = [
      ForgottenTime(snapshot: identifier(19), nanoseconds: 1_700_000_000_000_000_004)
    ]
    return checkpoint
  }

  static let repackedOperation = JournalOperation.repacked(
    added: [
      ContainerRecord(
        id: identifier(3), isManifest: false, byteCount: 1 << 20, chunkCount: 7,
        rawByteCount: 2 << 20)
    ],
    removed: [identifier(1), identifier(2)])

  static let bridgedOperation = JournalOperation.bridged([
    BridgedRecords(first: 1, last: 1, reason: Array("checksum".utf8)),
    BridgedRecords(first: 5, last: 1 << 40, reason: []),
  ])

  static let condemnedOperation = JournalOperation.condemned([identifier(1), identifier(2)])
  static let rescuedOperation = JournalOperation.rescued([identifier(2)])
  static let sweptOperation = JournalOperation.swept(
    containers: [identifier(1)], segments: [identifier(39)])
  static let fencedOperation = JournalOperation.fenced([Identifier(high: 7, low: 0)])

  static let adoptedOperation = JournalOperation.adopted([
    ContainerRecord(
      id: Identifier(high: 7, low: 8), isManifest: true, byteCount: 5000, chunkCount: 3,
      rawByteCount: 9000)
  ])

  static var annotatedOperation: JournalOperation {
    var tagged = Annotation(snapshot: identifier(20))
    tagged.addedTags = [Array("new".utf8), []]
    tagged.removedTags = [Array("tag".utf8)]
    var held = Annotation(snapshot: identifier(22))
    held.hold = .set
    held.reason = Array("audit".utf8)
    return .annotated([tagged, held])
  }

  static var settingsOperation: JournalOperation {
    var settings = RepositorySettings()
    settings.minimumAge = 14 * 86_400
    return .settings(settings)
  }

  static let forgottenOperation = JournalOperation.forgotten([identifier(18), identifier(17)])

  static func header(
    _ suite: CipherSuite, _ method: IdentityMethod = .xxh3
  ) -> RepositoryHeader {
    var header = RepositoryHeader(
      repository: repository, suite: suite, minimumChunkSize: 16 << 10,
      averageChunkSize: 64 << 10, maximumChunkSize: 256 << 10, isShared: true,
      createdNanoseconds: 1_700_000_000_000_000_000, fingerprintSecret: [UInt8](0..<192),
      tagKey: [UInt8](192..<224))
    header.identityMethod = method
    return header
  }
}

/// Calls `body` with the bytes as the decoders take them.
func withRaw<R>(
  _ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws(FormatError) -> R
) throws(FormatError) -> R {
  try bytes.withUnsafeBytesTyped(body)
}
