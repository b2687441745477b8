import Glibc
import MuninnDisk
import MuninnTestSupport
import Testing

/// Objects that are written past the page cache are the same objects.
@Suite struct DirectWriteTests {
  private static let sizes = [
    0, 1, 4095, 4096, 4097, 1 << 20, (1 << 20) + 1, (2 << 20) - 1, (3 << 20) + 4096, 7_654_321,
  ]

  private func write(
    _ bytes: [UInt8], _ name: String, to storage: LocalStorage, expected: UInt64,
    _ generator: inout SeededGenerator
  ) throws {
    let writer = try storage.create(name, expectedByteCount: expected)
    var start = 0
    while start < bytes.count {
      let end = min(bytes.count, start + 1 + Int(generator.next() % 3_000_000))
      try bytes[start..<end].withUnsafeBytes { try writer.append($0) }
      start = end
      #expect(writer.byteCount == UInt64(end))
    }
    try writer.finish()
  }

  @Test(arguments: [true, false], [0, 2_000_000, 32 << 20])
  func whatIsWrittenIsRead(directly: Bool, expected: UInt64) throws {
    var generator = SeededGenerator.printed()
    let directory = try TemporaryDirectory()
    let storage = try LocalStorage(
      path: directory.path, create: false, writesDirectly: directly)
    for size in Self.sizes {
      let bytes = generator.bytes(size)
      let name = "containers/aa/\(size)"
      try write(bytes, name, to: storage, expected: expected, &generator)
      #expect(try storage.read(name, maximumByteCount: 1 << 30) == bytes)
      // What was reserved beyond its end is given back.
      let blocks = try status(directory.file(name)).blocks512
      #expect(blocks * 512 <= UInt64(size) + (64 << 10), "\(size) bytes take \(blocks) blocks")
    }
  }

  /// Some of these file systems take O_DIRECT and some refuse it, at the open or at the write.
  @Test(.enabled(if: access("/dev/shm", W_OK) == 0))
  func whereItCannotBeItIsNot() throws {
    var generator = SeededGenerator.printed()
    let directory = try TemporaryDirectory(in: "/dev/shm")
    let storage = try LocalStorage(path: directory.path, create: false, writesDirectly: true)
    for size in Self.sizes {
      let bytes = generator.bytes(size)
      try write(bytes, "containers/aa/\(size)", to: storage, expected: 32 << 20, &generator)
      #expect(try storage.read("containers/aa/\(size)", maximumByteCount: 1 << 30) == bytes)
    }
  }

  /// Many at a time share the storage's threads.
  @Test func severalWritersAtATime() throws {
    let directory = try TemporaryDirectory()
    let storage = try LocalStorage(path: directory.path, create: false, writesDirectly: true)
    let contents = (0..<8).map { number in
      (0..<5_000_001).map { UInt8(truncatingIfNeeded: $0 >> 7 ^ number) }
    }
    WorkerThreads.run(count: contents.count, name: "writer") { number in
      do {
        let writer = try storage.create("containers/aa/\(number)", expectedByteCount: 6 << 20)
        try contents[number].withUnsafeBytes { try writer.append($0) }
        if number % 2 == 0 { try writer.finish() } else { writer.discard() }
      } catch {
        Issue.record("\(error)")
      }
    }
    #expect(try storage.list("").map(\.name) == (0..<4).map { "containers/aa/\($0 * 2)" })
    for number in stride(from: 0, to: 8, by: 2) {
      let bytes = try storage.read("containers/aa/\(number)", maximumByteCount: 1 << 30)
      #expect(bytes == contents[number])
    }
  }

  /// More is written than may wait, and given up while some of it waits.
  @Test func oneWriterThatIsFasterThanTheDisk() throws {
    let directory = try TemporaryDirectory()
    let storage = try LocalStorage(path: directory.path, create: false, writesDirectly: true)
    let bytes = (0..<(3 << 20) + 77).map { UInt8(truncatingIfNeeded: $0 >> 11 ^ $0) }
    for (name, isKept) in [("containers/aa/kept", true), ("containers/aa/given", false)] {
      let writer = try storage.create(name, expectedByteCount: 64 << 20)
      for _ in 0..<20 { try bytes.withUnsafeBytes { try writer.append($0) } }
      if isKept { try writer.finish() } else { writer.discard() }
    }
    #expect(try storage.list("").map(\.name) == ["containers/aa/kept"])
    let read = try storage.read("containers/aa/kept", maximumByteCount: 1 << 30)
    #expect(read.count == 20 * bytes.count)
    for number in 0..<20 {
      #expect(read[(number * bytes.count)..<((number + 1) * bytes.count)].elementsEqual(bytes))
    }
  }

  /// The repository's directory is taken away under a writer: an error that names the object, and
  /// nothing that looks like one.
  @Test(arguments: [true, false])
  func aDirectoryThatVanishes(directly: Bool) throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("repository")
    let storage = try LocalStorage(path: path, create: true, writesDirectly: directly)
    let writer = try storage.create("containers/aa/x", expectedByteCount: 4 << 20)
    let bytes = [UInt8](repeating: 5, count: 3_000_000)
    try bytes.withUnsafeBytes { try writer.append($0) }
    for name in ["containers/aa", "containers"] { #expect(rmdir(path + "/" + name) == 0) }
    // A shard alone is made again.
    try writer.finish()
    let second = try storage.create("containers/aa/y", expectedByteCount: 4 << 20)
    try bytes.withUnsafeBytes { try second.append($0) }
    #expect(unlink(path + "/containers/aa/x") == 0)
    for name in ["containers/aa", "containers", ""] { #expect(rmdir(path + "/" + name) == 0) }
    #expect {
      try second.finish()
    } throws: { error in
      let text = "\(error)"
      return text.contains("containers") && text.contains("ENOENT")
    }
    second.discard()
  }
}
