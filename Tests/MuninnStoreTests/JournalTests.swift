import Glibc
import MuninnDisk
import MuninnFormat
import MuninnTestSupport
import Testing

@testable import MuninnStore

/// The journal: one record at a time, whoever writes, and nothing altered unnoticed.
@Suite struct JournalTests {
  private func repository(commits: Int) throws -> TestRepository {
    let repository = try TestRepository()
    for number in 0..<commits {
      try repository.commit([[UInt8](repeating: UInt8(number), count: 500)])
    }
    return repository
  }

  @Test func aRepositoryIsMadeOnce() throws {
    let repository = try TestRepository()
    do throws(StoreError) {
      _ = try Store.create(
        in: repository.storage, averageChunkSize: nil, isShared: false)
      Issue.record("made twice")
    } catch {
      #expect(error.code == .alreadyExists)
    }
    for size: UInt32 in [0, 4095, 2 << 10, 12 << 10, 8 << 20] {
      #expect(throws: StoreError.self, "\(size)") {
        try Store.create(in: MemoryStorage(), averageChunkSize: size, isShared: false)
      }
    }
  }

  @Test func whatIsNoRepositoryIsNotOpened() throws {
    let storage = MemoryStorage()
    func code() -> StoreError.Code? {
      do throws(StoreError) { _ = try Store.open(in: storage) } catch { return error.code }
      return nil
    }
    #expect(code() == .notARepository)
    storage.poke(ObjectName.repository, Array("[core] bare = true, and more than 128 bytes".utf8))
    #expect(code() == .damaged)
    storage.poke(ObjectName.repository, [UInt8](repeating: 0x20, count: 500))
    #expect(code() == .notARepository)
  }

  /// A header of the next format version names that version; a damaged one names itself. Nothing
  /// traps.
  @Test func headersThatCannotBeRead() throws {
    let repository = try TestRepository()
    let good = try #require(repository.storage.peek(ObjectName.repository))
    #expect(repository.storage.peek(ObjectName.repositoryCopy) == good)
    repository.storage.poke(ObjectName.repositoryCopy, nil)
    var next = good
    next[8] = UInt8(formatVersion) + 1
    mendEnvelope(&next)
    repository.storage.poke(ObjectName.repository, next)
    do throws(StoreError) {
      _ = try Store.open(in: repository.storage)
      Issue.record("a future format was opened")
    } catch {
      #expect(error.code == .unsupportedFormat)
      #expect(error.description.contains("format version \(formatVersion + 1)"))
      #expect(error.object == ObjectName.repository)
    }
    for offset in good.indices where offset >= 8 {
      var bytes = good
      bytes[offset] ^= 0x10
      repository.storage.poke(ObjectName.repository, bytes)
      do throws(StoreError) {
        _ = try Store.open(in: repository.storage)
        Issue.record("byte \(offset) of the header does not count")
      } catch {
        #expect(error.object == ObjectName.repository)
      }
    }
    for count in 0..<good.count {
      repository.storage.poke(ObjectName.repository, Array(good[..<count]))
      #expect(throws: StoreError.self) { try Store.open(in: repository.storage) }
    }
  }

  @Test func snapshotsComeBackInTheirOrder() throws {
    let repository = try repository(commits: 5)
    let journal = try repository.reopened().loadJournal()
    #expect(journal.head == 5)
    #expect(journal.problems.isEmpty)
    #expect(journal.snapshots.count == 5)
    #expect(journal.containers.count == 5)
    #expect(
      journal.byteCount
        == (try repository.storage.list(ObjectName.journalPrefix)).reduce(0) { $0 + $1.size })
    var again = JournalState()
    try repository.store.extend(&again)
    #expect(again.snapshots == journal.snapshots)
    #expect(again.headHash == journal.headHash)
  }

  @Test func aSnapshotNamesItsContainersByDifference() throws {
    let repository = try TestRepository()
    var chunks: [[UInt8]] = []
    var parent: Identifier?
    var expected: [Identifier: Set<Identifier>] = [:]
    for number in 0..<6 {
      let session = try WriteSession(store: repository.store)
      defer { session.end() }
      let writer = session.makeContainerWriter(isManifest: false)
      chunks.append([UInt8](repeating: UInt8(number), count: 400))
      // Each snapshot needs the newest three chunks, so that containers join and leave.
      let references = try chunks.suffix(3).map { try session.put($0, into: writer).reference }
      try writer.finish()
      var snapshot = draft(root: references[0])
      snapshot.parent = parent
      let needed = Set(references.map(\.location.container))
      let committed = try session.commit(snapshot, needed: needed)
      if number > 0 { #expect(committed.containers.added.count == 1) }
      parent = committed.id
      expected[committed.id] = needed
    }
    let journal = try repository.reopened().loadJournal()
    for (id, needed) in expected { #expect(journal.containerSet(of: id) == needed) }
  }

  @Test func aSnapshotOfALostContainerIsNotCommitted() throws {
    let repository = try repository(commits: 1)
    let session = try WriteSession(store: repository.store)
    defer { session.end() }
    let lost = Identifier(high: 5, low: 6)
    do throws(StoreError) {
      _ = try session.commit(draft(root: nil), needed: [lost])
      Issue.record("committed")
    } catch {
      #expect(error.object == ObjectName.container(lost))
    }
    #expect(try repository.reopened().loadJournal().head == 1)
  }

  // MARK: Damage

  private enum Damage: CaseIterable { case missing, flipped, cutShort, exchanged, older, empty }

  @Test(arguments: Damage.allCases, [1, 3, 4] as [UInt64])
  private func aDamagedRecordIsNamed(damage: Damage, number: UInt64) throws {
    let repository = try repository(commits: 5)
    let name = ObjectName.record(number)
    var bytes = try #require(repository.storage.peek(name))
    switch damage {
    case .missing: repository.storage.poke(name, nil)
    case .flipped:
      bytes[200] ^= 1
      repository.storage.poke(name, bytes)
    case .cutShort: repository.storage.poke(name, Array(bytes.dropLast()))
    case .exchanged:
      let other = ObjectName.record(number + 1)
      repository.storage.poke(name, repository.storage.peek(other))
      repository.storage.poke(other, bytes)
    case .older:
      // A record that is sound and follows nothing: from a repository with the same beginnings.
      try replace(number, in: repository)
    case .empty: repository.storage.poke(name, [])
    }
    let store = try repository.reopened()
    let journal = try store.loadJournal()
    let first = try #require(journal.problems.first)
    // An exchanged hash shows at the record or, where the record itself is sound, at the one after
    // it.
    let named = [name, ObjectName.record(number + 1)]
    #expect(named.contains(first.object ?? ""), "\(first)")
    #expect(journal.head == 5)
    let lost = damage == .exchanged ? 2 : 1
    #expect(journal.snapshots.count >= 5 - lost, "what the others say is still there")
    #expect(throws: StoreError.self, "nothing is built on a damaged journal") {
      try WriteSession(store: store)
    }
  }

  /// Writes another, well-formed record under a number.
  private func replace(_ number: UInt64, in repository: TestRepository) throws {
    let envelope = repository.store.newEnvelope(
      kind: .record, object: JournalRecord.objectID(number: number))
    let record = JournalRecord(
      number: number, previousHash: [UInt8](repeating: 9, count: 32), session: .zero, nonce: .zero,
      timeNanoseconds: 1, operations: [])
    let frame = try Seal(envelope: envelope, masterKey: nil).frame(
      record.encodedPayload(), kind: .record, number: 0)
    repository.storage.poke(ObjectName.record(number), envelope.encoded() + frame)
  }

  @Test func everyByteOfARecordIsGuarded() throws {
    let repository = try repository(commits: 2)
    let name = ObjectName.record(1)
    let good = try #require(repository.storage.peek(name))
    for offset in good.indices {
      var bytes = good
      bytes[offset] ^= 0x40
      repository.storage.poke(name, bytes)
      do throws(StoreError) {
        let journal = try repository.store.loadJournal()
        #expect(journal.problems.first?.object == name, "byte \(offset)")
        #expect(journal.snapshots.count == 1)
      } catch {
        // A future version ends the reading, since what it says is not known.
        #expect(error.code == .unsupportedFormat)
        #expect(error.object == name)
      }
    }
  }

  @Test func strayNamesAreNoRecords() throws {
    let repository = try repository(commits: 2)
    for name in ["journal/x", "journal/1", "journal/000000000000000A", "journal/a/b"] {
      repository.storage.poke(name, [1])
    }
    #expect(try repository.store.loadJournal().problems.isEmpty)
    repository.storage.poke("journal/ffffffffffffffff", [1])
    let journal = try repository.store.loadJournal()
    #expect(journal.problems.count == 2, "a gap, and what lies behind it")
    #expect(journal.problems[0].object == ObjectName.record(3))
    #expect(journal.snapshots.count == 2)
  }

  // MARK: Races

  /// A list of names is of no one moment: it may have record 4 without record 3, which came before.
  @Test func aRecordThatAListMissedIsNoGap() throws {
    let repository = try repository(commits: 4)
    repository.storage.missInNextList(ObjectName.record(3))
    let journal = try repository.reopened().loadJournal()
    #expect(journal.problems.isEmpty)
    #expect(journal.head == 4)
    #expect(journal.snapshots.count == 4)
  }

  @Test(arguments: [false, true], [2, 6])
  func everyCommitterGetsItsRecord(isLocal: Bool, count: Int) throws {
    let directory = try TemporaryDirectory()
    let storage: any Storage =
      isLocal
      ? try LocalStorage(path: directory.file("repository"), create: true) : MemoryStorage()
    _ = try Store.create(in: storage, averageChunkSize: nil, isShared: false)
    let outcome = Monitor([Result<SnapshotRecord, StoreError>]())
    let ready = Monitor(0)
    WorkerThreads.run(count: count, name: "committer") { thread in
      do throws(StoreError) {
        let own = try Store.open(in: storage)
        let session = try WriteSession(store: own)
        defer { session.end() }
        let writer = session.makeContainerWriter(isManifest: false)
        let mine = [UInt8](repeating: UInt8(thread), count: 1000)
        let reference = try session.put(mine, into: writer).reference
        try writer.finish()
        // All have seen the same journal before any of them writes.
        ready.update { $0 += 1 }
        ready.wait(until: { $0 == count })
        let committed = try session.commit(
          draft(root: reference), needed: [reference.location.container])
        outcome.withLock { $0.append(.success(committed)) }
      } catch {
        outcome.withLock { $0.append(.failure(error)) }
      }
    }
    let committed = try outcome.withLock { $0 }.map { try $0.get() }
    let journal = try Store.open(in: storage).loadJournal()
    #expect(journal.head == UInt64(count))
    #expect(journal.problems.isEmpty)
    #expect(Set(journal.snapshots.map(\.id)) == Set(committed.map(\.id)))
    let reader = ChunkReader(store: try Store.open(in: storage))
    for snapshot in journal.snapshots { _ = try reader.read(snapshot.root.page) }
    #expect(try storage.list(ObjectName.sessionPrefix).isEmpty)
  }
}
