import Glibc
import MuninnDisk
import MuninnFormat
import MuninnTestSupport
import Testing

@testable import MuninnStore

/// Keys of a repository in memory, at a cost that tests can pay.
enum TestKey {
  static let cost = ScryptCost(roundsLog2: 4, blockSize: 2, parallelism: 1)

  static func passphrase(_ text: String) -> KeyMaterial {
    var bytes = Array(text.utf8)
    return .passphrase(Secret(taking: &bytes))
  }

  static func file(_ byte: UInt8) -> KeyMaterial {
    var bytes = [UInt8](repeating: byte, count: 40)
    return .keyFile(Secret(taking: &bytes))
  }

  static func new(_ material: KeyMaterial) -> NewKey { NewKey(material, cost: cost) }
}

/// Runs `body` and returns the code of what it throws, nil for nothing.
func storeError(_ body: () throws(StoreError) -> Void) -> StoreError? {
  do throws(StoreError) { try body() } catch { return error }
  return nil
}

/// Key slots added, removed and replaced, and what opens a repository then.
@Suite struct KeyTests {
  let storage = MemoryStorage()
  let first = TestKey.passphrase("first")

  private func create(_ key: KeyMaterial? = nil) throws(StoreError) -> Store {
    try Store.create(
      in: storage, averageChunkSize: nil, isShared: false, key: TestKey.new(key ?? first))
  }

  private func code(_ key: KeyMaterial?) -> StoreError.Code? {
    storeError { () throws(StoreError) in _ = try Store.open(in: storage, key: key) }?.code
  }

  private var image: [String: [UInt8]] {
    get throws {
      Dictionary(
        uniqueKeysWithValues: try storage.list("").map { ($0.name, storage.peek($0.name) ?? []) })
    }
  }

  @Test func onlyItsKeyOpensARepository() throws {
    for (key, others) in [
      (first, [TestKey.passphrase("First"), TestKey.file(1)]),
      (TestKey.file(1), [first, TestKey.file(2)]),
    ] {
      for object in try storage.list("") { storage.poke(object.name, nil) }
      _ = try create(key)
      let before = try image
      #expect(code(key) == nil)
      for other in others { #expect(code(other) == .wrongKey) }
      #expect(code(nil) == .wrongKey)
      #expect(try image == before, "nothing is written")
    }
  }

  @Test func aKeyForARepositoryWithoutIsRefused() throws {
    let store = try Store.create(in: storage, averageChunkSize: nil, isShared: false)
    #expect(code(nil) == nil)
    #expect(code(first) == .wrongKey)
    #expect(try store.keySlots().isEmpty)
    let errors = [
      storeError { () throws(StoreError) in _ = try store.addKey(TestKey.new(first)) },
      storeError { () throws(StoreError) in _ = try store.rotateKey(to: TestKey.new(first)) },
    ]
    #expect(errors.allSatisfy { $0?.code == .invalidInput })
  }

  @Test func slotsAreAddedAndRemoved() throws {
    let store = try create()
    let second = TestKey.passphrase("second")
    let own = try #require(try store.keySlots().first).id
    let added = try store.addKey(
      NewKey(second, label: Array("office".utf8), cost: TestKey.cost))
    let file = try store.addKey(TestKey.new(TestKey.file(7)))
    #expect(try store.keySlots().map(\.id) == [own, added, file])
    #expect(try store.keySlots()[1].label == Array("office".utf8))
    for key in [first, second, TestKey.file(7)] { #expect(code(key) == nil) }
    try store.removeKey(own)
    #expect(code(first) == .wrongKey)
    #expect(code(second) == nil)
    let absent = storeError { () throws(StoreError) in try store.removeKey(own) }
    #expect(absent?.code == .notFound)
    try store.removeKey(added)
    let before = try image
    let last = storeError { () throws(StoreError) in try store.removeKey(file) }
    #expect(last?.code == .invalidInput && last?.message.contains("add one first") == true)
    #expect(try image == before)
    #expect(code(TestKey.file(7)) == nil)
    let empty = storeError { () throws(StoreError) in
      _ = try store.addKey(TestKey.new(TestKey.passphrase("")))
    }
    #expect(empty?.code == .invalidInput)
  }

  @Test func damagedSlotsAreNamed() throws {
    let store = try create()
    _ = try store.addKey(TestKey.new(TestKey.passphrase("second")))
    let slots = try store.keySlots().map { ObjectName.key($0.id) }
    let good = try #require(storage.peek(slots[0]))
    // One is damaged: the other opens, and what is damaged is said where nothing does.
    for offset in good.indices {
      var bytes = good
      bytes[offset] ^= 0x20
      storage.poke(slots[0], bytes)
      let error = storeError { () throws(StoreError) in
        _ = try Store.open(in: storage, key: first)
      }
      #expect(error?.code == .wrongKey && error?.message.contains(slots[0]) == true)
      #expect(code(TestKey.passphrase("second")) == nil)
    }
    #expect(try store.keySlots().map(\.standing) == [.usable, .damaged])
    storage.poke(slots[1], Array(good[..<60]))
    let error = storeError { () throws(StoreError) in _ = try Store.open(in: storage, key: first) }
    #expect(error?.code == .damaged)
    for slot in slots { #expect(error?.message.contains(slot) == true, "\(error?.message ?? "")") }
    // The copy of one brings everything back.
    storage.poke(slots[0], good)
    #expect(code(first) == nil)
    for slot in slots { storage.poke(slot, nil) }
    #expect(code(first) == .damaged)
  }

  @Test func slotsOfAnotherRepositoryOpenNothing() throws {
    let store = try create()
    let other = MemoryStorage()
    let stranger = try Store.create(
      in: other, averageChunkSize: nil, isShared: false, key: TestKey.new(first))
    let own = ObjectName.key(try #require(try store.keySlots().first).id)
    let foreign = ObjectName.key(try #require(try stranger.keySlots().first).id)
    let ownBytes = try #require(storage.peek(own))
    storage.poke(foreign, other.peek(foreign))
    #expect(code(first) == nil, "it is in nobody's way")
    storage.poke(own, other.peek(foreign))
    #expect(code(first) == .damaged)
    storage.poke(own, ownBytes)
    storage.poke(ObjectName.repository, other.peek(ObjectName.repository))
    storage.poke(foreign, nil)
    #expect(try Store.open(in: storage, key: first).headerProblem?.code == .damaged)
    storage.poke(ObjectName.repositoryCopy, other.peek(ObjectName.repository))
    #expect(code(first) == .damaged, "header and copy of another repository")
  }

  @Test func aRotationRetiresAllOtherKeys() throws {
    let store = try create()
    _ = try store.addKey(TestKey.new(TestKey.passphrase("second")))
    let session = try WriteSession(store: store)
    let chunks: [[UInt8]] = (0..<3).map { [UInt8](repeating: $0, count: 700) }
    let old = try session.commit([chunks[0]])
    session.end()
    let retired = try store.keySlots()
    let oldHeader = store.header
    let result = try store.rotateKey(to: TestKey.new(TestKey.passphrase("third")))
    #expect(result.removed == retired && result.leftover.isEmpty)
    #expect(try store.keySlots().map(\.id) == [result.slot])
    for key in [first, TestKey.passphrase("second")] { #expect(code(key) == .wrongKey) }

    // The store that rotated, and one that is opened now, write under the new key and read both.
    for (number, own) in [store, try Store.open(in: storage, key: TestKey.passphrase("third"))]
      .enumerated()
    {
      #expect(own.header == oldHeader, "fingerprints and tags stay")
      let session = try WriteSession(store: own)
      defer { session.end() }
      let again = try session.commit([chunks[0], chunks[1 + number]])
      #expect(again.newCount == 1)
      #expect(try own.holds([chunks[0], chunks[1 + number]], at: again.references))
      let container = try #require(again.references.last).location.container
      let bytes = try #require(storage.peek(ObjectName.container(container)))
      let envelope = try bytes.withUnsafeBytes { try Envelope(decoding: $0) }
      #expect(envelope.key.epoch == 2)
    }
    #expect(try store.holds([chunks[0]], at: old.references))

    // A slot that comes back from a copy says that its time is over.
    storage.poke(ObjectName.key(retired[0].id), nil)
    let third = try Store.open(in: storage, key: TestKey.passphrase("third"))
    #expect(try third.rotateKey(to: TestKey.new(first)).removed.map(\.id) == [result.slot])
    #expect(code(first) == nil)
    #expect(code(TestKey.passphrase("third")) == .wrongKey)
  }

  @Test func aRetiredSlotSaysSo() throws {
    let store = try create()
    let slot = ObjectName.key(try #require(try store.keySlots().first).id)
    let bytes = storage.peek(slot)
    let second = TestKey.passphrase("second")
    _ = try store.rotateKey(to: TestKey.new(second))
    storage.poke(slot, bytes)
    let error = storeError { () throws(StoreError) in _ = try Store.open(in: storage, key: first) }
    #expect(error?.code == .wrongKey && error?.message.contains("retired") == true)
    let again = try Store.open(in: storage, key: second)
    #expect(try again.keySlots().map(\.standing) == [.retired, .usable])
    let id = try #require(try again.keySlots().last).id
    let last = storeError { () throws(StoreError) in try again.removeKey(id) }
    #expect(last?.code == .invalidInput, "a retired one is no other way in")
    try again.removeKey(try #require(try again.keySlots().first).id)
    // A damaged marker still retires what is older, and opens for what is not.
    let marker = ObjectName.epoch(2)
    storage.poke(slot, bytes)
    storage.poke(marker, [1, 2, 3])
    #expect(code(first) == .wrongKey)
    #expect(code(second) == nil)
  }

  /// Of writers at work, those that opened before a rotation finish under the old key, until a
  /// record under the new one is there: then they are told, and nothing of theirs is half done.
  @Test func writersUnderWayAtARotation() throws {
    let store = try create()
    let earlier = try WriteSession(store: try Store.open(in: storage, key: first))
    let later = try WriteSession(store: try Store.open(in: storage, key: first))
    defer { later.end() }
    let second = TestKey.passphrase("second")
    _ = try store.rotateKey(to: TestKey.new(second))
    let kept = try earlier.commit([[UInt8](repeating: 1, count: 900)])
    earlier.end()
    let fresh = try Store.open(in: storage, key: second)
    #expect(try fresh.holds([[UInt8](repeating: 1, count: 900)], at: kept.references))
    let session = try WriteSession(store: fresh)
    _ = try session.commit([[UInt8](repeating: 2, count: 900)])
    session.end()
    let writer = later.makeContainerWriter(isManifest: false)
    let lost = try later.put([UInt8](repeating: 3, count: 900), into: writer).reference
    try writer.finish()
    let error = storeError { () throws(StoreError) in
      _ = try later.commit(draft(root: lost), needed: [lost.location.container])
    }
    #expect(error?.code == .wrongKey && error?.message.contains("rotated") == true)
    let journal = try Store.open(in: storage, key: second).loadJournal()
    #expect(journal.problems.isEmpty && journal.snapshots.count == 2)
    for stale in [later.store] {
      let adding = storeError { () throws(StoreError) in
        _ = try stale.addKey(TestKey.new(TestKey.passphrase("x")))
      }
      let rotating = storeError { () throws(StoreError) in
        _ = try stale.rotateKey(to: TestKey.new(TestKey.passphrase("x")))
      }
      #expect(adding?.code == .wrongKey && rotating?.code == .wrongKey)
    }
    #expect(try fresh.keySlots().count == 1)
  }

  /// Two rotations at the same time: one wins, and its key opens everything.
  @Test func rotationsAtTheSameTime() throws {
    for round in 0..<5 {
      for object in try storage.list("") { storage.poke(object.name, nil) }
      _ = try create()
      let results = Monitor([(Int, StoreError?)]())
      let ready = Monitor(0)
      WorkerThreads.run(count: 3, name: "rotator") { thread in
        let error = storeError { () throws(StoreError) in
          let own = try Store.open(in: storage, key: first)
          ready.update { $0 += 1 }
          ready.wait(until: { $0 >= 3 })
          _ = try own.rotateKey(to: TestKey.new(TestKey.passphrase("new \(thread)")))
        }
        if error != nil { ready.update { $0 += 1 } }
        results.withLock { $0.append((thread, error)) }
      }
      let outcome = results.withLock { $0 }
      let winners = outcome.filter { $0.1 == nil }.map(\.0)
      #expect(winners.count == 1, "round \(round): \(outcome.map { "\($0)" })")
      for (thread, error) in outcome {
        #expect(error == nil || error?.code == .wrongKey)
        let isOpen = code(TestKey.passphrase("new \(thread)")) == nil
        #expect(isOpen == (error == nil))
      }
      #expect(code(first) == .wrongKey)
    }
  }
}
