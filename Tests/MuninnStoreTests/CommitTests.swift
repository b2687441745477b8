import Glibc
import MuninnDisk
import MuninnFormat
import MuninnTestSupport
import Testing

@testable import MuninnStore

/// The order of durability, and answers that are lost on the way.
@Suite struct CommitTests {
  /// Answers to `putIfAbsent` that say something else than what was done.
  private enum Answer: CaseIterable {
    /// The record is there, and the call throws.
    case storesAndThrows
    /// The record is there, and the call says that it was before.
    case storesAndDenies
    /// The call throws, and the record is not there.
    case throwsAlone
  }

  /// A storage whose answers about records can be bent.
  private final class BentStorage: Storage {
    let inner = MemoryStorage()
    private let answer = Monitor<Answer?>(nil)
    var location: String { inner.location }

    func bend(_ next: Answer) { answer.withLock { $0 = next } }

    func putIfAbsent(_ name: String, _ bytes: [UInt8]) throws(DiskError) -> Bool {
      let bent = answer.withLock { answer -> Answer? in
        guard name.hasPrefix(ObjectName.journalPrefix) else { return nil }
        defer { answer = nil }
        return answer
      }
      switch bent {
      case nil: return try inner.putIfAbsent(name, bytes)
      case .storesAndThrows:
        _ = try inner.putIfAbsent(name, bytes)
        throw DiskError(errno: ETIMEDOUT, operation: "putIfAbsent", path: name)
      case .storesAndDenies:
        _ = try inner.putIfAbsent(name, bytes)
        return false
      case .throwsAlone: throw DiskError(errno: ETIMEDOUT, operation: "putIfAbsent", path: name)
      }
    }

    func read(_ name: String, maximumByteCount: Int) throws(DiskError) -> [UInt8] {
      try inner.read(name, maximumByteCount: maximumByteCount)
    }
    func read(
      _ name: String, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(DiskError) -> Int { try inner.read(name, at: offset, into: buffer) }
    func size(of name: String) throws(DiskError) -> UInt64 { try inner.size(of: name) }
    func put(_ name: String, _ bytes: [UInt8]) throws(DiskError) { try inner.put(name, bytes) }
    func create(_ name: String, expectedByteCount: UInt64) throws(DiskError) -> any ObjectWriter {
      try inner.create(name, expectedByteCount: expectedByteCount)
    }
    func makeNamesDurable() throws(DiskError) { try inner.makeNamesDurable() }
    func makeDurable(_ name: String) throws(DiskError) { try inner.makeDurable(name) }
    func list(_ prefix: String) throws(DiskError) -> [StoredObject] { try inner.list(prefix) }
    func delete(_ name: String) throws(DiskError) { try inner.delete(name) }
    func freeByteCount() throws(DiskError) -> UInt64? { try inner.freeByteCount() }
  }

  @Test(arguments: Answer.allCases)
  private func anAnswerThatIsLostChangesNothing(answer: Answer) throws {
    let storage = BentStorage()
    let store = try Store.create(in: storage, averageChunkSize: nil, isShared: false)
    let session = try WriteSession(store: store)
    defer { session.end() }
    storage.bend(answer)
    let committed: SnapshotRecord?
    do {
      committed = try session.commit([[1, 2, 3]]).snapshot
    } catch {
      committed = nil
      #expect("\(error)".contains(ObjectName.record(1)), "\(error)")
    }
    let journal = try Store.open(in: storage).loadJournal()
    // What the caller hears and what the journal says is the same.
    #expect(journal.snapshots.map(\.id) == (committed.map { [$0.id] } ?? []))
    #expect((committed == nil) == (answer == .throwsAlone))
    #expect(journal.problems.isEmpty)
    let next = try WriteSession(store: try Store.open(in: storage))
    defer { next.end() }
    _ = try next.commit([[4, 5, 6]])
    #expect(
      try Store.open(in: storage).loadJournal().snapshots.count == (committed == nil ? 1 : 2))
  }

  /// Containers and segment are finished, then names made durable, then the record: in this order
  /// and no other.
  @Test func nothingIsNamedBeforeItIsDurable() throws {
    var generator = SeededGenerator.printed()
    let repository = try TestRepository()
    for _ in 0..<4 {
      let start = repository.storage.callCount
      try repository.commit((0..<40).map { _ in generator.bytes(900_000) })
      let calls = repository.storage.calls[start...]
      let records = calls.indices.filter {
        calls[$0].operation == "putIfAbsent"
          && calls[$0].name.hasPrefix(ObjectName.journalPrefix)
      }
      #expect(records.count == 1)
      let record = try #require(records.first)
      let finished = calls.indices.filter { calls[$0].operation == "finish" }
      #expect(finished.count >= 3, "two containers and a segment at least")
      let last = try #require(finished.last)
      #expect(last < record)
      let synced = calls.indices.filter { calls[$0].operation == "makeNamesDurable" }
      #expect(synced.contains { last < $0 && $0 < record })
      // Nothing but the end of the session comes after it.
      let after = calls[(record + 1)...].filter { $0.operation != "delete" }
      #expect(after.isEmpty, "\(after)")
      let writes = ["create", "append", "finish", "put", "putIfAbsent"]
      for call in calls where writes.contains(call.operation) {
        let isKnown = [
          ObjectName.containerPrefix, ObjectName.segmentPrefix, ObjectName.journalPrefix,
          ObjectName.sessionPrefix,
        ].contains { call.name.hasPrefix($0) }
        #expect(isKnown, "\(call)")
      }
    }
  }

  /// Every call of a commit fails once, with its work done and without: what is thrown, and what
  /// the journal says after a crash, agree.
  @Test(arguments: [false, true]) func aFailureAnywhere(takesEffect: Bool) throws {
    let chunks = [[UInt8](repeating: 3, count: 4000), [9]]
    let base = try TestRepository()
    try base.commit([[1]])
    let counted = try TestRepository(copyOf: base)
    let start = counted.storage.callCount
    try counted.commit(chunks)
    let count = counted.storage.callCount - start
    #expect(count > 10)
    for number in 0..<count {
      let repository = try TestRepository(copyOf: base)
      let first = repository.storage.callCount
      repository.storage.failCall(first + number, errno: EIO, effect: takesEffect ? .whole : .none)
      let committed = try? repository.commit(chunks).snapshot
      repository.storage.crash(number % 2 == 0 ? .torn : .some, seed: UInt64(number))
      let store = try repository.reopened()
      let journal = try store.loadJournal()
      #expect(journal.problems.isEmpty, "call \(number)")
      #expect(journal.snapshots.count == (committed == nil ? 1 : 2), "call \(number)")
      for container in journal.containers.keys { _ = try store.openContainer(container) }
      #expect(try store.index().problems.isEmpty)
      let again = try TestRepository(copyOf: repository).commit(chunks)
      #expect(again.references.count == 2)
    }
  }
}
