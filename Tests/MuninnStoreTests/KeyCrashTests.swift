import Glibc
import MuninnDisk
import MuninnFormat
import MuninnTestSupport
import Testing

@testable import MuninnStore

/// The power fails, or one call does, at every call of each key operation: the repository is opened
/// by the keys from before or by those from after, and what was committed is there.
@Suite struct KeyCrashTests {
  private enum Fault: CaseIterable {
    /// The power fails before the call, or while it is at work.
    case cutBefore, cutDuring
    /// One call fails and did nothing.
    case failure
    /// One call does its work, durable or not yet, and its answer is lost.
    case lostAnswer, notDurable

    func plan(at number: Int, on storage: MemoryStorage) {
      switch self {
      case .cutBefore: storage.cutPower(at: number, during: false)
      case .cutDuring: storage.cutPower(at: number, during: true)
      case .failure: storage.failCall(number, errno: EIO)
      case .lostAnswer: storage.failCall(number, errno: EIO, effect: .whole)
      case .notDurable: storage.failCall(number, errno: EIO, effect: .notDurable)
      }
    }
  }

  private let old = TestKey.passphrase("old")
  private let new = TestKey.passphrase("new")
  private let chunk = [UInt8](repeating: 7, count: 900)

  /// A repository of two slots, `old` and a key file, with a snapshot.
  private func makeBase() throws -> (storage: MemoryStorage, reference: ChunkReference) {
    let storage = MemoryStorage()
    let store = try Store.create(
      in: storage, averageChunkSize: nil, isShared: false, key: TestKey.new(old))
    _ = try store.addKey(TestKey.new(TestKey.file(3)))
    let session = try WriteSession(store: store)
    defer { session.end() }
    return (storage, try #require(try session.commit([chunk]).references.first))
  }

  private func copy(_ storage: MemoryStorage) throws -> MemoryStorage {
    let copy = MemoryStorage()
    for object in try storage.list("") { copy.poke(object.name, storage.peek(object.name)) }
    return copy
  }

  /// Runs `operation` on copies of `base` with each fault at each of its calls; `expect` sees what
  /// is left, and whether the operation said that it was done. Returns how often.
  private func sweep(
    from base: MemoryStorage, _ operation: (MemoryStorage) throws(StoreError) -> Void,
    expect: (MemoryStorage, _ isDone: Bool, _ context: String) throws -> Void
  ) throws -> Int {
    var generator = SeededGenerator.printed()
    let counted = try copy(base)
    let start = counted.callCount
    try operation(counted)
    let count = counted.callCount - start
    var points = 0
    for call in 0..<count {
      for (fault, loss) in Fault.allCases.flatMap({ fault in
        CrashLoss.allCases.map { (fault, $0) }
      }) {
        let storage = try copy(base)
        fault.plan(at: storage.callCount + call, on: storage)
        let error = storeError { () throws(StoreError) in try operation(storage) }
        storage.crash(loss, seed: generator.next())
        try expect(storage, error == nil, "\(fault) at call \(call) of \(count), then \(loss)")
        points += 1
      }
    }
    #expect(points >= 5 * count && count >= 3)
    return points
  }

  private func opened(_ storage: MemoryStorage, _ key: KeyMaterial) -> Store? {
    try? Store.open(in: storage, key: key)
  }

  @Test func makingARepository() throws {
    let points = try sweep(from: MemoryStorage()) { storage throws(StoreError) in
      _ = try Store.create(
        in: storage, averageChunkSize: nil, isShared: false, key: TestKey.new(old))
    } expect: { storage, isDone, context in
      if let store = opened(storage, old) {
        #expect(try store.keySlots().contains { $0.standing == .usable }, "\(context)")
        return
      }
      #expect(!isDone, "\(context)")
      // There is none, whatever lies there, and one can be made.
      let error = storeError { () throws(StoreError) in
        _ = try Store.open(in: storage, key: old)
      }
      #expect(error?.code == .notARepository, "\(context)")
      let store = try Store.create(
        in: storage, averageChunkSize: nil, isShared: false, key: TestKey.new(new))
      #expect(try store.keySlots().count == 1, "\(context)")
      #expect(opened(storage, new) != nil, "\(context)")
    }
    #expect(points >= 9)
  }

  @Test func addingAKey() throws {
    let (base, reference) = try makeBase()
    _ = try sweep(from: base) { storage throws(StoreError) in
      _ = try Store.open(in: storage, key: old).addKey(TestKey.new(new))
    } expect: { storage, isDone, context in
      let store = try #require(opened(storage, old), "\(context)")
      #expect(try store.holds([chunk], at: [reference]), "\(context)")
      if isDone { #expect(opened(storage, new) != nil, "\(context)") }
    }
  }

  @Test func removingAKey() throws {
    let (base, reference) = try makeBase()
    let id = try #require(
      try Store.open(in: base, key: old).keySlots().first { $0.method != .keyFile }
    ).id
    _ = try sweep(from: base) { storage throws(StoreError) in
      try Store.open(in: storage, key: TestKey.file(3)).removeKey(id)
    } expect: { storage, isDone, context in
      let store = try #require(opened(storage, TestKey.file(3)), "\(context)")
      #expect(try store.holds([chunk], at: [reference]), "\(context)")
    }
  }

  @Test func rotatingTheKey() throws {
    let (base, reference) = try makeBase()
    _ = try sweep(from: base) { storage throws(StoreError) in
      _ = try Store.open(in: storage, key: old).rotateKey(to: TestKey.new(new))
    } expect: { storage, isDone, context in
      let before = opened(storage, old)
      let after = opened(storage, new)
      #expect((before == nil) != (after == nil), "\(context): the old keys or the new one")
      #expect(!isDone || after != nil, "\(context)")
      #expect((opened(storage, TestKey.file(3)) == nil) == (before == nil), "\(context)")
      let store = try #require(after ?? before, "\(context)")
      #expect(try store.holds([chunk], at: [reference]), "\(context)")
      // It goes on: with a commit, and with a rotation that ends well and leaves one key.
      let session = try WriteSession(store: store)
      let more = try session.commit([[UInt8](repeating: 8, count: 800)])
      session.end()
      let result = try store.rotateKey(to: TestKey.new(TestKey.passphrase("last")))
      #expect(result.leftover.isEmpty, "\(context)")
      let last = try #require(opened(storage, TestKey.passphrase("last")), "\(context)")
      #expect(try last.keySlots().map(\.id) == [result.slot], "\(context)")
      #expect(try last.holds([chunk], at: [reference]), "\(context)")
      #expect(
        try last.holds([[UInt8](repeating: 8, count: 800)], at: more.references), "\(context)")
      #expect(opened(storage, old) == nil && opened(storage, new) == nil, "\(context)")
    }
  }
}
