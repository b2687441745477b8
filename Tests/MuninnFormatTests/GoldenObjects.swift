import MuninnFormat
import Testing

/// A layout's sample, how it is written and how it is read.
struct GoldenObject: Sendable, CustomTestStringConvertible {
  /// What a changed byte does.
  enum Protection: Sendable {
    /// A checksum or a tag at this layer covers every byte.
    case checked
    /// The layer below checks; here a change is refused, or makes another value.
    case below
  }

  let name: String
  let protection: Protection
  let encode: @Sendable () throws -> [UInt8]
  /// False where another version of a library may write other bytes that are as good.
  var isReproducible = true
  /// Whether the bytes hold the sample.
  let holdsSample: @Sendable ([UInt8]) throws(FormatError) -> Bool

  var testDescription: String { name }

  static let all = [
    envelope, rawFrame, packedFrame, sealedFrame, directory, footer, segmentTables, segmentLists,
    segmentFilter, segmentFooter,
    referencePage, entryPage, extentPage, containerList,
    record("record-containers", Sample.containerOperation),
    record("record-snapshot", .snapshot(Sample.snapshot)),
    record("record-partial", .snapshot(Sample.partialSnapshot)),
    record("record-forgotten", Sample.forgottenOperation),
    record("record-segments", Sample.segmentOperation),
    record("record-checkpoint", .checkpoint(Sample.checkpointRecord)), checkpoint, head,
    record("record-repacked", Sample.repackedOperation),
    record("record-bridged", Sample.bridgedOperation),
    record("record-condemned", Sample.condemnedOperation),
    record("record-rescued", Sample.rescuedOperation),
    record("record-swept", Sample.sweptOperation),
    record("record-fenced", Sample.fencedOperation),
    record("record-adopted", Sample.adoptedOperation),
    record("record-annotated", Sample.annotatedOperation),
    record("record-settings", Sample.settingsOperation),
    wholeRecord,
    header(.none), header(.aes256gcm), header(.none, .sha256), passphraseSlot, keyFileSlot,
    identities(.xxh3), identities(.sha256),
  ]

  private static let envelope = GoldenObject(
    name: "envelope", protection: .checked, encode: { Sample.envelope().encoded() },
    holdsSample: { (bytes) throws(FormatError) in
      try withRaw(bytes) { (raw) throws(FormatError) in
        try Envelope(decoding: raw) == Sample.envelope()
      }
    })

  private static let payload = [UInt8](0..<40)
  private static let compressible = [UInt8](repeating: 7, count: 5000) + [1, 2, 3]

  private static func frame(
    _ name: String, _ suite: CipherSuite, _ payload: [UInt8], level: Int
  ) -> GoldenObject {
    GoldenObject(
      name: name, protection: .checked,
      encode: { try Sample.seal(suite).frame(payload, kind: .block, number: 5, level: level) },
      isReproducible: level == 0,
      holdsSample: { (bytes) throws(FormatError) in
        let seal = try Sample.seal(suite)
        return try withRaw(bytes) { (raw) throws(FormatError) in
          try seal.open(raw, kind: .block, number: 5, limit: 1 << 20).payload == payload
        }
      })
  }

  private static let rawFrame = frame("frame-raw", .none, payload, level: 0)
  private static let packedFrame = frame("frame-lz4", .none, compressible, level: 1)
  private static let sealedFrame = frame("frame-sealed", .aes256gcm, payload, level: 0)

  private static let directory = GoldenObject(
    name: "container-directory", protection: .below, encode: { Sample.directory.encoded() },
    holdsSample: { (bytes) throws(FormatError) in
      try withRaw(bytes) { (raw) throws(FormatError) in
        try ContainerDirectory(decoding: raw) == Sample.directory
      }
    })

  private static let footer = GoldenObject(
    name: "container-footer", protection: .checked, encode: { Sample.footer.encoded() },
    holdsSample: { (bytes) throws(FormatError) in
      try withRaw(bytes) { (raw) throws(FormatError) in
        try ContainerFooter(decoding: raw, objectByteCount: Sample.footer.containerByteCount)
          == Sample.footer
      }
    })

  private static let segmentTables = GoldenObject(
    name: "segment-tables", protection: .below, encode: { Sample.segmentTables.encoded() },
    holdsSample: { (bytes) throws(FormatError) in
      try withRaw(bytes) { (raw) throws(FormatError) in
        try SegmentTables(decoding: raw) == Sample.segmentTables
      }
    })

  private static let segmentLists = GoldenObject(
    name: "segment-lists", protection: .below, encode: { Sample.segmentLists.encoded() },
    holdsSample: { (bytes) throws(FormatError) in
      try withRaw(bytes) { (raw) throws(FormatError) in
        try SegmentLists(
          decoding: raw, Sample.segmentTables, entryCount: Sample.segmentEntryCount)
          == Sample.segmentLists
      }
    })

  private static let filterShape = FilterShape(entryCount: 600, remainderBits: 13)

  private static let segmentFilter = GoldenObject(
    name: "segment-filter", protection: .below,
    encode: { Sample.filterFrames(Sample.segmentPage, filterShape).flatMap { $0 } },
    holdsSample: { (bytes) throws(FormatError) in
      let filter = try ChunkFilter(
        shape: filterShape, wordCount: UInt64((bytes.count + 7) / 8))
      try withRaw(bytes) { (raw) throws(FormatError) in try filter.append(frame: raw) }
      guard filter.isComplete else { throw FormatError(.truncated, "a filter lacks words") }
      return bytes == Sample.filterFrames(Sample.segmentPage, filterShape).flatMap { $0 }
    })

  private static let segmentFooter = GoldenObject(
    name: "segment-footer", protection: .checked,
    encode: { SegmentTables.footer(tablesOffset: 4711, entryCount: 1500) },
    holdsSample: { (bytes) throws(FormatError) in
      try withRaw(bytes) { (raw) throws(FormatError) in
        try SegmentTables.decodeFooter(raw) == (4711, 1500)
      }
    })

  private static let referencePage = GoldenObject(
    name: "reference-page", protection: .below,
    encode: { ReferencePage.encoded(level: 2, Sample.pageReferences) },
    holdsSample: { (bytes) throws(FormatError) in
      try withRaw(bytes) { (raw) throws(FormatError) in
        try ReferencePage.decode(raw, level: 2) == Sample.pageReferences
      }
    })

  private static let entryPage = GoldenObject(
    name: "entry-page", protection: .below, encode: { Sample.page(Sample.entries) },
    holdsSample: { (bytes) throws(FormatError) in
      try withRaw(bytes) { (raw) throws(FormatError) in
        try EntryPage.decode(raw) == Sample.entries
      }
    })

  private static let extentPage = GoldenObject(
    name: "extent-page", protection: .below, encode: { ExtentPage.encoded(Sample.extents) },
    holdsSample: { (bytes) throws(FormatError) in
      try withRaw(bytes) { (raw) throws(FormatError) in
        try ExtentPage.decode(raw) == Sample.extents
      }
    })

  private static let listed = (0..<4).map { Sample.identifier($0) }

  private static let containerList = GoldenObject(
    name: "container-list", protection: .below, encode: { ContainerList.encoded(listed) },
    holdsSample: { (bytes) throws(FormatError) in
      try withRaw(bytes) { (raw) throws(FormatError) in try ContainerList.decode(raw) == listed }
    })

  private static func record(_ name: String, _ operation: JournalOperation) -> GoldenObject {
    let sample = Sample.record([operation])
    return GoldenObject(
      name: name, protection: .below, encode: { sample.encodedPayload() },
      holdsSample: { (bytes) throws(FormatError) in
        try withRaw(bytes) { (raw) throws(FormatError) in
          try JournalRecord(decodingPayload: raw) == sample
        }
      })
  }

  private static let checkpoint = GoldenObject(
    name: "checkpoint", protection: .below, encode: { Sample.checkpoint.encodedPayload() },
    holdsSample: { (bytes) throws(FormatError) in
      try withRaw(bytes) { (raw) throws(FormatError) in
        try Checkpoint(decodingPayload: raw) == Sample.checkpoint
      }
    })

  private static let head = GoldenObject(
    name: "head", protection: .below, encode: { HeadHint(record: 77).encodedPayload() },
    holdsSample: { (bytes) throws(FormatError) in
      try withRaw(bytes) { (raw) throws(FormatError) in
        try HeadHint(decodingPayload: raw) == HeadHint(record: 77)
      }
    })

  /// As the object in the journal: envelope and frame around the payload.
  private static let wholeRecord = GoldenObject(
    name: "record-object", protection: .checked,
    encode: {
      let envelope = Sample.envelope(.none, kind: .record)
      let record = Sample.record([Sample.forgottenOperation, Sample.containerOperation])
      return envelope.encoded()
        + (try Seal(envelope: envelope, masterKey: nil).frame(
          record.encodedPayload(), kind: .record, number: 0, level: 0))
    },
    holdsSample: { (bytes) throws(FormatError) in
      let record = Sample.record([Sample.forgottenOperation, Sample.containerOperation])
      return try withRaw(bytes) { (raw) throws(FormatError) in
        let envelope = try Envelope(decoding: raw)
        let frames = UnsafeRawBufferPointer(rebasing: raw[Envelope.byteCount...])
        let payload = try Seal(envelope: envelope, masterKey: nil).open(
          frames, kind: .record, number: 0, limit: 1 << 20
        ).payload
        return try withRaw(payload) { (raw) throws(FormatError) in
          try JournalRecord(decodingPayload: raw) == record
        }
      }
    })

  private static func header(
    _ suite: CipherSuite, _ method: IdentityMethod = .xxh3
  ) -> GoldenObject {
    GoldenObject(
      name: (suite == .none ? "repository" : "repository-sealed")
        + (method == .xxh3 ? "" : "-sha256"), protection: .checked,
      encode: {
        suite == .none
          ? try Sample.header(suite, method).encoded()
          : try Sample.header(suite, method).encoded(
            salt: Sample.salt, masterKey: try MasterKey(bytes: Sample.masterKey))
      },
      holdsSample: { (bytes) throws(FormatError) in
        try RepositoryHeader(
          decoding: bytes,
          masterKey: suite == .none ? nil : try MasterKey(bytes: Sample.masterKey))
          == Sample.header(suite, method)
      })
  }

  private static func slot(
    _ name: String, _ material: @escaping @Sendable () -> KeyMaterial
  ) -> GoldenObject {
    GoldenObject(
      name: name, protection: .checked,
      encode: { try Sample.slot(material()).encoded() },
      holdsSample: { (bytes) throws(FormatError) in
        let slot = try withRaw(bytes) { (raw) throws(FormatError) in
          try KeySlot(decoding: raw)
        }
        let sample = try Sample.slot(material())
        guard slot == sample, let keys = try slot.unwrap(with: material()) else { return false }
        return keys.newest == sample.key
      })
  }

  private static let passphraseSlot = slot("key-slot-passphrase") {
    .passphrase(Sample.secret(Sample.passphrase))
  }
  private static let keyFileSlot = slot("key-slot-file") {
    var bytes = Sample.keyFile
    return .keyFile(Secret(taking: &bytes))
  }

  /// Fingerprint, tag and checksum of fixed inputs under fixed secrets: they can never change.
  private static func identities(_ method: IdentityMethod) -> GoldenObject {
    GoldenObject(
      name: method == .xxh3 ? "identities" : "identities-sha256", protection: .below,
      encode: { try identityBytes(method) },
      holdsSample: { (bytes) throws(FormatError) in
        // Fixed width: what is cut short is not the sample.
        guard bytes.count == 4 * 40 else {
          throw FormatError(.truncated, "\(bytes.count) bytes of identities")
        }
        return bytes == (try identityBytes(method))
      })
  }

  private static func identityBytes(_ method: IdentityMethod) throws(FormatError) -> [UInt8] {
    let identifying = try Identifying(
      secret: [UInt8](0..<192), tagKey: [UInt8](192..<224), method: method)
    var writer = ByteWriter()
    for count in [0, 1, 100, 20_000] {
      let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
      writer.chunkIdentity(bytes.withUnsafeBytes { identifying.identity(of: $0) })
      writer.integer(bytes.withUnsafeBytes { checksum($0) })
    }
    return writer.bytes
  }
}
