import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnStore
import MuninnTestSupport
import Testing

/// One flipped bit anywhere in any kind of object: found, never restored as if it were right, and
/// repaired without the loss of anything that it did not touch.
///
/// `MUNINN_FLIPS` in the environment says how many places of each kind; 1000 for a long run.
@Suite struct BitFlipTests {
  enum Kind: String, CaseIterable, Sendable {
    case header, headerCopy, data, manifest, segment, record, checkpoint, head, session
    case keySlot, epoch

    /// What is flipped there changes nothing that anybody relies on.
    var isHarmless: Bool { self == .head || self == .session }

    /// Objects that only an encrypted repository has.
    var isSecret: Bool { self == .keySlot || self == .epoch }
  }

  /// A part of a container, so that the small parts get their share of the flips.
  private enum Part: CaseIterable { case envelope, anywhere, directory, envelopeCopy, footer }

  private var flipCount: Int {
    environmentVariable("MUNINN_FLIPS").flatMap { Int($0) } ?? 10
  }

  private func names(_ kind: Kind, _ repository: DamageableRepository) throws -> [String] {
    switch kind {
    case .header: [ObjectName.repository]
    case .headerCopy: [ObjectName.repositoryCopy]
    case .data: try repository.containers(isManifest: false)
    case .manifest: try repository.containers(isManifest: true)
    case .segment: repository.names(ObjectName.segmentPrefix)
    case .record: repository.names(ObjectName.journalPrefix)
    case .checkpoint: repository.names(ObjectName.checkpointPrefix)
    case .head: [ObjectName.head]
    case .session: repository.names(ObjectName.sessionPrefix)
    case .keySlot: repository.names(ObjectName.keyPrefix)
    case .epoch: repository.names(ObjectName.epochPrefix)
    }
  }

  private func place(
    _ kind: Kind, _ bytes: [UInt8], _ generator: inout SeededGenerator
  ) -> Int {
    let count = bytes.count
    var range = 0..<count
    if kind == .data || kind == .manifest {
      let footer = count - 48
      let directory = Int(
        bytes.withUnsafeBytes {
          UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: footer + 16, as: UInt64.self))
        })
      switch Part.allCases[Int(generator.next() % 5)] {
      case .envelope: range = 0..<128
      case .anywhere: break
      case .directory: range = directory..<(footer - 128)
      case .envelopeCopy: range = (footer - 128)..<footer
      case .footer: range = footer..<count
      }
    }
    return range.lowerBound + Int(generator.next() % UInt64(range.count))
  }

  @Test(arguments: Kind.allCases, [false, true])
  func aFlippedBit(kind: Kind, isSealed: Bool) throws {
    guard isSealed || !kind.isSecret else { return }
    let needsCheckpoint = kind == .checkpoint || kind == .head
    let repository = try DamageableRepository(
      withCheckpoint: needsCheckpoint, isSealed: isSealed)
    let names = try names(kind, repository)
    try #require(!names.isEmpty)
    var generator = SeededGenerator.printed()
    for round in 0..<flipCount {
      let name = names[Int(generator.next() % UInt64(names.count))]
      var bytes = try #require(repository.objects[name])
      let at = place(kind, bytes, &generator)
      bytes[at] ^= 1 << UInt8(generator.next() % 8)
      try expectSurvived(
        repository, kind, name, bytes, at: at, "round \(round): byte \(at) of \(name)")
    }
    print("flips: \(kind)\(isSealed ? ", encrypted" : ""): \(flipCount)")
  }

  @Test(arguments: Kind.allCases, [false, true])
  func cutShortOrLost(kind: Kind, isSealed: Bool) throws {
    guard isSealed || !kind.isSecret else { return }
    let needsCheckpoint = kind == .checkpoint || kind == .head
    let repository = try DamageableRepository(
      withCheckpoint: needsCheckpoint, isSealed: isSealed)
    var generator = SeededGenerator.printed()
    for name in try names(kind, repository) {
      let good = try #require(repository.objects[name])
      for length in [nil, 0, 130, Int(generator.next() % UInt64(good.count)), good.count - 1] {
        guard let length else {
          try expectSurvived(repository, kind, name, nil, at: nil, "\(name) is lost")
          continue
        }
        guard length < good.count else { continue }
        try expectSurvived(
          repository, kind, name, Array(good[..<length]), at: nil, "\(length) bytes of \(name)")
      }
    }
  }

  private func expectSurvived(
    _ repository: DamageableRepository, _ kind: Kind, _ name: String, _ bytes: [UInt8]?,
    at place: Int?, _ what: Comment
  ) throws {
    // A deleted checkpoint or key slot is none, and the last record that is not there was never
    // made.
    let isLastRecord = kind == .record && name == repository.names(ObjectName.journalPrefix).last
    if bytes == nil, isLastRecord { return }
    let isUnseen = bytes == nil && (kind == .checkpoint || kind == .keySlot)
    let storage = repository.storage([name: bytes])
    let key = repository.key(storage)
    let found = try runCheck(storage, key: key)
    if kind.isHarmless || isUnseen {
      #expect(found.problems.isEmpty, what)
    } else {
      #expect(
        found.problems.contains { $0.place.contains(name) || $0.message.contains(name) }, what)
    }
    // What may be touched: the files of the flipped block alone, or all that a cut or a manifest
    // may take.
    var touched: Set<ChunkIdentity>? = []
    if kind == .data || kind == .manifest {
      touched =
        kind == .manifest
        ? nil
        : try place.flatMap {
          try repository.identities(at: $0, of: name) ?? []
        }
    }
    try expectNothingWrong(repository, storage, kind, touched: touched, what)

    let repaired = try runRepair(storage, key: key)
    #expect(repaired.unrepaired.isEmpty || kind == .manifest, what)
    if kind != .data, kind != .manifest { #expect(repaired.lost.isEmpty, what) }
    try expectNothingWrong(repository, storage, kind, touched: touched, what)
    let after = try runCheck(storage, key: key)
    if repaired.unrepaired.isEmpty {
      #expect(after.problems.isEmpty, "\(what) \(after.problems)")
    }
    #expect(try runRepair(storage, key: key).repaired.isEmpty, what)
    if !kind.isHarmless, !isUnseen, let bytes {
      let kept = try storage.list("damaged").map { storage.peek($0.name) }
      #expect(kept.contains(bytes), "what was damaged is kept")
    }
  }

  /// Reads every snapshot that is left; each file is as it was or known to be unreadable, and only
  /// what the damage touches is.
  private func expectNothingWrong(
    _ repository: DamageableRepository, _ storage: MemoryStorage, _ kind: Kind,
    touched: Set<ChunkIdentity>?, _ what: Comment
  ) throws {
    let store = try Store.open(in: storage, key: repository.key(storage))
    let journal = try store.loadJournal()
    for (original, expected) in zip(repository.snapshots, repository.contents) {
      guard
        let snapshot = journal.snapshots.last(where: {
          $0.id == original.id || $0.repairs == original.id
        })
      else {
        #expect(kind == .record, "\(what) has lost a snapshot")
        continue
      }
      let content = SnapshotContent(snapshot, store: store)
      for (path, bytes) in content.files {
        #expect(bytes == expected[path], "\(what): \(path) is wrong")
      }
      guard let touched else { continue }
      #expect(content.lostPages == 0, what)
      #expect(content.files.count + content.unreadable.count == expected.count, what)
      for path in content.unreadable {
        #expect(
          !(content.chunks[path] ?? []).isDisjoint(with: touched), "\(what): \(path) is lost")
      }
    }
  }
}
