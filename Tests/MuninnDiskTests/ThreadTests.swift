import Glibc
import MuninnDisk
import Synchronization
import Testing

/// Of the calling thread: on Linux each has its own.
private func niceness() -> Int32 { getpriority(Int32(PRIO_PROCESS.rawValue), 0) }

@Suite struct ThreadTests {
  @Test func everyIndexRunsOnceOnItsOwnThread() {
    let seen = Monitor(Set<Int>())
    let threads = Monitor(Set<UInt>())
    WorkerThreads.run(count: 5, name: "index") { index in
      let isNew = seen.update { $0.insert(index).inserted }
      #expect(isNew)
      // All five are alive at once, or this would wait for ever.
      seen.wait { $0.count == 5 }
      threads.withLock { _ = $0.insert(UInt(pthread_self())) }
    }
    #expect(seen.withLock { $0 } == Set(0..<5))
    #expect(threads.withLock { $0.count } == 5)
  }

  @Test func noThreadsIsNoWork() {
    WorkerThreads.run(count: 0, name: "none") { _ in Issue.record("nothing should run") }
  }

  @Test func joinWaitsAndMayBeRepeated() {
    let isDone = Atomic<Bool>(false)
    let thread = WorkerThread.start(name: "a name that is too long for the system") {
      usleep(20_000)
      isDone.store(true, ordering: .releasing)
    }
    thread.join()
    let wasDone = isDone.load(ordering: .acquiring)
    #expect(wasDone)
    thread.join()
  }

  @Test func aNicerThreadHandsItsNicenessOn() {
    let before = niceness()
    let seen = Monitor([Int32]())
    WorkerThread.start(name: "nicer", niceness: 3) {
      seen.withLock { $0.append(niceness()) }
      WorkerThread.start(name: "child") {
        seen.withLock { $0.append(niceness()) }
      }.join()
    }.join()
    let wanted = min(before + 3, 19)
    #expect(seen.withLock { $0 } == [wanted, wanted])
    #expect(niceness() == before)
  }

  @Test func aForgottenThreadStillRuns() {
    let isDone = Monitor(false)
    _ = WorkerThread.start(name: "forgotten") { isDone.update { $0 = true } }
    isDone.wait { $0 }
  }

  @Test func threadsHaveRoomOnTheirStacks() {
    WorkerThreads.run(count: 1, name: "stack") { _ in
      withUnsafeTemporaryAllocation(byteCount: 512 << 10, alignment: 16) { buffer in
        for offset in stride(from: 0, to: buffer.count, by: 4096) { buffer[offset] = 1 }
      }
    }
  }

  @Test func monitorHandsOverInTurns() {
    let turn = Monitor(0)
    let order = Monitor([Int]())
    WorkerThreads.run(count: 3, name: "turns") { thread in
      for round in 0..<50 {
        let mine = round * 3 + thread
        turn.wait { $0 == mine }
        order.withLock { $0.append(mine) }
        turn.update { $0 += 1 }
      }
    }
    #expect(order.withLock { $0 } == Array(0..<150))
  }

  @Test func monitorThrowsAndUnlocks() {
    let monitor = Monitor(1)
    let failure = DiskError(errno: EIO, operation: "x", path: "y")
    #expect(throws: failure) {
      try monitor.update { value throws(DiskError) in
        value = 2
        throw failure
      }
    }
    #expect(monitor.wait(until: { $0 == 2 }, then: { $0 + 1 }) == 3)
  }

  @Test func cancellationIsSeenByOthers() {
    let cancellation = Cancellation()
    #expect(!cancellation.isCancelled)
    let thread = WorkerThread.start(name: "cancel") {
      while !cancellation.isCancelled { usleep(100) }
    }
    cancellation.cancel()
    thread.join()
    #expect(cancellation.isCancelled)
  }

  @Test func buffersAreAligned() {
    for capacity in [0, 1, 4096, 5000, 1 << 20] {
      let buffer = Buffer(capacity: capacity)
      #expect(buffer.capacity == capacity)
      #expect(buffer.bytes.count == capacity)
      #expect(UInt(bitPattern: buffer.bytes.baseAddress) % 4096 == 0)
      buffer.bytes.initializeMemory(as: UInt8.self, repeating: 7)
    }
  }

  @Test func theMachineHasItsFacts() {
    #expect(Machine.coreCount >= 1)
    #expect(!Machine.hostName().isEmpty)
    #expect(!Machine.userName().isEmpty)
    #expect(Machine.processID() == getpid())
    let first = Machine.monotonicNanoseconds()
    #expect(Machine.monotonicNanoseconds() >= first)
    #expect(Machine.nowNanoseconds() > 1_700_000_000_000_000_000)
    #expect(Machine.randomBytes(0).isEmpty)
    #expect(Machine.randomBytes(100_000).count == 100_000)
    #expect(Machine.randomBytes(16) != Machine.randomBytes(16))
  }

  /// FDSize of /proc/self/status is for how many descriptors the kernel has room.
  @Test func theTableOfDescriptorsHasRoom() throws {
    Machine.growDescriptorTable()
    let file = try #require(fopen("/proc/self/status", "re"))
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 4096)
    var size: Int?
    while fgets(&line, CInt(line.count), file) != nil {
      let words = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self)
        .split { $0 == "\t" || $0 == "\n" || $0 == " " }
      if words.first == "FDSize:", words.count == 2 { size = Int(words[1]) }
    }
    #expect(try #require(size) >= min(Machine.maximumOpenFiles, 4096))
  }

  @Test func namesAreFoundBothWays() {
    #expect(NameCache.userName(0) == Array("root".utf8))
    #expect(NameCache.userID(Array("root".utf8)) == 0)
    #expect(NameCache.groupName(0) == Array("root".utf8))
    #expect(NameCache.groupID(Array("root".utf8)) == 0)
    for _ in 0..<2 {
      #expect(NameCache.userName(3_999_999_999).isEmpty)
      #expect(NameCache.groupName(3_999_999_999).isEmpty)
      #expect(NameCache.userID(Array("no such user".utf8)) == nil)
      #expect(NameCache.groupID([0x61, 0x00]) == nil)
    }
  }
}
