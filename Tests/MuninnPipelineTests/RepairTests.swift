import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnStore
import MuninnTestSupport
import Testing

/// Repair: what it changes, what it leaves, and how what was lost comes back.
@Suite struct RepairTests {
  private let repository: DamageableRepository

  init() throws { repository = try DamageableRepository() }

  /// The container that holds most of the second snapshot's own data, with one block damaged.
  private func damageBlock(_ storage: MemoryStorage) throws -> Identifier {
    let store = try Store.open(in: storage)
    let journal = try store.loadJournal()
    let data = try journal.containers.values.filter { !$0.isManifest }
      .map { try store.openContainer($0.id) }
    let largest = try #require(data.max { $0.directory.blocks.count < $1.directory.blocks.count })
    let block = try #require(largest.directory.blocks.dropFirst().first)
    let name = ObjectName.container(largest.id)
    var bytes = try #require(storage.peek(name))
    bytes[Int(block.offset) + 100] ^= 1
    storage.poke(name, bytes)
    return largest.id
  }

  private func restore(_ storage: MemoryStorage, _ snapshot: SnapshotRecord, to name: String)
    throws -> RestoreOutcome
  {
    let options = RestoreOptions(
      root: snapshot.root, entryCount: 0, byteCount: 0,
      target: Array(repository.scene.directory.file(name).utf8), threads: 2)
    return try RestorePipeline(
      store: try Store.open(in: storage), options: options, progress: ProgressCounters(),
      cancellation: Cancellation()
    ).run()
  }

  @Test func aSoundRepositoryIsLeftAlone() throws {
    let storage = repository.storage()
    let before = try storage.list("")
    let outcome = try runRepair(storage)
    #expect(outcome.steps.isEmpty && outcome.repaired.isEmpty && outcome.lost.isEmpty)
    #expect(try storage.list("") == before)
  }

  @Test func aDryRunChangesNothing() throws {
    let storage = repository.storage([ObjectName.repository: [1, 2, 3]])
    let id = try damageBlock(storage)
    let before = try storage.list("").map { storage.peek($0.name) }
    let outcome = try runRepair(storage, isDryRun: true)
    #expect(outcome.steps.contains { $0.place.contains(ObjectName.container(id)) })
    #expect(outcome.steps.contains { $0.place == ObjectName.repository })
    #expect(!outcome.lost.isEmpty && outcome.repaired.count == 2)
    #expect(try storage.list("").map { storage.peek($0.name) } == before)
  }

  /// Without the data being read, only what the last check found is.
  @Test func suspectsAreRead() throws {
    let storage = repository.storage()
    let id = try damageBlock(storage)
    #expect(try runRepair(storage, readData: false).steps.isEmpty)
    let outcome = try runRepair(storage, readData: false, suspects: [id])
    #expect(!outcome.repaired.isEmpty)
    #expect(try runCheck(storage).problems.isEmpty)
  }

  @Test func lostContentIsMarkedAndComesBack() throws {
    let storage = repository.storage()
    let id = try damageBlock(storage)
    let found = try runCheck(storage)
    let outcome = try runRepair(storage)
    #expect(outcome.chunksSalvaged > 0)
    #expect(Set(outcome.lost.map(\.path)) == Set(found.affected.map(\.path)))
    #expect(storage.peek(ObjectName.container(id)) == nil, "it was moved aside")

    var journal = try Store.open(in: storage).loadJournal()
    #expect(journal.containers[id] == nil)
    #expect(journal.snapshots.count == 4)
    let latest = try #require(journal.snapshots.last)
    #expect(latest.repairs == repository.snapshots[1].id)
    #expect(latest.completedNanoseconds == repository.snapshots[1].completedNanoseconds)
    #expect(journal.superseded == Set(repository.snapshots.map(\.id)))
    let marked = SnapshotContent(latest, store: try Store.open(in: storage)).marked
    #expect(marked == Set(outcome.lost.map { displayPath($0.path) }))
    // The check knows them, and does not complain again.
    let after = try runCheck(storage)
    #expect(after.problems.isEmpty && !after.knownLosses.isEmpty)

    // The restore leaves each marked file with holes, and says which bytes.
    let restored = try restore(storage, latest, to: "partial")
    #expect(Set(restored.failures.map { displayPath($0.path) }) == marked)
    #expect(restored.failures.allSatisfy { $0.message.hasPrefix("bytes ") })
    let files = try repository.scene.files(below: repository.scene.directory.file("partial"))
    #expect(files.count == repository.contents[1].count)
    for (path, bytes) in files {
      let expected = try #require(repository.contents[1][path])
      #expect(bytes.count == expected.count)
      if !marked.contains(path) {
        #expect(bytes == expected)
      } else {
        #expect(zip(bytes, expected).allSatisfy { $0 == $1 || $0 == 0 }, "\(path)")
      }
    }

    // A backup that sees the content stores it again; every snapshot is whole then.
    var options = BackupOptions(sources: [Array(repository.scene.source.utf8)], threads: 2)
    options.parent = latest
    _ = try BackupPipeline(
      store: try Store.open(in: storage), options: options, progress: ProgressCounters(),
      cancellation: Cancellation()
    ).run { $0.host = Array("host".utf8) }
    let store = try Store.open(in: storage)
    let second = SnapshotContent(repository.snapshots[1], store: store)
    #expect(second.files == repository.contents[1], "the superseded one restores again")
    let healed = try runRepair(storage)
    #expect(healed.repaired.allSatisfy { $0.lostPaths == 0 || $0.healedPaths > 0 })
    journal = try Store.open(in: storage).loadJournal()
    let last = try #require(
      journal.snapshots.last { $0.repairs == latest.id })
    #expect(SnapshotContent(last, store: store).marked.isEmpty)
  }

  @Test func onlyWithPartialAreDamagedFilesKept() throws {
    let storage = repository.storage()
    _ = try damageBlock(storage)
    let lost = try restore(storage, repository.snapshots[1], to: "without")
    #expect(lost.failureCount > 0)
    let without = try repository.scene.files(below: repository.scene.directory.file("without"))
    #expect(without.count == repository.contents[1].count - Int(lost.failureCount))
    var options = RestoreOptions(
      root: repository.snapshots[1].root, entryCount: 0, byteCount: 0,
      target: Array(repository.scene.directory.file("with").utf8), threads: 2)
    options.keepsPartialFiles = true
    let kept = try RestorePipeline(
      store: try Store.open(in: storage), options: options, progress: ProgressCounters(),
      cancellation: Cancellation()
    ).run()
    #expect(kept.failureCount == lost.failureCount)
    let with = try repository.scene.files(below: repository.scene.directory.file("with"))
    #expect(with.count == repository.contents[1].count)
  }

  /// A snapshot whose container set is a difference to a lost one gets a set of its own.
  @Test func aSnapshotOutlivesTheRecordOfItsBase() throws {
    let storage = repository.storage([ObjectName.record(1): nil])
    #expect(try runCheck(storage).problems.contains { $0.place == ObjectName.record(1) })
    try runRepair(storage)
    let store = try Store.open(in: storage)
    let journal = try store.loadJournal()
    let last = try #require(journal.snapshots.last)
    #expect(last.repairs == repository.snapshots[1].id)
    let needed = try Store.open(in: repository.storage()).loadJournal()
      .containerSet(of: repository.snapshots[1].id)
    #expect(journal.containerSet(of: last.id).isSuperset(of: needed))
    #expect(SnapshotContent(last, store: store).files == repository.contents[1])
    #expect(try runCheck(storage).problems.isEmpty)
    #expect(storage.peek(ObjectName.record(1)) != nil, "the number is taken for ever")
    // It can be written to again.
    let session = try WriteSession(store: store)
    session.end()
  }

  // MARK: The ledger

  @Test func theLedgerComesBackAsItWas() throws {
    var ledger = VerificationLedger(repository: randomIdentifier())
    ledger.entries[randomIdentifier()] = VerificationLedger.Entry(
      readNanoseconds: 5, sampledNanoseconds: 6, isDamaged: true)
    ledger.entries[randomIdentifier()] = VerificationLedger.Entry()
    ledger.run = VerificationLedger.Run(fraction: 0.25, seed: 9, begunNanoseconds: 10)
    let bytes = ledger.encoded()
    #expect(try VerificationLedger(decoding: bytes, repository: ledger.repository) == ledger)
    #expect(throws: FormatError.self) {
      try VerificationLedger(decoding: bytes, repository: randomIdentifier())
    }
    for at in bytes.indices {
      var flipped = bytes
      flipped[at] ^= 4
      #expect(throws: FormatError.self) {
        try VerificationLedger(decoding: flipped, repository: ledger.repository)
      }
      #expect(throws: FormatError.self) {
        try VerificationLedger(decoding: Array(bytes[..<at]), repository: ledger.repository)
      }
    }
  }

  private func check(
    _ storage: MemoryStorage, _ data: CheckData, _ keeper: LedgerKeeper
  ) throws -> CheckOutcome {
    try CheckPipeline(
      store: try Store.open(in: storage), data: data, ledger: keeper, threads: 1,
      progress: ProgressCounters(), cancellation: Cancellation()
    ).run()
  }

  /// Each budgeted run reads the container that was read longest ago, until all were.
  @Test func aBudgetGoesRound() throws {
    let storage = repository.storage()
    let journal = try Store.open(in: storage).loadJournal()
    let saved = Monitor(0)
    let keeper = LedgerKeeper(
      VerificationLedger(repository: try Store.open(in: storage).header.repository)
    ) { _ in saved.withLock { $0 += 1 } }
    for round in 0..<journal.containers.count {
      let outcome = try check(storage, .budget(nanoseconds: nil, bytes: 1), keeper)
      #expect(outcome.containersRead == 1)
      let isLast = round == journal.containers.count - 1
      #expect((outcome.oldestNanoseconds != nil) == isLast)
      #expect((outcome.verifiedByteCount == outcome.totalByteCount) == isLast)
    }
    #expect(saved.withLock { $0 } >= journal.containers.count)
    let before = keeper.ledger.entries
    let oldest = try #require(before.min { $0.value.readNanoseconds < $1.value.readNanoseconds })
    _ = try check(storage, .budget(nanoseconds: nil, bytes: 1), keeper)
    let again = try #require(keeper.ledger.entries[oldest.key])
    #expect(again.readNanoseconds > oldest.value.readNanoseconds)
  }

  @Test func anInterruptedReadingGoesOn() throws {
    let storage = repository.storage()
    var ledger = VerificationLedger(
      repository: try Store.open(in: storage).header.repository)
    let journal = try Store.open(in: storage).loadJournal()
    let done = try #require(journal.containers.keys.sorted().first)
    ledger.run = VerificationLedger.Run(fraction: 1, seed: 3, begunNanoseconds: 100)
    ledger.entries[done] = VerificationLedger.Entry(
      readNanoseconds: 150, sampledNanoseconds: 150, isDamaged: false)
    let keeper = LedgerKeeper(ledger) { _ in }
    let outcome = try check(storage, .all, keeper)
    #expect(outcome.isResumed)
    #expect(outcome.containersRead == UInt64(journal.containers.count) - 1)
    #expect(keeper.ledger.run == nil)
    // The next one begins anew.
    #expect(try check(storage, .all, keeper).containersRead == UInt64(journal.containers.count))
  }

  @Test func aSampleReadsAboutItsShare() throws {
    let outcome = try runCheck(repository.storage(), .sample(fraction: 0.3))
    let all = try runCheck(repository.storage())
    #expect(outcome.bytesRead < all.bytesRead)
    #expect(outcome.verifiedByteCount == 0, "a sample verifies no container whole")
  }
}
