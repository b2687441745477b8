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

  static let fields: [any WritableKeyPath<SnapshotCounts, UInt64> & Sendable] = [
    \.entries, \.files, \.directories, \.filesNew, \.filesChanged, \.filesUnchanged, \.bytes,
    \.bytesRead, \.bytesNew, \.bytesStored, \.chunksNew, \.chunksDuplicate, \.errors,
  ]
}

/// One completed backup, as the journal keeps it.
package struct SnapshotRecord: Sendable, Equatable {
  package var id: Identifier
  package var parent: Identifier?
  package var isFull = true
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

  package init(id: Identifier, root: TreeRoot, containers: ContainerSet) {
    self.id = id
    self.root = root
    self.containers = containers
  }

  private static let textLimit = 16 << 20

  func encode(into writer: inout ByteWriter) {
    writer.identifier(id)
    writer.optionalIdentifier(parent)
    writer.byte(isFull ? 1 : 0)
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
    for field in SnapshotCounts.fields { writer.varint(counts[keyPath: field]) }
    writer.byte(root.level)
    writer.chunkIdentity(root.page.identity)
    writer.integer(root.page.length)
    writer.identifier(root.page.location.container)
    writer.integer(root.page.location.slot)
    writer.optionalIdentifier(containers.base)
    writer.identifiers(containers.added)
    writer.identifiers(containers.removed)
  }

  init(decoding reader: inout ByteReader) throws(FormatError) {
    id = try reader.identifier()
    parent = try reader.optionalIdentifier()
    isFull = try reader.flag()
    startedNanoseconds = try reader.integer(Int64.self)
    completedNanoseconds = try reader.integer(Int64.self)
    let limit = SnapshotRecord.textLimit
    host = try reader.lengthPrefixed(limit: limit, "host name")
    user = try reader.lengthPrefixed(limit: limit, "user name")
    programVersion = try reader.lengthPrefixed(limit: limit, "program version")
    paths = try reader.list(limit: limit, "source path")
    tags = try reader.list(limit: limit, "tag")
    fileSystem = try reader.optionalIdentifier()
    fileSystemName = try reader.lengthPrefixed(limit: limit, "file system name")
    document = try reader.lengthPrefixed(limit: limit, "file system document")
    for field in SnapshotCounts.fields { counts[keyPath: field] = try reader.varint() }
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
    containers = ContainerSet(
      base: try reader.optionalIdentifier(), added: try reader.identifiers(),
      removed: try reader.identifiers())
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

  mutating func list(limit: Int, _ what: StaticString) throws(FormatError) -> [[UInt8]] {
    var items: [[UInt8]] = []
    for _ in 0..<(try count(limit: remaining, what)) {
      items.append(try lengthPrefixed(limit: limit, what))
    }
    return items
  }
}
