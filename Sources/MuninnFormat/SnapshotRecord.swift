/// The containers that a snapshot needs, as a difference to another snapshot's, or to nothing.
package struct ContainerSet: Sendable, Equatable {
  package var base: Identifier?
  package var added: [Identifier]
  package var removed: [Identifier]

  package init(base: Identifier?, added: [Identifier], removed: [Identifier]) {
    self.base = base
    self.added = added
    self.removed = removed
  }
}

/// What a backup found and stored, in the order in which it is encoded.
package struct SnapshotCounts: Sendable, Equatable {
  package var entries: UInt64 = 0
  package var files: UInt64 = 0
  package var directories: UInt64 = 0
  package var filesNew: UInt64 = 0
  package var filesChanged: UInt64 = 0
  package var filesUnchanged: UInt64 = 0
  package var bytes: UInt64 = 0
  package var bytesRead: UInt64 = 0
  package var bytesNew: UInt64 = 0
  package var bytesStored: UInt64 = 0
  package var chunksNew: UInt64 = 0
  package var chunksDuplicate: UInt64 = 0
  package var errors: UInt64 = 0

  package init() {}

  func encode(into writer: inout ByteWriter) {
    for count in [
      entries, files, directories, filesNew, filesChanged, filesUnchanged, bytes, bytesRead,
      bytesNew, bytesStored, chunksNew, chunksDuplicate, errors,
    ] { writer.varint(count) }
  }

  init(decoding reader: inout ByteReader) throws(FormatError) {
    entries = try reader.varint()
    files = try reader.varint()
    directories = try reader.varint()
    filesNew = try reader.varint()
    filesChanged = try reader.varint()
    filesUnchanged = try reader.varint()
    bytes = try reader.varint()
    bytesRead = try reader.varint()
    bytesNew = try reader.varint()
    bytesStored = try reader.varint()
    chunksNew = try reader.varint()
    chunksDuplicate = try reader.varint()
    errors = try reader.varint()
  }
}

/// One completed backup, as the journal keeps it.
package struct SnapshotRecord: Sendable, Equatable {
  package var id: Identifier
  package var parent: Identifier?
  package var isFull = true
  /// Committed while its backup was still at work: it lacks what comes later in the order of paths.
  package var isPartial = false
  package var startedNanoseconds: Int64 = 0
  package var completedNanoseconds: Int64 = 0
  package var host: [UInt8] = []
  package var user: [UInt8] = []
  package var programVersion: [UInt8] = []
  /// Absolute source paths.
  package var paths: [[UInt8]] = []
  package var tags: [[UInt8]] = []
  package var fileSystem: Identifier?
  package var fileSystemName: [UInt8] = []
  /// The file system document (JSON), or nothing.
  package var document: [UInt8] = []
  package var counts = SnapshotCounts()
  package var root: TreeRoot
  package var containers: ContainerSet
  /// The snapshot that a repair made this one from, and that it stands for now.
  package var repairs: Identifier?

  package init(id: Identifier, root: TreeRoot, containers: ContainerSet) {
    self.id = id
    self.root = root
    self.containers = containers
  }

  private static let textLimit = 16 << 20

  func encode(into writer: inout ByteWriter) {
    writer.identifier(id)
    writer.optionalIdentifier(parent)
    writer.byte((isFull ? 1 : 0) | (isPartial ? 2 : 0))
    writer.integer(startedNanoseconds)
    writer.integer(completedNanoseconds)
    writer.lengthPrefixed(host)
    writer.lengthPrefixed(user)
    writer.lengthPrefixed(programVersion)
    writer.list(paths)
    writer.list(tags)
    writer.optionalIdentifier(fileSystem)
    writer.lengthPrefixed(fileSystemName)
    writer.lengthPrefixed(document)
    counts.encode(into: &writer)
    writer.byte(root.level)
    writer.chunkIdentity(root.page.identity)
    writer.integer(root.page.length)
    writer.identifier(root.page.location.container)
    writer.integer(root.page.location.slot)
    containers.encode(into: &writer)
    writer.optionalIdentifier(repairs)
  }

  /// `texts` shares what equals that of another snapshot: a list of 10^5 would else be made of 10^6
  /// small arrays.
  init(
    decoding reader: inout ByteReader, sharing texts: inout TextPool
  ) throws(FormatError) {
    id = try reader.identifier()
    parent = try reader.optionalIdentifier()
    let kind = try reader.byte()
    guard kind <= 3 else {
      throw FormatError(.invalidValue, "a snapshot of kind \(kind)")
    }
    isFull = kind & 1 != 0
    isPartial = kind & 2 != 0
    startedNanoseconds = try reader.integer(Int64.self)
    completedNanoseconds = try reader.integer(Int64.self)
    let limit = SnapshotRecord.textLimit
    host = texts.shared(try reader.view(limit: limit, "host name"))
    user = texts.shared(try reader.view(limit: limit, "user name"))
    programVersion = texts.shared(try reader.view(limit: limit, "program version"))
    paths = texts.shared(try reader.list(limit: limit, "source path", &texts))
    tags = texts.shared(try reader.list(limit: limit, "tag", &texts))
    fileSystem = try reader.optionalIdentifier()
    fileSystemName = texts.shared(try reader.view(limit: limit, "file system name"))
    document = texts.shared(try reader.view(limit: limit, "file system document"))
    counts = try SnapshotCounts(decoding: &reader)
    let level = try reader.byte()
    guard Int(level) <= FormatLimit.treeLevels else {
      throw FormatError(.invalidValue, "a manifest of \(level) levels")
    }
    let identity = try reader.chunkIdentity()
    let length = try reader.integer(UInt32.self)
    guard Int(length) <= FormatLimit.chunkByteCount else {
      throw FormatError(.invalidValue, "a manifest root of \(length) bytes")
    }
    let location = ChunkLocation(
      container: try reader.identifier(), slot: try reader.integer(UInt32.self))
    root = TreeRoot(
      level: level, page: ChunkReference(identity: identity, length: length, location: location))
    containers = try ContainerSet(decoding: &reader)
    repairs = try reader.optionalIdentifier()
  }
}

extension ContainerSet {
  func encode(into writer: inout ByteWriter) {
    writer.optionalIdentifier(base)
    writer.identifiers(added)
    writer.identifiers(removed)
  }

  init(decoding reader: inout ByteReader) throws(FormatError) {
    base = try reader.optionalIdentifier()
    added = try reader.identifiers()
    removed = try reader.identifiers()
  }
}

/// Texts that were decoded lately, so that equal ones share their memory.
struct TextPool {
  private var texts: [[UInt8]]
  private var lists: [[[UInt8]]] = []

  /// One that shares nothing costs nothing, for a single snapshot.
  init(isSharing: Bool) { texts = isSharing ? [[UInt8]](repeating: [], count: 1024) : [] }

  mutating func shared(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
    guard !bytes.isEmpty else { return [] }
    guard !texts.isEmpty else { return [UInt8](bytes) }
    let slot = Int(truncatingIfNeeded: checksum(bytes)) & (texts.count - 1)
    if texts[slot].count == bytes.count, texts[slot].elementsEqual(bytes) { return texts[slot] }
    texts[slot] = [UInt8](bytes)
    return texts[slot]
  }

  /// Only the last few lists are kept: a repository has few different ones, or many.
  mutating func shared(_ list: [[UInt8]]) -> [[UInt8]] {
    guard !list.isEmpty, !texts.isEmpty else { return list }
    if let known = lists.last(where: { $0 == list }) { return known }
    if lists.count == 8 { lists.removeFirst() }
    lists.append(list)
    return list
  }
}

extension ByteWriter {
  mutating func optionalIdentifier(_ id: Identifier?) {
    byte(id == nil ? 0 : 1)
    if let id { identifier(id) }
  }

  mutating func list(_ items: [[UInt8]]) {
    count(items.count)
    for item in items { lengthPrefixed(item) }
  }
}

extension ByteReader {
  mutating func optionalIdentifier() throws(FormatError) -> Identifier? {
    try flag() ? try identifier() : nil
  }

  /// Bytes with their length before them, where they lie.
  mutating func view(limit: Int, _ what: StaticString) throws(FormatError)
    -> UnsafeRawBufferPointer
  {
    try view(try count(limit: limit, what))
  }

  mutating func list(
    limit: Int, _ what: StaticString, _ texts: inout TextPool
  ) throws(FormatError) -> [[UInt8]] {
    var items: [[UInt8]] = []
    for _ in 0..<(try count(limit: remaining, what)) {
      items.append(texts.shared(try view(limit: limit, what)))
    }
    return items
  }
}
