import MuninnDisk
import MuninnFormat
import MuninnTestSupport
import Testing

@testable import MuninnStore

/// In an encrypted repository every object stands in its own place alone, and none in the clear
/// stands in for a sealed one.
@Suite struct SealedObjectTests {
  private let key = TestKey.passphrase("key")
  private let chunks: [[UInt8]] = (0..<4).map { number in
    [UInt8](repeating: UInt8(number), count: 2000 + number)
  }

  private func repository(_ key: KeyMaterial?) throws -> (
    storage: MemoryStorage, references: [ChunkReference]
  ) {
    let storage = MemoryStorage()
    let store = try Store.create(
      in: storage, averageChunkSize: nil, isShared: false, key: key.map { TestKey.new($0) })
    var references: [ChunkReference] = []
    for pair in [chunks[0..<2], chunks[2..<4]] {
      let session = try WriteSession(store: store)
      references += try session.commit(Array(pair)).references
      session.end()
    }
    var journal = try store.loadJournal()
    try store.writeCheckpoint(session: randomIdentifier(), state: &journal)
    return (storage, references)
  }

  /// Whether everything that was stored is there and nothing is said to be wrong; false also where
  /// the repository cannot be opened. Never another chunk than the one that was asked for.
  private func isWhole(
    _ storage: MemoryStorage, _ references: [ChunkReference], snapshots: Int = 2
  ) -> Bool {
    do {
      let store = try Store.open(in: storage, key: key)
      // A header that is not the repository's own is said to be wrong, and its copy stands in.
      guard store.headerProblem == nil else { return false }
      let journal = try store.verifyJournal()
      guard journal.problems.isEmpty, journal.snapshots.count == snapshots else { return false }
      for segment in journal.segments.values {
        var budget = UInt64.max
        let opened = try Segment(segment, store: store, filterBudget: &budget)
        let buffer = Buffer(capacity: opened.pageBufferByteCount)
        for page in 0..<opened.pageCount { _ = try opened.readPage(page, into: buffer.bytes) }
      }
      let reader = ChunkReader(store: store)
      for (chunk, reference) in zip(chunks, references) {
        let read = try reader.read(reference)
        #expect(read == chunk, "a wrong chunk was read")
        if read != chunk { return false }
      }
      return true
    } catch {
      return false
    }
  }

  /// What is in use: not the hint or the header's copy, which may be lost, nor segments that were
  /// merged into others.
  private func live(_ storage: MemoryStorage, key: KeyMaterial?) throws -> [String] {
    let journal = try Store.open(in: storage, key: key).loadJournal()
    return try storage.list("").map(\.name).filter { name in
      switch kind(name) {
      case "head", ObjectName.repositoryCopy: false
      case "segments": ObjectName.id(name).map { journal.segments[$0] != nil } ?? false
      default: true
      }
    }
  }

  private func kind(_ name: String) -> String {
    name.split(separator: "/").first.map(String.init) ?? name
  }

  /// Under the key of both, since a stranger's key opens nothing anyway: an object of one put in
  /// the other's place, its envelope rewritten to say what that place wants.
  @Test func objectsOfAnotherRepository() throws {
    let (storage, references) = try repository(key)
    let (other, _) = try repository(key)
    #expect(isWhole(storage, references))
    var tried: Set<String> = []
    for name in try live(storage, key: key) {
      let good = try #require(storage.peek(name))
      for stranger in try live(other, key: key) where kind(stranger) == kind(name) {
        let bytes = try #require(other.peek(stranger))
        for forged in [bytes, try rewritten(bytes, as: good)] {
          storage.poke(name, forged)
          #expect(!isWhole(storage, references), "\(stranger) as \(name)")
        }
        tried.insert(kind(name))
      }
      storage.poke(name, good)
    }
    #expect(isWhole(storage, references))
    #expect(
      tried.isSuperset(of: [
        "repository", "keys", "journal", "containers", "segments", "checkpoints",
      ]))
  }

  @Test func objectsOfTheSameRepository() throws {
    let (storage, references) = try repository(key)
    let names = try live(storage, key: key).filter {
      ["journal", "containers", "segments"].contains(kind($0))
    }
    for name in names {
      let good = try #require(storage.peek(name))
      for other in names where other != name {
        let bytes = try #require(storage.peek(other))
        for forged in [bytes, try rewritten(bytes, as: good)] {
          storage.poke(name, forged)
          #expect(!isWhole(storage, references), "\(other) as \(name)")
        }
      }
      storage.poke(name, good)
    }
    #expect(isWhole(storage, references))
  }

  /// Nobody without a key can put in what it did not seal: the suite is the repository's, and its
  /// header cannot be exchanged for one in the clear.
  @Test func objectsInTheClear() throws {
    let (storage, references) = try repository(key)
    let (plain, _) = try repository(nil)
    for name in try live(storage, key: key) {
      let good = try #require(storage.peek(name))
      for other in try live(plain, key: nil) where kind(other) == kind(name) {
        let bytes = try #require(plain.peek(other))
        let envelope = try good.withUnsafeBytes { try Envelope(decoding: $0) }
        let clear = Envelope(
          kind: envelope.kind, suite: .none, repository: envelope.repository,
          object: envelope.object)
        storage.poke(name, clear.encoded() + bytes[Envelope.byteCount...])
        #expect(!isWhole(storage, references), "\(other) as \(name)")
      }
      storage.poke(name, good)
    }
    let error = storeError { () throws(StoreError) in
      storage.poke(ObjectName.repository, plain.peek(ObjectName.repository))
      _ = try Store.open(in: storage, key: key)
    }
    #expect(error?.code == .wrongKey && error?.message.contains("not encrypted") == true)
  }

  /// The same bytes behind the envelope that the place wants, its salt kept or exchanged too.
  private func rewritten(_ bytes: [UInt8], as good: [UInt8]) throws -> [UInt8] {
    let wanted = try good.withUnsafeBytes { try Envelope(decoding: $0) }
    let own = try bytes.withUnsafeBytes { try Envelope(decoding: $0) }
    let forged = Envelope(
      kind: wanted.kind, suite: wanted.suite, repository: wanted.repository,
      object: wanted.object, salt: own.salt, key: wanted.key)
    return forged.encoded() + bytes[Envelope.byteCount...]
  }

  @Test func everySaltIsNew() throws {
    let (storage, _) = try repository(key)
    var salts: [[UInt8]] = []
    // The header's copy is the same bytes, its salt included.
    for object in try storage.list("") where object.name != ObjectName.repositoryCopy {
      let bytes = try #require(storage.peek(object.name))
      let envelope = try bytes.withUnsafeBytes { try Envelope(decoding: $0) }
      #expect(envelope.suite == .aes256gcm && envelope.key.epoch == 1, "\(object.name)")
      #expect(envelope.salt.contains { $0 != 0 })
      salts.append(envelope.salt)
    }
    #expect(Set(salts).count == salts.count && salts.count > 8)
  }

  @Test func recordsUnderARetiredKeyAreRefused() throws {
    let (storage, _) = try repository(key)
    let stale = try Store.open(in: storage, key: key)
    let store = try Store.open(in: storage, key: key)
    let head = try store.loadJournal().head
    let second = TestKey.passphrase("second")
    _ = try store.rotateKey(to: TestKey.new(second))
    let session = try WriteSession(store: store)
    _ = try session.commit([[UInt8](repeating: 9, count: 700)])
    session.end()
    // Whoever has kept the old master key forges the record that comes next.
    var journal = try Store.open(in: storage, key: second).loadJournal()
    #expect(journal.head == head + 1)
    try stale.commitRecord(session: randomIdentifier(), state: &journal) { state in
      [.forgotten(state.snapshots.map(\.id))]
    }
    let seen = try Store.open(in: storage, key: second).loadJournal()
    #expect(seen.problems.first?.message.contains("retired key") == true)
    #expect(seen.snapshots.count == 3)
  }
}
