import Glibc
import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnTestSupport
import Testing

/// Large files, which are written past the page cache where the file system lets them.
@Suite struct DirectRestoreTests {
  private static let threshold: UInt64 = 8 << 20

  /// Chunks of any length and holes, in an order of their own in the repository, until the file is
  /// long enough; and what the file holds.
  private func content(
    _ repository: HandMadeRepository, _ generator: inout SeededGenerator
  ) throws -> (extents: [Extent], bytes: [UInt8]) {
    var stored: [(reference: ChunkReference, bytes: [UInt8])] = []
    for _ in 0..<60 {
      let bytes = generator.bytes(1 + Int(generator.next() % 300_000))
      stored.append((try repository.chunk(bytes), bytes))
    }
    var extents: [Extent] = []
    var content: [UInt8] = []
    var next = 0
    while content.count < Int(Self.threshold) + 4096 * Int(generator.next() % 200) {
      if generator.oneIn(9) {
        let count = 1 + generator.next() % 100_000
        extents.append(.hole(count))
        content += [UInt8](repeating: 0, count: Int(count))
        continue
      }
      // Mostly runs of neighbours, and jumps between them.
      next = generator.oneIn(7) ? Int(generator.next() % 60) : (next + 1) % 60
      extents.append(.chunk(stored[next].reference))
      content += stored[next].bytes
    }
    return (extents, content)
  }

  @Test func runsThatEndAnywhereAreAllThere() throws {
    var generator = SeededGenerator.printed()
    for round in 0..<4 {
      let repository = try HandMadeRepository()
      var entries = [repository.directory("")]
      var expected: [String: [UInt8]] = [:]
      for name in ["a", "b", "c"] {
        let (extents, bytes) = try content(repository, &generator)
        expected[name] = bytes
        entries.append(
          try repository.longFile(name, extents, perPage: 1 + Int(generator.next() % 40)))
      }
      let root = try repository.finish([entries])
      let outcome = try repository.restore(root, threads: 1 + round)
      #expect(outcome.failureCount == 0)
      for (name, bytes) in expected {
        let isSame = try readFile(repository.target + "/" + name) == bytes
        #expect(isSame, "\(name) of round \(round)")
      }
    }
  }

  /// More pages are shared by two runs, of which one is still to come, than are kept in memory.
  @Test func aFileInVeryManyPiecesIsAllThere() throws {
    var generator = SeededGenerator.printed()
    let repository = try HandMadeRepository()
    var chunk = generator.bytes(24_001)
    var chunks: [(extent: Extent, bytes: [UInt8])] = []
    for number in 0..<2600 {
      chunk[number] ^= 0xFF
      chunks.append((.chunk(try repository.chunk(chunk)), chunk))
    }
    // Neighbours in the repository are none in the file.
    chunks.shuffle(using: &generator)
    let long = try repository.longFile("long", chunks.map(\.extent), perPage: 100)
    let root = try repository.finish([[repository.directory(""), long]])
    let outcome = try repository.restore(root, threads: 3)
    #expect(outcome.failureCount == 0)
    let isSame = try readFile(repository.target + "/long") == Array(chunks.map(\.bytes).joined())
    #expect(isSame)
  }

  /// Of a file of a few chunks that lie side by side next to nothing is in the page cache
  /// afterwards; of a smaller one everything is.
  @Test func aLargeFileLeavesThePageCacheAlone() throws {
    var generator = SeededGenerator.printed()
    let repository = try HandMadeRepository()
    var extents: [Extent] = []
    for _ in 0..<60 { extents.append(.chunk(try repository.chunk(generator.bytes(150_001)))) }
    let root = try repository.finish([
      [
        repository.directory(""), repository.file("large", extents),
        repository.file("small", Array(extents.prefix(50))),
      ]
    ])
    guard try knowsDirectWrites(repository.directory.file("probe")) else { return }
    _ = try repository.restore(root)
    let large = try cachedPages(repository.target + "/large")
    let small = try cachedPages(repository.target + "/small")
    #expect(large < 60 * 150_001 / 4096 / 10)
    #expect(small == (50 * 150_001 + 4095) / 4096)
  }

  /// Where a repair could not get all of a file, what is lost stays a hole.
  @Test func aFileThatIsKeptInPartHasHolesForWhatIsLost() throws {
    var generator = SeededGenerator.printed()
    let repository = try HandMadeRepository()
    let chunk = try repository.chunk(generator.bytes(1 << 20))
    let lost = ChunkReference(
      identity: ChunkIdentity(
        fingerprint: Pair128(low: 1, high: 2), tag: Pair128(low: 3, high: 4)),
      length: 1 << 20, location: chunk.location)
    let extents = (0..<12).map { Extent.chunk($0 == 5 ? lost : chunk) }
    let root = try repository.finish([
      [repository.directory(""), repository.file("large", extents)]
    ])
    let outcome = try repository.restore(root) { $0.keepsPartialFiles = true }
    #expect(outcome.failureCount == 1)
    let path = repository.target + "/large"
    let file = try FileCalls.openForReading(at: AT_FDCWD, path, path: path)
    let ranges = try FileCalls.dataRanges(file.descriptor, size: 12 << 20, path: path)
    #expect(ranges == [0..<(5 << 20), (6 << 20)..<(12 << 20)])
  }

  private func cachedPages(_ path: String) throws -> UInt64 {
    let file = try FileCalls.openForReading(at: AT_FDCWD, path, path: path)
    return try #require(FileCalls.cachedPages(of: file.descriptor))
  }

  private func knowsDirectWrites(_ path: String) throws -> Bool {
    let file = try FileCalls.open(
      at: AT_FDCWD, path, flags: O_WRONLY | O_CREAT, mode: 0o600, path: path)
    guard FileCalls.setDirect(file.descriptor, true),
      (try? FileCalls.allocate(file.descriptor, at: 0, 4096, path: path)) == true
    else { return false }
    let page = Buffer(capacity: 4096)
    page.bytes.initializeMemory(as: UInt8.self, repeating: 1)
    do throws(DiskError) {
      try FileCalls.write(file.descriptor, at: 0, UnsafeRawBufferPointer(page.bytes), path: path)
    } catch { return false }
    return try #require(FileCalls.cachedPages(of: file.descriptor)) == 0
  }
}
