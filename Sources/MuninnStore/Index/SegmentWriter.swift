internal import MuninnDisk
internal import MuninnFormat

extension Store {
  /// Writes an index segment over `entries`, which are sorted by prefix and name `containers` by
  /// ordinal. The object is synced; its name is durable after `makeNamesDurable`.
  func writeSegment(
    id: Identifier, entries: [SegmentEntry], containers: [Identifier]
  ) throws(StoreError) -> SegmentRecord {
    let name = ObjectName.segment(id)
    let envelope = newEnvelope(kind: .segment, object: id)
    let seal = try decoding(name) { () throws(FormatError) in
      try Seal(envelope: envelope, masterKey: masterKey)
    }
    let pages = entries.count / SegmentTables.entriesPerPage + 1
    let expected = Envelope.byteCount + entries.count * 16 + pages * 80 + containers.count * 16
    let writer = try onDisk(name) { () throws(DiskError) in
      try storage.create(name, expectedByteCount: UInt64(expected + entries.count * 2))
    }
    func append(_ bytes: [UInt8]) throws(StoreError) {
      try onDisk(name) { () throws(DiskError) in
        try bytes.withUnsafeBytesTyped { (raw) throws(DiskError) in try writer.append(raw) }
      }
    }
    do throws(StoreError) {
      try append(envelope.encoded())
      var tables = SegmentTables(filter: ChunkFilter(capacity: entries.count))
      tables.containers = containers
      var number: UInt32 = 0
      var start = 0
      while start < entries.count {
        let end = min(start + SegmentTables.entriesPerPage, entries.count)
        tables.firstPrefixes.append(entries[start].prefix)
        var page = ByteWriter(reserving: (end - start) * SegmentEntry.byteCount)
        for entry in entries[start..<end] {
          page.integer(entry.prefix)
          page.integer(entry.container)
          page.integer(entry.slot)
          tables.filter.insert(entry.prefix)
        }
        try append(
          try decoding(name) { () throws(FormatError) in
            try seal.frame(page.bytes, kind: .segmentPage, number: number, level: 0)
          })
        number += 1
        start = end
      }
      let tablesOffset = writer.byteCount
      let frame = try decoding(name) { () throws(FormatError) in
        try seal.frame(tables.encoded(), kind: .segmentTables, number: number, level: 0)
      }
      try append(frame)
      try append(
        SegmentTables.footer(tablesOffset: tablesOffset, entryCount: UInt64(entries.count)))
      try onDisk(name) { () throws(DiskError) in try writer.finish() }
    } catch {
      writer.discard()
      throw error
    }
    return SegmentRecord(
      id: id, byteCount: writer.byteCount, entryCount: UInt64(entries.count),
      containers: containers)
  }
}

/// The entries of some containers' directories, sorted by prefix, with the containers that they
/// name.
func segmentEntries(
  of directories: [(id: Identifier, identities: [ChunkIdentity])]
) -> (entries: [SegmentEntry], containers: [Identifier]) {
  var entries: [SegmentEntry] = []
  entries.reserveCapacity(directories.reduce(0) { $0 + $1.identities.count })
  for (ordinal, directory) in directories.enumerated() {
    for (slot, identity) in directory.identities.enumerated() {
      entries.append(
        SegmentEntry(
          prefix: identity.fingerprint.low, container: UInt32(ordinal), slot: UInt32(slot)))
    }
  }
  entries.sort { $0.prefix < $1.prefix }
  return (entries, directories.map(\.id))
}
