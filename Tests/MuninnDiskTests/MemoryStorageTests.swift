import Glibc
import MuninnDisk
import MuninnTestSupport
import Testing

/// The disk that tests lie with must itself be right.
@Suite struct MemoryStorageTests {
  private func write(_ name: String, _ bytes: [UInt8], to storage: MemoryStorage) throws {
    let writer = try storage.create(name, expectedByteCount: 0)
    try bytes.withUnsafeBytes { try writer.append($0) }
    try writer.finish()
  }

  @Test func durableThingsSurviveEveryCrash() throws {
    for seed in 0..<50 as Range<UInt64> {
      let storage = MemoryStorage()
      _ = try storage.putIfAbsent("journal/1", [1])
      try write("containers/a", [2], to: storage)
      try storage.makeNamesDurable()
      storage.crash(.some, seed: seed)
      #expect(try storage.list("").map(\.name) == ["containers/a", "journal/1"])
    }
  }

  @Test func otherThingsSurviveSome() throws {
    var kept = 0
    var revived = 0
    for seed in 0..<200 as Range<UInt64> {
      let storage = MemoryStorage()
      _ = try storage.putIfAbsent("journal/1", [1])
      try storage.delete("journal/1")
      try write("containers/a", [2, 3], to: storage)
      storage.crash(.some, seed: seed)
      if let bytes = storage.peek("containers/a") {
        kept += 1
        #expect(bytes == [2, 3])
      }
      if storage.peek("journal/1") == [1] { revived += 1 }
    }
    #expect((50...150).contains(kept))
    #expect((50...150).contains(revived))
  }

  @Test func unfinishedObjectsAreGoneOrTorn() throws {
    var torn = 0
    for seed in 0..<50 as Range<UInt64> {
      for tearing in [false, true] {
        let storage = MemoryStorage()
        let writer = try storage.create("containers/a", expectedByteCount: 0)
        try [1, 2, 3].withUnsafeBytes { try writer.append($0) }
        storage.crash(tearing ? .torn : .some, seed: seed)
        let found = storage.peek("containers/a")
        if found != nil { torn += 1 }
        #expect(tearing || found == nil)
        #expect(throws: DiskError.self) { try writer.finish() }
      }
    }
    #expect(torn > 0)
  }

  @Test func faultsHitTheCallsTheyAreMeantFor() throws {
    let storage = MemoryStorage()
    storage.failCall(1, errno: ENOSPC)
    storage.failCall(2, errno: EIO, effect: .whole)
    #expect(try storage.putIfAbsent("a", [1]))
    #expect { try storage.putIfAbsent("b", [1]) } throws: {
      ($0 as? DiskError)?.errno == ENOSPC
    }
    #expect(storage.peek("b") == nil)
    #expect(!storage.allFaultsHappened)
    #expect { try storage.putIfAbsent("c", [1]) } throws: { ($0 as? DiskError)?.errno == EIO }
    #expect(storage.peek("c") == [1])
    #expect(storage.allFaultsHappened)
    #expect(storage.callCount == 3)
    #expect(
      storage.calls.map(\.description) == ["putIfAbsent a", "putIfAbsent b", "putIfAbsent c"])
    storage.failCalls(from: storage.callCount)
    #expect(throws: DiskError.self) { try storage.list("") }
    #expect(throws: DiskError.self) { try storage.delete("a") }
    storage.clearFaults()
    #expect(try storage.list("").count == 2)
  }

  @Test func writersFailForGood() throws {
    let storage = MemoryStorage()
    let writer = try storage.create("a", expectedByteCount: 0)
    storage.failCall(1, errno: EIO)
    #expect(throws: DiskError.self) { try [1].withUnsafeBytes { try writer.append($0) } }
    #expect(throws: DiskError.self) { try writer.finish() }
    #expect(try storage.list("").isEmpty)
  }

  @Test func aFullStorageSaysSo() throws {
    let storage = MemoryStorage()
    storage.setCapacity(10)
    #expect(try storage.freeByteCount() == 10)
    _ = try storage.putIfAbsent("a", [UInt8](repeating: 1, count: 8))
    #expect(try storage.freeByteCount() == 2)
    #expect { try storage.put("b", [1, 2, 3]) } throws: {
      ($0 as? DiskError)?.isNoSpace == true
    }
    storage.poke("a", nil)
    try storage.put("b", [1, 2, 3])
  }
}
