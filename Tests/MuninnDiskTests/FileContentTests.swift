import Glibc
import MuninnDisk
import MuninnTestSupport
import Testing

@Suite struct FileContentTests {
  @Test func readsFillTheBufferUntilTheEnd() throws {
    let directory = try TemporaryDirectory()
    var generator = SeededGenerator(seed: 5)
    let bytes = generator.bytes(10_000)
    let path = directory.file("file")
    try writeFile(path, bytes)
    let file = try FileCalls.openForReading(at: AT_FDCWD, path, path: path)
    let buffer = Buffer(capacity: 6000)
    #expect(try FileCalls.read(file.descriptor, into: buffer.bytes, path: path) == 6000)
    #expect(buffer.bytes.elementsEqual(bytes[..<6000]))
    #expect(try FileCalls.read(file.descriptor, into: buffer.bytes, path: path) == 4000)
    #expect(try FileCalls.read(file.descriptor, into: buffer.bytes, path: path) == 0)
    #expect(try readBytes(file.descriptor, at: 9_999, count: 5, path: path) == bytes.suffix(1))
    #expect(try readBytes(file.descriptor, at: 1 << 50, count: 5, path: path).isEmpty)
    #expect(throws: DiskError(errno: EINVAL, operation: "read", path: path)) {
      try FileCalls.read(file.descriptor, at: UInt64.max, into: buffer.bytes, path: path)
    }
  }

  /// A pipe delivers and takes little pieces; calls go on until all is through.
  @Test func shortReadsAndWritesAreContinued() throws {
    var ends: [CInt] = [0, 0]
    try #require(pipe(&ends) == 0)
    let reader = OpenFile(adopting: ends[0])
    let writer = ends[1]
    var generator = SeededGenerator(seed: 6)
    let bytes = generator.bytes(1 << 20)
    let thread = WorkerThread.start(name: "writer") {
      let file = OpenFile(adopting: writer)
      bytes.withUnsafeBytes { bytes in
        for start in stride(from: 0, to: bytes.count, by: 300_000) {
          let part = UnsafeRawBufferPointer(rebasing: bytes[start...].prefix(300_000))
          #expect(throws: Never.self) {
            try FileCalls.write(file.descriptor, part, path: "pipe")
          }
        }
      }
    }
    let buffer = Buffer(capacity: bytes.count)
    #expect(try FileCalls.read(reader.descriptor, into: buffer.bytes, path: "pipe") == bytes.count)
    #expect(buffer.bytes.elementsEqual(bytes))
    #expect(try FileCalls.read(reader.descriptor, into: buffer.bytes, path: "pipe") == 0)
    thread.join()
  }

  /// Signals whose handlers do not restart calls hit both ends of a pipe all the time.
  @Test func interruptedCallsAreRepeated() async {
    await #expect(processExitsWith: .success) {
      var action = sigaction()
      action.__sigaction_handler.sa_handler = { _ in }
      precondition(sigaction(SIGUSR1, &action, nil) == 0)
      var ends: [CInt] = [0, 0]
      precondition(pipe(&ends) == 0)
      let (input, output) = (ends[0], ends[1])
      let running = Monitor([UInt]())
      let isDone = Cancellation()
      let pester = WorkerThread.start(name: "pester") {
        running.wait { $0.count == 2 }
        let targets = running.withLock { $0 }
        while !isDone.isCancelled {
          for target in targets { pthread_kill(pthread_t(target), SIGUSR1) }
          usleep(200)
        }
      }
      let bytes = [UInt8](repeating: 5, count: 4 << 20)
      WorkerThreads.run(count: 2, name: "pipe") { thread in
        // Threads inherit the mask of who starts them, and Swift's own block everything.
        var mask = sigset_t()
        sigemptyset(&mask)
        sigaddset(&mask, SIGUSR1)
        pthread_sigmask(SIG_UNBLOCK, &mask, nil)
        running.update { $0.append(UInt(pthread_self())) }
        do throws(DiskError) {
          if thread == 0 {
            let file = OpenFile(adopting: output)
            try writeAll(file.descriptor, bytes)
          } else {
            let file = OpenFile(adopting: input)
            let buffer = Buffer(capacity: 50_000)
            var total = 0
            while true {
              let count = try FileCalls.read(file.descriptor, into: buffer.bytes, path: "pipe")
              if count == 0 { break }
              precondition(buffer.bytes.prefix(count).allSatisfy { $0 == 5 })
              total += count
              usleep(500)
            }
            precondition(total == 4 << 20)
          }
        } catch {
          preconditionFailure(error.description)
        }
        // Neither thread ends while it may still be signalled.
        if thread == 1 {
          isDone.cancel()
          pester.join()
          running.update { $0 = [] }
        } else {
          running.wait { $0.isEmpty }
        }
      }
    }
  }

  @Test(arguments: [("/dev/full", ENOSPC), ("/dev/null", 0)])
  func writeReportsWhatTheDeviceSays(device: String, errno: CInt) throws {
    let file = try FileCalls.open(at: AT_FDCWD, device, flags: O_WRONLY, path: device)
    do throws(DiskError) {
      try writeAll(file.descriptor, [1, 2, 3])
      try writeBytes(file.descriptor, at: 0, [1], path: device)
      #expect(errno == 0)
    } catch {
      #expect(error.errno == errno)
    }
  }

  @Test func badDescriptorsAreErrorsOfEveryCall() {
    let buffer = Buffer(capacity: 16)
    let bytes = UnsafeRawBufferPointer(buffer.bytes)
    let calls: [(String, () throws -> Void)] = [
      ("read", { _ = try FileCalls.read(-1, into: buffer.bytes, path: "x") }),
      ("read", { _ = try FileCalls.read(-1, at: 0, into: buffer.bytes, path: "x") }),
      ("write", { try FileCalls.write(-1, bytes, path: "x") }),
      ("write", { try FileCalls.write(-1, at: 0, bytes, path: "x") }),
      ("truncate", { try FileCalls.truncate(-1, 0, path: "x") }),
      ("fallocate", { _ = try FileCalls.allocate(-1, 1, path: "x") }),
      ("fallocate", { _ = try FileCalls.allocate(-1, at: 1, 1, path: "x") }),
      ("fallocate", { _ = try FileCalls.punchHole(-1, at: 1, 1, path: "x") }),
      ("fsync", { try FileCalls.sync(-1, path: "x") }),
      ("syncfs", { try FileCalls.syncFileSystem(of: -1, path: "x") }),
      ("lseek", { _ = try FileCalls.dataRanges(-1, size: 1, path: "x") }),
      ("fiemap", { _ = try FileCalls.extentCount(of: -1, path: "x") }),
      ("statx", { _ = try FileCalls.status(of: -1, path: "x") }),
      ("statfs", { _ = try FileCalls.fileSystemType(of: -1, path: "x") }),
      ("statvfs", { _ = try FileCalls.freeBytes(of: -1, path: "x") }),
      ("chown", { try FileCalls.setOwner(of: -1, user: 0, group: 0, path: "x") }),
      ("chmod", { try FileCalls.setMode(of: -1, mode: 0, path: "x") }),
      ("utimensat", { try FileCalls.setTimes(of: -1, accessed: 0, modified: 0, path: "x") }),
      ("listxattr", { _ = try FileCalls.extendedAttributes(of: -1, path: "x") }),
      (
        "setxattr",
        { try FileCalls.setExtendedAttribute(of: -1, name: [97], value: [], path: "x") }
      ),
      ("getflags", { _ = try FileCalls.attributeFlags(of: -1, path: "x") }),
      ("lseek", { _ = try DirectoryListing.read(-1, path: "x") }),
      ("close", { try OpenFile(adopting: -1).close(path: "x") }),
    ]
    for (operation, call) in calls {
      #expect(throws: DiskError(errno: EBADF, operation: operation, path: "x")) { try call() }
    }
  }

  @Test func sizesBeyondTheKernelsOffsetsAreRefused() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("file")
    try writeFile(path, [])
    let file = try FileCalls.open(at: AT_FDCWD, path, flags: O_RDWR, path: path)
    for size in [UInt64.max, UInt64(Int64.max) + 1] {
      #expect(throws: DiskError.self) { try FileCalls.truncate(file.descriptor, size, path: path) }
      #expect(throws: DiskError.self) { try FileCalls.allocate(file.descriptor, size, path: path) }
      #expect(throws: DiskError.self) {
        try writeBytes(file.descriptor, at: size, [1], path: path)
      }
    }
  }

  @Test func allocatedSpaceIsThere() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("file")
    try writeFile(path, [1])
    let file = try FileCalls.open(at: AT_FDCWD, path, flags: O_RDWR, path: path)
    #expect(try FileCalls.allocate(file.descriptor, 0, path: path))
    guard try FileCalls.allocate(file.descriptor, 1 << 20, path: path) else { return }
    let status = try FileCalls.status(of: file.descriptor, path: path)
    #expect(status.size == 1 << 20)
    #expect(status.blocks512 >= 2048)
    #expect(throws: DiskError.self) {
      try FileCalls.allocate(file.descriptor, 1 << 60, path: path)
    }
  }

  @Test func dataRangesAreWhereDataIs() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("file")
    try writeFile(path, [])
    let file = try FileCalls.open(at: AT_FDCWD, path, flags: O_RDWR, path: path)
    let descriptor = file.descriptor
    #expect(try FileCalls.dataRanges(descriptor, size: 0, path: path).isEmpty)
    try FileCalls.truncate(descriptor, 64 << 20, path: path)
    #expect(try FileCalls.dataRanges(descriptor, size: 64 << 20, path: path).isEmpty)
    var generator = SeededGenerator.printed()
    var written: [Range<UInt64>] = []
    for _ in 0..<8 {
      let start = generator.next() % (63 << 20)
      let bytes = generator.bytes(Int(generator.next() % 100_000) + 1)
      try writeBytes(descriptor, at: start, bytes, path: path)
      written.append(start..<(start + UInt64(bytes.count)))
    }
    let ranges = try FileCalls.dataRanges(descriptor, size: 64 << 20, path: path)
    for range in written {
      #expect(
        ranges.contains { $0.lowerBound <= range.lowerBound && $0.upperBound >= range.upperBound })
    }
    #expect(zip(ranges, ranges.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound })
    #expect(ranges.allSatisfy { $0.upperBound <= 64 << 20 })
    #expect(ranges.reduce(0) { $0 + $1.count } < 8 << 20)
    #expect(try FileCalls.nextData(descriptor, from: 64 << 20, path: path) == nil)
    #expect(try FileCalls.nextData(descriptor, from: UInt64.max, path: path) == nil)
    let shorter = try FileCalls.dataRanges(descriptor, size: 1000, path: path)
    #expect(shorter.allSatisfy { $0.upperBound <= 1000 })
  }

  @Test func extentsAreCounted() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("file")
    try writeFile(path, [])
    let file = try FileCalls.open(at: AT_FDCWD, path, flags: O_RDWR, path: path)
    // Nil where the file system does not say.
    guard let none = try FileCalls.extentCount(of: file.descriptor, path: path) else { return }
    #expect(none == 0)
    for place: UInt64 in [0, 10 << 20, 20 << 20] {
      try writeBytes(file.descriptor, at: place, [UInt8](repeating: 1, count: 8192), path: path)
    }
    try FileCalls.syncFileSystem(of: file.descriptor, path: path)
    let count = try FileCalls.extentCount(of: file.descriptor, path: path)
    let result = try runProgram(["filefrag", path])
    guard result.status == 0 else { return }
    let words = result.output.split(separator: " ").map(String.init)
    #expect(words.contains("\(try #require(count))"), "\(result.output)")
  }

  @Test func aRangeIsReservedAndGivenBack() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("file")
    try writeFile(path, [])
    let file = try FileCalls.open(at: AT_FDCWD, path, flags: O_RDWR, path: path)
    let descriptor = file.descriptor
    guard try FileCalls.allocate(descriptor, at: 8 << 20, 1 << 20, path: path) else { return }
    var status = try FileCalls.status(of: descriptor, path: path)
    #expect(status.size == 9 << 20)
    #expect((2048..<4096).contains(status.blocks512))
    try writeBytes(descriptor, at: 8 << 20, [UInt8](repeating: 7, count: 1 << 20), path: path)
    guard try FileCalls.punchHole(descriptor, at: 8 << 20, 1 << 19, path: path) else { return }
    status = try FileCalls.status(of: descriptor, path: path)
    #expect(status.size == 9 << 20)
    #expect(status.blocks512 < 2048)
    let bytes = try readBytes(descriptor, at: 8 << 20, count: 1 << 20, path: path)
    #expect(bytes.prefix(1 << 19).allSatisfy { $0 == 0 })
    #expect(bytes.suffix(1 << 19).allSatisfy { $0 == 7 })
    for offset in [UInt64.max, UInt64(Int64.max)] {
      #expect(throws: DiskError.self) {
        try FileCalls.allocate(descriptor, at: offset, 2, path: path)
      }
      #expect(throws: DiskError.self) {
        try FileCalls.punchHole(descriptor, at: offset, 2, path: path)
      }
    }
  }

  @Test(.enabled(if: access("/dev/shm", W_OK) == 0))
  func extentsAreUnknownInMemory() throws {
    let directory = try TemporaryDirectory(in: "/dev/shm")
    let path = directory.file("file")
    try writeFile(path, [1])
    let file = try FileCalls.openForReading(at: AT_FDCWD, path, path: path)
    #expect(try FileCalls.extentCount(of: file.descriptor, path: path) == nil)
    #expect(try FileCalls.fileSystemType(of: file.descriptor, path: path) == 0x0102_1994)
    #expect(try FileCalls.freeBytes(path) > 0)
  }
}

private func writeAll(_ descriptor: CInt, _ bytes: [UInt8]) throws(DiskError) {
  var failure: DiskError?
  bytes.withUnsafeBytes { bytes in
    do throws(DiskError) {
      try FileCalls.write(descriptor, bytes, path: "x")
    } catch {
      failure = error
    }
  }
  if let failure { throw failure }
}
