import MuninnFormat
import MuninnTestSupport

/// Random values of the format, valid ones: what is encoded must come back.
extension SeededGenerator {
  /// Small, large and boundary numbers alike.
  mutating func number(below limit: UInt64 = .max) -> UInt64 {
    let bits = next() % 65
    let value = bits == 64 ? next() : next() & ((1 << bits) - 1)
    return limit == .max ? value : value % limit
  }

  mutating func text(upTo count: UInt64) -> [UInt8] { bytes(Int(next() % (count + 1))) }

  mutating func identifier() -> Identifier { Identifier(high: number(), low: number()) }

  mutating func identifiers(upTo count: UInt64) -> [Identifier] {
    (0..<(next() % (count + 1))).map { _ in identifier() }
  }

  mutating func identity() -> ChunkIdentity {
    ChunkIdentity(
      fingerprint: Pair128(low: next(), high: next()), tag: Pair128(low: next(), high: next()))
  }

  mutating func reference(_ containers: [Identifier]) -> ChunkReference {
    ChunkReference(
      identity: identity(), length: UInt32(number(below: UInt64(FormatLimit.chunkByteCount))),
      location: ChunkLocation(
        container: containers[Int(next() % UInt64(containers.count))],
        slot: UInt32(number(below: UInt64(FormatLimit.chunksPerContainer)))))
  }

  mutating func extents(_ count: Int, _ containers: [Identifier]) -> [Extent] {
    (0..<count).map { _ in
      oneIn(4) ? .hole(number(below: 1 << 50)) : .chunk(reference(containers))
    }
  }

  /// Paths in order, with shared beginnings.
  mutating func paths(_ count: Int) -> [[UInt8]] {
    var paths: [[UInt8]] = []
    for _ in 0..<count {
      var components: [[UInt8]] = []
      for _ in 0...(next() % 4) {
        let name = (0...(next() % 3)).map { _ in
          [UInt8(ascii: "a"), UInt8(ascii: "-"), UInt8(ascii: "b"), 0xFF, 1][Int(next() % 5)]
        }
        components.append(name)
      }
      paths.append(Array(components.joined(separator: [0x2F])))
    }
    var sorted: [[UInt8]] = []
    for path in paths.sorted(by: pathPrecedes) where path != sorted.last { sorted.append(path) }
    return sorted
  }

  mutating func entry(_ path: [UInt8], _ containers: [Identifier]) -> ManifestEntry {
    let kinds: [EntryKind] = [
      .file, .file, .file, .directory, .symlink, .fifo, .socket, .characterDevice, .blockDevice,
    ]
    var entry = ManifestEntry(path: path, kind: kinds[Int(next() % UInt64(kinds.count))])
    entry.mode = UInt16(number(below: 0o10000))
    entry.userID = UInt32(truncatingIfNeeded: number())
    entry.groupID = UInt32(truncatingIfNeeded: number())
    entry.userName = text(upTo: 3)
    entry.groupName = text(upTo: 3)
    entry.modifiedNanoseconds = Int64(bitPattern: number())
    entry.changedNanoseconds = Int64(bitPattern: number())
    entry.birthNanoseconds = oneIn(2) ? 0 : Int64(bitPattern: number())
    entry.inode = number()
    entry.inodeFlags = oneIn(3) ? UInt32(truncatingIfNeeded: next()) : 0
    if oneIn(3) {
      for _ in 0...(next() % 3) {
        entry.attributes.append(NamedAttribute(name: text(upTo: 20), value: text(upTo: 300)))
      }
    }
    if oneIn(5) { entry.hardLink = oneIn(2) ? .first : .later(text(upTo: 40)) }
    entry.isUnstable = oneIn(5)
    switch entry.kind {
    case .file: setContent(of: &entry, containers)
    case .symlink: entry.linkTarget = text(upTo: 100)
    case .characterDevice, .blockDevice:
      entry.deviceMajor = UInt32(truncatingIfNeeded: number())
      entry.deviceMinor = UInt32(truncatingIfNeeded: number())
    case .directory, .fifo, .socket: break
    }
    return entry
  }

  private mutating func setContent(of entry: inout ManifestEntry, _ containers: [Identifier]) {
    switch next() % 4 {
    case 0: entry.content = .none
    case 1:
      let bytes = text(upTo: UInt64(FormatLimit.inlineByteCount))
      entry.content = .inline(bytes)
      entry.size = UInt64(bytes.count)
    case 2:
      let extents = extents(Int(next() % 65), containers)
      entry.content = .extents(extents)
      entry.size = extents.reduce(0) { $0 + $1.byteCount }
    default:
      entry.size = number(below: 1 << 62)
      entry.content = .tree(
        TreeRoot(level: UInt8(next() % 13), page: reference(containers)),
        containerLists: (0..<(next() % 5)).map { _ in reference(containers) })
    }
  }

  mutating func snapshot() -> SnapshotRecord {
    let containers = [identifier(), identifier()]
    var snapshot = SnapshotRecord(
      id: identifier(), root: TreeRoot(level: UInt8(next() % 13), page: reference(containers)),
      containers: ContainerSet(
        base: oneIn(2) ? nil : identifier(), added: identifiers(upTo: 20),
        removed: identifiers(upTo: 5)))
    snapshot.parent = oneIn(2) ? nil : identifier()
    snapshot.repairs = oneIn(2) ? nil : identifier()
    snapshot.isFull = oneIn(2)
    snapshot.isPartial = oneIn(3)
    snapshot.startedNanoseconds = Int64(bitPattern: number())
    snapshot.completedNanoseconds = Int64(bitPattern: number())
    snapshot.host = text(upTo: 30)
    snapshot.user = text(upTo: 30)
    snapshot.programVersion = text(upTo: 30)
    snapshot.paths = (0..<(next() % 4)).map { _ in text(upTo: 300) }
    snapshot.tags = (0..<(next() % 4)).map { _ in text(upTo: 30) }
    snapshot.fileSystem = oneIn(2) ? nil : identifier()
    snapshot.fileSystemName = text(upTo: 30)
    snapshot.document = text(upTo: 3000)
    snapshot.counts.entries = number()
    snapshot.counts.filesUnchanged = number()
    snapshot.counts.bytesStored = number()
    snapshot.counts.errors = number()
    return snapshot
  }

  private mutating func containers() -> [ContainerRecord] {
    identifiers(upTo: 20).map {
      ContainerRecord(
        id: $0, isManifest: oneIn(2), byteCount: number(),
        chunkCount: UInt32(number(below: UInt64(FormatLimit.chunksPerContainer))),
        rawByteCount: number())
    }
  }

  private mutating func annotation() -> Annotation {
    var annotation = Annotation(snapshot: identifier())
    annotation.addedTags = (0..<(next() % 4)).map { _ in text(upTo: 30) }
    annotation.removedTags = (0..<(next() % 4)).map { _ in text(upTo: 30) }
    annotation.hold = [.unchanged, .set, .lifted][Int(next() % 3)]
    annotation.reason = text(upTo: 40)
    return annotation
  }

  private mutating func settings() -> RepositorySettings {
    var settings = RepositorySettings()
    settings.minimumAge = number()
    return settings
  }

  mutating func operation() -> JournalOperation {
    switch next() % 14 {
    case 7: .condemned(identifiers(upTo: 20))
    case 8: .rescued(identifiers(upTo: 20))
    case 9: .swept(containers: identifiers(upTo: 9), segments: identifiers(upTo: 9))
    case 10: .fenced(identifiers(upTo: 20))
    case 11: .adopted(containers())
    case 12: .annotated((0..<(next() % 4)).map { _ in annotation() })
    case 13: .settings(settings())
    case 0: .containers(containers())
    case 5: .repacked(added: containers(), removed: identifiers(upTo: 9))
    case 6:
      .bridged(
        (0..<(next() % 4)).map { _ in
          let first = 1 + number() / 2
          return BridgedRecords(first: first, last: first + number() / 2, reason: text(upTo: 30))
        })
    case 1: .snapshot(snapshot())
    case 2: .forgotten(identifiers(upTo: 20))
    case 3:
      .checkpoint(
        CheckpointRecord(
          id: identifier(), byteCount: number(), hash: bytes(32), record: number(),
          recordHash: bytes(32)))
    default:
      .segments(
        added: identifiers(upTo: 4).map {
          SegmentRecord(
            id: $0, byteCount: number(), entryCount: number(), containers: identifiers(upTo: 30))
        }, removed: identifiers(upTo: 4))
    }
  }
}
