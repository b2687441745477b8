import Glibc
import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnStore
import MuninnTestSupport
import Testing

/// Restores of snapshots that are damaged, hostile, or merely odd.
@Suite struct RestoreTests {
  private let repository: HandMadeRepository
  private var generator = SeededGenerator(seed: 1)

  init() throws { repository = try HandMadeRepository() }

  private func messages(_ outcome: RestoreOutcome) -> [String] {
    outcome.failures.map { "\(displayPath($0.path)): \($0.message)" }
  }

  // MARK: Content

  @Test mutating func aFileOverManyWindowsComesBackWhole() throws {
    var content: [UInt8] = []
    var extents: [Extent] = []
    let shared = try repository.chunk([UInt8](repeating: 7, count: 300))
    for number in 0..<60_000 {
      if number % 3 == 0 {
        extents.append(.chunk(shared))
        content += [UInt8](repeating: 7, count: 300)
      } else {
        let bytes = generator.bytes(200)
        extents.append(.chunk(try repository.chunk(bytes)))
        content += bytes
      }
    }
    let root = try repository.finish([
      [
        repository.directory(""), repository.file("before", [.chunk(shared)]),
        try repository.longFile("long", extents, perPage: 5000),
        repository.file("zafter", [.chunk(shared)]),
      ]
    ])
    let outcome = try repository.restore(root)
    #expect(messages(outcome) == [])
    #expect(outcome.files == 3)
    #expect(repository.read("long") == content)
    #expect(repository.read("zafter") == [UInt8](repeating: 7, count: 300))
  }

  @Test mutating func chunksFromAnywhereInAnyOrderLandWhereTheyBelong() throws {
    var generator = SeededGenerator.printed()
    var chunks: [(ChunkReference, [UInt8])] = []
    for _ in 0..<600 {
      let bytes = generator.bytes(Int(generator.next() % 60_000) + 1)
      chunks.append((try repository.chunk(bytes), bytes))
    }
    var entries = [repository.directory("")]
    var contents: [String: [UInt8]] = [:]
    for number in 100..<160 {
      var content: [UInt8] = []
      var extents: [Extent] = []
      for _ in 0..<(generator.next() % 40) {
        if generator.oneIn(6) {
          let count = Int(generator.next() % 100_000) + 1
          extents.append(.hole(UInt64(count)))
          content += [UInt8](repeating: 0, count: count)
        } else {
          let (reference, bytes) = chunks[Int(generator.next() % 600)]
          extents.append(.chunk(reference))
          content += bytes
        }
      }
      entries.append(repository.file("f\(number)", extents))
      contents["f\(number)"] = content
    }
    let root = try repository.finish([entries])
    let outcome = try repository.restore(root, threads: 3)
    #expect(messages(outcome) == [])
    for (path, content) in contents { #expect(repository.read(path) == content, "\(path)") }
  }

  @Test func aStaleLocationIsFoundThroughTheIndex() throws {
    let bytes = [UInt8](repeating: 3, count: 5000)
    let other = try repository.chunk([1, 2, 3])
    let real = try repository.chunk(bytes)
    for location in [
      other.location, ChunkLocation(container: randomIdentifier(), slot: 0),
      ChunkLocation(container: real.location.container, slot: 4_000_000),
    ] {
      let stale = ChunkReference(
        identity: real.identity, length: real.length, location: location)
      let root = try repository.finish([
        [repository.directory(""), repository.file("f", [.chunk(stale)])]
      ])
      let outcome = try repository.restore(root)
      #expect(messages(outcome) == [])
      #expect(repository.read("f") == bytes)
      try removeTree(repository.target)
    }
  }

  // MARK: Damage

  @Test mutating func onlyFilesThatNeedADamagedBlockAreLeftOut() throws {
    var entries = [repository.directory("")]
    var contents: [[UInt8]] = []
    var last: ChunkReference?
    for number in 100..<140 {
      let bytes = generator.bytes(100_000)
      contents.append(bytes)
      last = try repository.chunk(bytes)
      entries.append(repository.file("f\(number)", [.chunk(try #require(last))]))
    }
    let root = try repository.finish([entries])
    let container = try #require(last).location.container
    let path = repository.directory.file("repository/") + ObjectName.container(container)
    var stored = try readFile(path)
    stored[1_500_000] ^= 1
    try writeFile(path, stored)
    let outcome = try repository.restore(root)
    #expect((1...3).contains(outcome.failureCount))
    for failure in outcome.failures {
      #expect(failure.message.contains(ObjectName.container(container)))
      #expect(!repository.exists(displayPath(failure.path)))
    }
    let lost = Set(outcome.failures.map { displayPath($0.path) })
    for (index, content) in contents.enumerated() where !lost.contains("f\(100 + index)") {
      #expect(repository.read("f\(100 + index)") == content)
    }
    #expect(outcome.files == 40 - outcome.failureCount)
  }

  @Test mutating func aLongFileWithADamagedBlockIsRemovedAgain() throws {
    let extents: [Extent] = try (0..<200).map { _ in
      .chunk(try repository.chunk(generator.bytes(100_000)))
    }
    let root = try repository.finish([
      [
        repository.directory(""), repository.file("a", Array(extents[..<60])),
        try repository.longFile("long", extents, perPage: 30),
      ]
    ])
    guard case .chunk(let chunk) = extents[100] else { return }
    let path =
      repository.directory.file("repository/") + ObjectName.container(chunk.location.container)
    var stored = try readFile(path)
    stored[10_500_000] ^= 0x80
    try writeFile(path, stored)
    let outcome = try repository.restore(root)
    #expect(messages(outcome).count == 1)
    #expect(!repository.exists("long"))
    #expect(repository.read("a")?.count == 6_000_000)
  }

  @Test mutating func aMissingContainerCostsTheFilesThatNeedItAlone() throws {
    let lost = try repository.chunk(generator.bytes(1000))
    let before = try repository.finish([[repository.directory("")]])
    let kept = try repository.chunk(generator.bytes(1000))
    let root = try repository.finish([
      [
        repository.directory(""), repository.file("kept", [.chunk(kept)]),
        repository.file("lost", [.chunk(lost)]),
        repository.file("part", [.chunk(kept), .chunk(lost)]),
      ]
    ])
    _ = before
    try FileCalls.unlink(
      at: AT_FDCWD,
      repository.directory.file("repository/") + ObjectName.container(lost.location.container),
      path: "")
    let outcome = try repository.restore(root)
    #expect(outcome.failures.map { displayPath($0.path) }.sorted() == ["lost", "part"])
    #expect(repository.read("kept")?.count == 1000)
    #expect(!repository.exists("lost"))
    #expect(!repository.exists("part"))
  }

  @Test func aChunkThatIsNotWhatTheManifestSaysIsRefused() throws {
    let chunk = try repository.chunk([UInt8](repeating: 1, count: 1000))
    let forged = ChunkReference(
      identity: ChunkIdentity(
        fingerprint: chunk.identity.fingerprint, tag: Pair128(low: 1, high: 2)),
      length: chunk.length, location: chunk.location)
    let root = try repository.finish([
      [repository.directory(""), repository.file("f", [.chunk(forged)])]
    ])
    let outcome = try repository.restore(root)
    #expect(outcome.failureCount == 1)
    #expect(!repository.exists("f"))
  }

  // MARK: Hostile trees

  @Test func holesOfAnyLengthAreRefusedByTheFileSystemAtMost() throws {
    let huge = UInt64(Int64.max)
    let root = try repository.finish([
      [
        repository.directory(""), repository.file("a", [.hole(huge)]),
        repository.file("b", [.hole(huge)]), repository.file("c", [.hole(huge)]),
        repository.file("d", [.hole(1 << 20)]),
      ]
    ])
    for defragments in [false, true] {
      _ = try repository.restore(root) { $0.defragment = defragments }
      #expect(repository.read("d")?.count == 1 << 20)
      try removeTree(repository.target)
    }
  }

  @Test func nothingIsWrittenThroughASymlinkOfTheSnapshot() throws {
    let outside = repository.directory.file("outside")
    try FileCalls.makeDirectory(at: AT_FDCWD, outside, mode: 0o755, path: outside)
    let chunk = try repository.chunk([UInt8](repeating: 1, count: 1000))
    let root = try repository.finish([
      [
        repository.directory(""), repository.symlink("a", to: outside),
        repository.file("a/evil", [.chunk(chunk)]), repository.file("b", [.chunk(chunk)]),
        repository.file("b/evil", [.chunk(chunk)]), repository.file("c", [.chunk(chunk)]),
      ]
    ])
    let outcome = try repository.restore(root)
    #expect(outcome.failureCount > 0)
    #expect(try describeTree(outside).count == 1)
    #expect(repository.read("c")?.count == 1000)
  }

  @Test func aDirectoryThatBecomesASymlinkLeadsNowhere() throws {
    let outside = repository.directory.file("outside")
    try FileCalls.makeDirectory(at: AT_FDCWD, outside, mode: 0o755, path: outside)
    let chunk = try repository.chunk([UInt8](repeating: 1, count: 1000))
    var entries = [repository.directory("")]
    // More directories than descriptors are kept for, so that some are opened again.
    for number in 1000..<1400 {
      entries.append(repository.directory("d\(number)"))
      for file in 0..<3 {
        entries.append(repository.file("d\(number)/f\(file)", [.chunk(chunk)]))
      }
    }
    let root = try repository.finish([entries])
    let target = repository.target
    let isSwapped = Monitor(false)
    let outcome = try repository.restore(
      root, threads: 1,
      onRestored: { _, _ in
        guard
          isSwapped.withLock({ swapped in
            defer { swapped = true }
            return !swapped
          })
        else { return }
        for number in 1001..<1400 {
          let path = "\(target)/d\(number)"
          _ = Glibc.rename(path, path + "-away")
          _ = Glibc.symlink(outside, path)
        }
      })
    #expect(outcome.failureCount > 0)
    #expect(try describeTree(outside).count == 1)
  }

  @Test func aPathLongerThanTheSystemTakesInOneCallIsRestored() throws {
    let chunk = try repository.chunk([UInt8](repeating: 1, count: 1000))
    var path = ""
    var entries = [repository.directory("")]
    for _ in 0..<40 {
      path += (path.isEmpty ? "" : "/") + String(repeating: "n", count: 200)
      entries.append(repository.directory(path))
    }
    entries.append(repository.file(path + "/f", [.chunk(chunk)]))
    let root = try repository.finish(entries.map { [$0] })
    let outcome = try repository.restore(root)
    #expect(messages(outcome) == [])
    #expect(outcome.entries == 42)
  }

  @Test func hardLinksFollowTheFirstNameThatIsRestored() throws {
    let chunk = try repository.chunk([UInt8](repeating: 1, count: 1000))
    var first = repository.file("a/first", [.chunk(chunk)])
    first.hardLink = .first
    var later = repository.file("b/later", [.chunk(chunk)])
    later.hardLink = .later(Array("a/first".utf8))
    var last = later
    last.path = Array("c/last".utf8)
    let root = try repository.finish([
      [
        repository.directory(""), repository.directory("a"), first, repository.directory("b"),
        later, repository.directory("c"), last,
      ]
    ])
    let all = try repository.restore(root)
    #expect(messages(all) == [])
    try removeTree(repository.target)
    let some = try repository.restore(root) { $0.paths = [Array("b".utf8), Array("c".utf8)] }
    #expect(messages(some) == [])
    #expect(!repository.exists("a"))
    let status = try FileCalls.status(
      at: AT_FDCWD, repository.target + "/c/last", path: "c/last")
    #expect(status.linkCount == 2)
  }

  // MARK: The target and the end

  @Test func aTargetThatIsNotEmptyIsLeftAlone() throws {
    let root = try repository.finish([[repository.directory("")]])
    let full = repository.directory.file("full")
    try FileCalls.makeDirectory(at: AT_FDCWD, full, mode: 0o750, path: full)
    try writeFile(full + "/mine", [1])
    let before = try describeTree(full)
    for target in [full, full + "/mine", full + "/mine/below", "relative"] {
      #expect(throws: PipelineError.self) { try repository.restore(root, to: target) }
    }
    #expect(try describeTree(full) == before)
    let error = #expect(throws: PipelineError.self) { try repository.restore(root, to: full) }
    #expect(error?.code == .invalidInput)
    #expect(error?.message.contains(full) == true)
  }

  @Test func theRootsMetadataIsTheTargets() throws {
    var entry = repository.directory("", mode: 0o1751)
    entry.modifiedNanoseconds = -1_234_567_891
    let root = try repository.finish([[entry]])
    let empty = repository.target
    try FileCalls.makeDirectory(at: AT_FDCWD, empty, mode: 0o700, path: empty)
    _ = try repository.restore(root)
    let status = try FileCalls.status(at: AT_FDCWD, empty, path: empty)
    #expect(status.mode == 0o1751)
    #expect(status.modifiedNanoseconds == -1_234_567_891)
  }

  @Test func aCancelledRestoreSaysSo() throws {
    let chunk = try repository.chunk([UInt8](repeating: 1, count: 1000))
    let files = (1000..<9000).map { repository.file("f\($0)", [.chunk(chunk)]) }
    let root = try repository.finish([[repository.directory("")] + files])
    let cancellation = Cancellation()
    let error = #expect(throws: PipelineError.self) {
      try repository.restore(
        root, cancellation: cancellation, onRestored: { _, _ in cancellation.cancel() })
    }
    #expect(error?.code == .cancelled)
  }

  @Test mutating func aLostPageOfTheManifestCostsItsEntriesAlone() throws {
    let chunk = try repository.chunk([UInt8](repeating: 1, count: 1000))
    // Names that do not compress make each page a block of its own in the end.
    let letters = Array("abcdefghijklmnopqrstuvwxyz".utf8)
    let pages = (100..<400).map { page in
      (100..<200).map { number in
        let odd = generator.bytes(100).map { letters[Int($0) % 26] }
        return repository.file(
          "f\(page)-\(number)-" + String(decoding: odd, as: UTF8.self), [.chunk(chunk)])
      }
    }
    let root = try repository.finish([[repository.directory("")]] + pages)
    let prefix = repository.directory.file("repository/")
    let name = ObjectName.container(root.page.location.container)
    var bytes = try readFile(prefix + name)
    bytes[bytes.count / 2] ^= 1
    try writeFile(prefix + name, bytes)
    let outcome = try repository.restore(root)
    #expect(outcome.failureCount > 0)
    #expect(outcome.files > 10_000)
    #expect(outcome.files < 30_000)
    #expect(outcome.files % 100 == 0)
    for failure in outcome.failures { #expect(failure.message.contains("manifest")) }
  }
}
