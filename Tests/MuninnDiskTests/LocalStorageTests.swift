import Glibc
import MuninnDisk
import MuninnTestSupport
import Testing

/// What a repository in a directory promises beyond the contract of every storage.
@Suite struct LocalStorageTests {
  @Test func aMissingDirectoryIsAnErrorUnlessItIsToBeMade() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("a/b/c")
    #expect { try LocalStorage(path: path, create: false) } throws: {
      ($0 as? DiskError)?.isNotFound == true
    }
    let storage = try LocalStorage(path: path + "/", create: true)
    #expect(try storage.list("").isEmpty)
    _ = try LocalStorage(path: path, create: true)
    try writeFile(directory.file("file"), [])
    #expect { try LocalStorage(path: directory.file("file"), create: true) } throws: {
      ($0 as? DiskError)?.errno == ENOTDIR
    }
  }

  /// What is read once is in the page cache afterwards as it was before: all of it or nothing.
  @Test(arguments: [true, false])
  func whatIsReadOnceLeavesTheCacheAsItWas(isCached: Bool) throws {
    let directory = try TemporaryDirectory()
    let storage = try LocalStorage(path: directory.path, create: false)
    let bytes = [UInt8](repeating: 7, count: 1 << 20)
    _ = try storage.putIfAbsent("containers/aa/x", bytes)
    let file = try FileCalls.openForReading(
      at: AT_FDCWD, directory.file("containers/aa/x"), path: "x")
    FileCalls.dropPages(of: file.descriptor, at: 0, count: 0)
    // Memory file systems drop nothing.
    guard FileCalls.cachedPages(of: file.descriptor) == 0 else { return }
    let buffer = Buffer(capacity: bytes.count)
    if isCached { _ = try storage.read("containers/aa/x", at: 0, into: buffer.bytes) }
    #expect(try storage.readOnce("containers/aa/x", at: 0, into: buffer.bytes) == bytes.count)
    #expect(buffer.bytes.elementsEqual(bytes))
    let pages = FileCalls.cachedPages(of: file.descriptor)
    #expect(pages == (isCached ? UInt64(bytes.count / Buffer.alignment) : 0))
  }

  @Test func openingWritesNothing() throws {
    let directory = try TemporaryDirectory()
    let storage = try LocalStorage(path: directory.path, create: false)
    #expect(try storage.list("").isEmpty)
    try storage.makeNamesDurable()
    #expect(try names(in: directory.path).isEmpty)
  }

  @Test(arguments: [true, false])
  func modesDoNotDependOnTheUmask(nameless: Bool) async {
    await #expect(processExitsWith: .success) { [nameless] in
      umask(0o777)
      let directory = try TemporaryDirectory()
      let path = directory.file("repository")
      let storage = try LocalStorage(path: path, create: true, usesNamelessFiles: nameless)
      _ = try storage.putIfAbsent("journal/1", [1])
      try storage.put("hint", [1])
      try storage.create("containers/aa/x", expectedByteCount: 0).finish()
      for name in ["", "/journal", "/containers", "/containers/aa"] {
        try demand(status(path + name).mode == 0o700, name)
      }
      for name in ["/journal/1", "/hint", "/containers/aa/x"] {
        try demand(status(path + name).mode == 0o600, name)
      }
    }
  }

  /// Other users' processes may read a repository that they cannot write.
  @Test(.enabled(if: geteuid() == 0))
  func aReadOnlyRepositoryIsReadable() async {
    await #expect(processExitsWith: .success) {
      let directory = try TemporaryDirectory()
      let writer = try LocalStorage(path: directory.path, create: false)
      _ = try writer.putIfAbsent("journal/1", [1, 2])
      for (name, mode) in [("", 0o555), ("/journal", 0o555), ("/journal/1", 0o444)] {
        precondition(chmod(directory.path + name, mode_t(mode)) == 0)
      }
      precondition(setegid(65534) == 0 && seteuid(65534) == 0)
      let reader = try LocalStorage(path: directory.path, create: false)
      try demand(reader.list("").count == 1)
      try demand(reader.read("journal/1", maximumByteCount: 9) == [1, 2])
      try reader.makeDurable("journal/1")
      try demand(reader.putIfAbsent("journal/1", [9]) == false)
      do throws(DiskError) {
        _ = try reader.putIfAbsent("journal/2", [1])
        preconditionFailure("this should not be allowed")
      } catch {
        precondition(error.isAccessDenied, error.description)
      }
      precondition(seteuid(0) == 0)
    }
  }

  @Test func moreObjectsThanCachedDescriptorsCanBeRead() throws {
    let directory = try TemporaryDirectory()
    let storage = try LocalStorage(path: directory.path, create: false)
    for number in 0..<150 {
      _ = try storage.putIfAbsent("objects/\(number)", [UInt8(number)])
    }
    let before = try names(in: "/proc/self/fd").count
    WorkerThreads.run(count: 4, name: "read") { thread in
      let buffer = Buffer(capacity: 10)
      for round in 0..<600 {
        let number = (round * 7 + thread * 31) % 150
        let count = try? storage.read("objects/\(number)", at: 0, into: buffer.bytes)
        if count != 1 || buffer.bytes[0] != UInt8(number) { Issue.record("object \(number)") }
      }
    }
    // Other tests open files at the same time, so this is no more than a rough bound.
    #expect(try names(in: "/proc/self/fd").count < before + 130)
  }

  @Test func onlyRegularFilesAreObjects() throws {
    let directory = try TemporaryDirectory()
    let storage = try LocalStorage(path: directory.path, create: false)
    _ = try storage.putIfAbsent("real", [1])
    let path = directory.path
    try FileCalls.makeNode(
      at: AT_FDCWD, path + "/fifo", kind: .fifo, mode: 0o600, path: path)
    try FileCalls.makeSymlink(target: "real", at: AT_FDCWD, path + "/link", path: path)
    try writeFile(path + "/not a name", [1])
    #expect(try storage.list("").map(\.name) == ["real"])
    for name in ["fifo", "link"] {
      #expect(throws: DiskError.self) { try storage.read(name, maximumByteCount: 10) }
      #expect(throws: DiskError.self) { try storage.size(of: name) }
      #expect(throws: DiskError.self) { try storage.putIfAbsent(name, [2]) }
    }
  }

  @Test func aShardMayBeASymlink() throws {
    let directory = try TemporaryDirectory()
    let elsewhere = try TemporaryDirectory()
    try elsewhere.path.withCString { target in
      try FileCalls.makeSymlink(
        target: target, at: AT_FDCWD, directory.file("containers"), path: directory.path)
    }
    let storage = try LocalStorage(path: directory.path, create: false)
    _ = try storage.putIfAbsent("containers/x", [1])
    try storage.create("containers/aa/y", expectedByteCount: 0).finish()
    try storage.makeNamesDurable()
    #expect(try readFile(elsewhere.file("x")) == [1])
    #expect(try names(in: elsewhere.path) == ["aa", "x"])
  }

  @Test func directoriesThatVanishAreMadeAgain() throws {
    let directory = try TemporaryDirectory()
    for nameless in [true, false] {
      let storage = try LocalStorage(
        path: directory.path, create: false, usesNamelessFiles: nameless)
      _ = try storage.putIfAbsent("a/b/1", [1])
      try removeTree(directory.file("a"))
      #expect(try storage.putIfAbsent("a/b/1", [2]))
      try removeTree(directory.file("a"))
      try storage.put("a/b/1", [3])
      let writer = try storage.create("a/b/2", expectedByteCount: 0)
      try writer.finish()
      try storage.makeNamesDurable()
      #expect(try storage.list("a").count == 2)
      try removeTree(directory.file("a"))
    }
  }

  @Test func whatACrashLeftCanBeRemoved() throws {
    let directory = try TemporaryDirectory()
    let storage = try LocalStorage(path: directory.path, create: false)
    #expect(try storage.deleteAbandonedFiles(olderThanNanoseconds: 0) == 0)
    try storage.put("hint", [1])
    try writeFile(directory.file("tmp/0123"), [1])
    try FileCalls.makeDirectory(
      at: AT_FDCWD, directory.file("tmp/directory"), mode: 0o700, path: directory.path)
    let hour: Int64 = 3_600_000_000_000
    #expect(try storage.deleteAbandonedFiles(olderThanNanoseconds: hour) == 0)
    #expect(try storage.deleteAbandonedFiles(olderThanNanoseconds: -hour) == 1)
    #expect(try names(in: directory.file("tmp")) == ["directory"])
    #expect(try storage.list("").map(\.name) == ["hint"])
  }

  /// The limit makes a write come up short, and the next one fail.
  @Test(arguments: [true, false])
  func aFailedWriteLeavesNothing(nameless: Bool) async {
    await #expect(processExitsWith: .success) { [nameless] in
      signal(SIGXFSZ, SIG_IGN)
      let directory = try TemporaryDirectory()
      let storage = try LocalStorage(
        path: directory.path, create: false, usesNamelessFiles: nameless)
      var limit = rlimit(rlim_cur: 1_500_000, rlim_max: rlim_t.max)
      precondition(setrlimit(__rlimit_resource_t(1), &limit) == 0)
      let bytes = [UInt8](repeating: 7, count: 2_000_000)
      let attempts: [() throws -> Void] = [
        { _ = try storage.putIfAbsent("big", bytes) }, { try storage.put("big", bytes) },
        {
          let writer = try storage.create("containers/aa/big", expectedByteCount: 2_000_000)
          defer { writer.discard() }
          for _ in 0..<2 { try bytes.withUnsafeBytes { try writer.append($0) } }
          try writer.finish()
        },
      ]
      for attempt in attempts {
        do {
          try attempt()
          preconditionFailure("this is too large")
        } catch let error as DiskError {
          precondition(error.errno == EFBIG, error.description)
        }
      }
      try demand(storage.list("").isEmpty)
      if !nameless { try demand(names(in: directory.file("tmp")).isEmpty) }
      try demand(storage.putIfAbsent("small", [1]))
    }
  }

  @Test(.enabled(if: canMount), arguments: [true, false])
  func aFullDiskLeavesNothing(nameless: Bool) throws {
    let directory = try TemporaryDirectory()
    let mounted = try runProgram(
      ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", directory.path])
    try #require(mounted.status == 0, "\(mounted.errors)")
    defer { _ = try? runProgram(["umount", directory.path]) }
    do {
      let storage = try LocalStorage(
        path: directory.path, create: false, usesNamelessFiles: nameless)
      let bytes = [UInt8](repeating: 7, count: 3 << 20)
      #expect { try storage.putIfAbsent("big", bytes) } throws: {
        ($0 as? DiskError)?.isNoSpace == true
      }
      let writer = try storage.create("containers/big", expectedByteCount: 0)
      #expect {
        for _ in 0..<3 { try bytes[..<(1 << 20)].withUnsafeBytes { try writer.append($0) } }
        try writer.finish()
      } throws: {
        ($0 as? DiskError)?.isNoSpace == true
      }
      #expect(throws: DiskError.self) { try writer.finish() }
      writer.discard()
      #expect(try storage.list("").isEmpty)
      // A process that is just being started keeps what was removed open until its program runs.
      for _ in 0..<500 where (try storage.freeByteCount() ?? .max) < 3 << 19 { usleep(10_000) }
      #expect(try storage.putIfAbsent("small", [UInt8](repeating: 1, count: 1 << 20)))
    }
  }

  private static var canMount: Bool { geteuid() == 0 && probeMount }
  private static let probeMount: Bool = {
    guard let directory = try? TemporaryDirectory() else { return false }
    let mounted = try? runProgram(["mount", "-t", "tmpfs", "tmpfs", directory.path])
    guard mounted?.status == 0 else { return false }
    return (try? runProgram(["umount", directory.path]))?.status == 0
  }()
}

/// The names in a directory.
func names(in path: String) throws -> [String] {
  let directory = try FileCalls.open(
    at: AT_FDCWD, path, flags: O_RDONLY | O_DIRECTORY, path: path)
  let listing = try DirectoryListing.read(directory.descriptor, path: path)
  return (0..<listing.count).map { String(decoding: listing.name($0), as: UTF8.self) }
}

func status(_ path: String) throws(DiskError) -> FileStatus {
  try FileCalls.status(at: AT_FDCWD, path, path: path)
}

/// For processes of exit tests, where an expectation that fails would go unnoticed.
func demand(
  _ condition: @autoclosure () throws -> Bool, _ text: @autoclosure () -> String = "",
  line: UInt = #line
) rethrows {
  let isTrue = try condition()
  precondition(isTrue, "line \(line): \(text())")
}
