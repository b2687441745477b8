/// The container set of a snapshot that was forgotten and is still the base of a live one's.
package struct ForgottenSet: Sendable, Equatable {
  package let snapshot: Identifier
  package let containers: ContainerSet

  package init(snapshot: Identifier, containers: ContainerSet) {
    self.snapshot = snapshot
    self.containers = containers
  }
}

/// Containers that left, and those that have what could be had of their chunks.
package struct Repack: Sendable, Equatable {
  package let added: [Identifier]
  package let removed: [Identifier]

  package init(added: [Identifier], removed: [Identifier]) {
    self.added = added
    self.removed = removed
  }
}

/// How many repacks came before a snapshot's container set was written.
package struct RepackCount: Sendable, Equatable {
  package let snapshot: Identifier
  package let count: Int

  package init(snapshot: Identifier, count: Int) {
    self.snapshot = snapshot
    self.count = count
  }
}

/// What the journal's records 1 to `record` add up to, as one object.
///
/// An envelope, then frames 0, 1 and so on, each with at most `frameByteCount` of this payload:
///
/// | field | bytes |
/// |---|---|
/// | number of the newest record in it | 8 |
/// | SHA-256 of that record | 32 |
/// | bytes of all records up to it | 8 |
/// | sections | varint |
/// | each section: type, ascending | 1 |
/// | its length | varint |
/// | its fields | |
///
/// To hold more, add a field here, its type to `Section`, and a line to `encode` and `decode`. A
/// section that is not there leaves its field empty; one of an unknown type is refused, since a
/// newer build wrote it and meant it.
package struct Checkpoint: Sendable, Equatable {
  package var record: UInt64
  package var recordHash: [UInt8]
  package var journalByteCount: UInt64
  /// The live containers, by id.
  package var containers: [ContainerRecord] = []
  /// The live segments, by id.
  package var segments: [SegmentRecord] = []
  /// The snapshots that were not forgotten, in the order of their commits.
  package var snapshots: [SnapshotRecord] = []
  /// By snapshot.
  package var forgottenSets: [ForgottenSet] = []
  /// The checkpoints before this one whose objects may still be there, oldest first.
  package var earlier: [CheckpointRecord] = []
  /// In their order.
  package var repacks: [Repack] = []
  /// By snapshot, where any came before it.
  package var repackCounts: [RepackCount] = []
  /// By container.
  package var condemned: [CondemnedContainer] = []
  /// By segment.
  package var retired: [RetiredSegment] = []
  /// Sessions, in order; of each the half that begins the names of what it wrote.
  package var fenced: [Identifier] = []
  /// By snapshot.
  package var holds: [HeldSnapshot] = []
  package var settings = RepositorySettings()
  /// By snapshot.
  package var forgottenTimes: [ForgottenTime] = []

  /// The most bytes of the payload that the writer puts into one frame.
  package static let frameByteCount = 4 << 20

  private enum Section: UInt8, CaseIterable {
    case containers = 1
    case segments = 2
    case snapshots = 3
    case forgottenSets = 4
    case earlier = 5
    case repacks = 6
    case repackCounts = 7
    case condemned = 16
    case retired = 17
    case fenced = 18
    case holds = 19
    case settings = 20
    case forgottenTimes = 21
  }

  package init(record: UInt64, recordHash: [UInt8], journalByteCount: UInt64) {
    self.record = record
    self.recordHash = recordHash
    self.journalByteCount = journalByteCount
  }

  package func encodedPayload() -> [UInt8] {
    var writer = ByteWriter(reserving: 1024 + 512 * snapshots.count)
    writer.integer(record)
    writer.raw(recordHash)
    writer.integer(journalByteCount)
    let sections = Section.allCases.map { (type: $0, body: encoded($0)) }.filter { $0.body != nil }
    writer.count(sections.count)
    for (type, body) in sections {
      writer.byte(type.rawValue)
      writer.lengthPrefixed(body ?? [])
    }
    return writer.bytes
  }

  package init(decodingPayload bytes: UnsafeRawBufferPointer) throws(FormatError) {
    var reader = ByteReader(bytes)
    record = try reader.integer(UInt64.self)
    recordHash = try reader.array(32)
    journalByteCount = try reader.integer(UInt64.self)
    var last: UInt8 = 0
    for _ in 0..<(try reader.count(limit: 255, "section count")) {
      let type = try reader.byte()
      guard let section = Section(rawValue: type) else {
        throw FormatError(
          .unsupportedVersion, "a checkpoint's section of type \(type): use a newer build")
      }
      guard type > last else {
        throw FormatError(.invalidValue, "section \(type) of a checkpoint after section \(last)")
      }
      last = type
      var body = ByteReader(
        try reader.view(try reader.count(limit: reader.remaining, "section length")))
      try decode(section, from: &body)
      try body.expectEnd()
    }
    try reader.expectEnd()
  }

  /// The fields of a section; nil where there is nothing in it.
  private func encoded(_ section: Section) -> [UInt8]? {
    var writer = ByteWriter()
    switch section {
    case .containers:
      if containers.isEmpty { return nil }
      writer.list(containers) { $0.encode(into: &$1) }
    case .segments:
      if segments.isEmpty { return nil }
      writer.list(segments) { $0.encode(into: &$1) }
    case .snapshots:
      if snapshots.isEmpty { return nil }
      writer.list(snapshots) { $0.encode(into: &$1) }
    case .forgottenSets:
      if forgottenSets.isEmpty { return nil }
      writer.list(forgottenSets) { item, writer in
        writer.identifier(item.snapshot)
        item.containers.encode(into: &writer)
      }
    case .earlier:
      if earlier.isEmpty { return nil }
      writer.list(earlier) { $0.encode(into: &$1) }
    case .repacks:
      if repacks.isEmpty { return nil }
      writer.list(repacks) { item, writer in
        writer.identifiers(item.added)
        writer.identifiers(item.removed)
      }
    case .repackCounts:
      if repackCounts.isEmpty { return nil }
      writer.list(repackCounts) { item, writer in
        writer.identifier(item.snapshot)
        writer.count(item.count)
      }
    case .condemned:
      if condemned.isEmpty { return nil }
      writer.list(condemned) { $0.encode(into: &$1) }
    case .retired:
      if retired.isEmpty { return nil }
      writer.list(retired) { $0.encode(into: &$1) }
    case .fenced:
      if fenced.isEmpty { return nil }
      writer.list(fenced) { $1.integer($0.high) }
    case .holds:
      if holds.isEmpty { return nil }
      writer.list(holds) { $0.encode(into: &$1) }
    case .settings:
      if settings == RepositorySettings() { return nil }
      settings.encode(into: &writer)
    case .forgottenTimes:
      if forgottenTimes.isEmpty { return nil }
      writer.list(forgottenTimes) { $0.encode(into: &$1) }
    }
    return writer.bytes
  }

  private mutating func decode(
    _ section: Section, from reader: inout ByteReader
  ) throws(FormatError) {
    switch section {
    case .containers:
      containers = try reader.list("container count") { (reader) throws(FormatError) in
        try ContainerRecord(decoding: &reader)
      }
    case .segments:
      segments = try reader.list("segment count") { (reader) throws(FormatError) in
        try SegmentRecord(decoding: &reader)
      }
    case .snapshots:
      var texts = TextPool(isSharing: true)
      snapshots = try reader.list("snapshot count") { (reader) throws(FormatError) in
        try SnapshotRecord(decoding: &reader, sharing: &texts)
      }
    case .forgottenSets:
      forgottenSets = try reader.list("container set count") { (reader) throws(FormatError) in
        ForgottenSet(
          snapshot: try reader.identifier(), containers: try ContainerSet(decoding: &reader))
      }
    case .earlier:
      earlier = try reader.list("checkpoint count") { (reader) throws(FormatError) in
        try CheckpointRecord(decoding: &reader)
      }
    case .repacks:
      repacks = try reader.list("repack count") { (reader) throws(FormatError) in
        Repack(added: try reader.identifiers(), removed: try reader.identifiers())
      }
    case .repackCounts:
      let limit = repacks.count
      repackCounts = try reader.list("snapshot count") { (reader) throws(FormatError) in
        RepackCount(
          snapshot: try reader.identifier(), count: try reader.count(limit: limit, "repacks"))
      }
    case .condemned:
      condemned = try reader.list("condemned containers") { (reader) throws(FormatError) in
        try CondemnedContainer(decoding: &reader)
      }
    case .retired:
      retired = try reader.list("retired segments") { (reader) throws(FormatError) in
        try RetiredSegment(decoding: &reader)
      }
    case .fenced:
      fenced = try reader.list("fenced sessions") { (reader) throws(FormatError) in
        Identifier(high: try reader.integer(UInt64.self), low: 0)
      }
    case .holds:
      holds = try reader.list("held snapshots") { (reader) throws(FormatError) in
        try HeldSnapshot(decoding: &reader)
      }
    case .settings: settings = try RepositorySettings(decoding: &reader)
    case .forgottenTimes:
      forgottenTimes = try reader.list("forgotten snapshots") { (reader) throws(FormatError) in
        try ForgottenTime(decoding: &reader)
      }
    }
  }
}

/// The object `head`: which record names the newest checkpoint. A hint that is overwritten with
/// each new checkpoint; without it opening takes longer.
///
/// An envelope (the object id is zero), then one frame with the record's number (8 bytes).
package struct HeadHint: Sendable, Equatable {
  package let record: UInt64

  package init(record: UInt64) { self.record = record }

  package func encodedPayload() -> [UInt8] {
    var writer = ByteWriter(reserving: 8)
    writer.integer(record)
    return writer.bytes
  }

  package init(decodingPayload bytes: UnsafeRawBufferPointer) throws(FormatError) {
    var reader = ByteReader(bytes)
    record = try reader.integer(UInt64.self)
    try reader.expectEnd()
  }
}
