import Glibc
import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnTestSupport
import Synchronization
import Testing

/// Restores onto trees that are there already.
@Suite struct RestoreOntoTests {
  private let repository: HandMadeRepository

  init() throws { repository = try HandMadeRepository() }

  private func messages(_ outcome: RestoreOutcome) -> [String] {
    outcome.failures.map { "\(displayPath($0.path)): \($0.message)" }
  }

  private func write(_ path: String, _ bytes: [UInt8]) throws {
    try writeFile(repository.target + "/" + path, bytes)
  }

  private func status(_ path: String) throws -> FileStatus {
    let whole = repository.target + "/" + path
    return try FileCalls.status(at: AT_FDCWD, whole, path: whole)
  }

  private func makeDirectory(_ path: String) throws {
    try FileCalls.makeDirectory(
      at: AT_FDCWD, repository.target + path, mode: 0o755, path: path)
  }

  /// A tree of small files, a link, a fifo and a directory, and its manifest's root.
  private func tree() throws -> TreeRoot {
    var files: [ManifestEntry] = []
    for (number, name) in ["a", "b", "c"].enumerated() {
      let bytes = [UInt8](repeating: UInt8(number + 1), count: 3000)
      var entry = repository.file("d/\(name)", [.chunk(try repository.chunk(bytes))])
      entry.modifiedNanoseconds = 1_600_000_000_000_000_000 + Int64(number)
      files.append(entry)
    }
    var fifo = ManifestEntry(path: Array("d/fifo".utf8), kind: .fifo)
    fifo.mode = 0o600
    return try repository.finish([
      [repository.directory(""), repository.directory("d", mode: 0o750)] + files
        + [fifo, repository.symlink("l", to: "d/a")]
    ])
  }

  // MARK: Policies

  @Test func withoutAPolicyATreeIsRefused() throws {
    let root = try tree()
    try makeDirectory("")
    try write("mine", [1])
    let error = #expect(throws: PipelineError.self) { try repository.restore(root) }
    #expect(error?.code == .invalidInput)
    #expect(error?.message.contains("--overwrite") == true)
  }

  @Test func neverLeavesWhatIsThere() throws {
    let root = try tree()
    try makeDirectory("")
    try makeDirectory("/d")
    try write("d/b", [9])
    try write("d/mine", [8])
    let before = try status("d")
    let outcome = try repository.restore(root) { $0.overwrite = .never }
    #expect(messages(outcome) == [])
    #expect(repository.read("d/b") == [9])
    #expect(repository.read("d/mine") == [8])
    #expect(repository.read("d/a")?.count == 3000)
    #expect(try status("d").mode == before.mode)
    #expect(try status("l").kind == .symlink)
    // d and d/b.
    #expect(outcome.entriesKept == 2)
  }

  @Test func changedReplacesWhatDiffersAlone() throws {
    let root = try tree()
    #expect(try repository.restore(root).failureCount == 0)
    let (a, b) = (try status("d/a"), try status("d/b"))
    try write("d/c", [UInt8](repeating: 3, count: 3000))
    try FileCalls.setMode(
      at: AT_FDCWD, repository.target + "/d/a", mode: 0o600, path: "a")
    let attribute: Void? = try? {
      let file = try FileCalls.openForReading(
        at: AT_FDCWD, repository.target + "/d/a", path: "a")
      try FileCalls.setExtendedAttribute(
        of: file.descriptor, name: Array("user.mine".utf8), value: [1], path: "a")
    }()
    let outcome = try repository.restore(root) { $0.overwrite = .changed }
    #expect(messages(outcome) == [])
    #expect(outcome.bytesWritten == 3000)
    #expect(try status("d/a").inode == a.inode)
    #expect(try status("d/a").mode == a.mode)
    #expect(try status("d/b").inode == b.inode)
    #expect(try status("d/c").modifiedNanoseconds == 1_600_000_000_000_000_002)
    if attribute != nil {
      let file = try FileCalls.openForReading(
        at: AT_FDCWD, repository.target + "/d/a", path: "a")
      #expect(try FileCalls.extendedAttributes(of: file.descriptor, path: "a").isEmpty)
    }
  }

  @Test func alwaysTrustsNoSizeAndTime() throws {
    let root = try tree()
    #expect(try repository.restore(root).failureCount == 0)
    let b = try status("d/b")
    let forged = [UInt8](repeating: 77, count: 3000)
    try write("d/b", forged)
    let path = repository.target + "/d/b"
    try FileCalls.setTimes(
      at: AT_FDCWD, path, accessed: nil, modified: b.modifiedNanoseconds, path: path)
    _ = try repository.restore(root) { $0.overwrite = .changed }
    #expect(repository.read("d/b") == forged)
    let outcome = try repository.restore(root) { $0.overwrite = .always }
    #expect(messages(outcome) == [])
    #expect(repository.read("d/b") == [UInt8](repeating: 2, count: 3000))
    #expect(outcome.bytesWritten == 3000)
  }

  @Test(arguments: [OverwritePolicy.changed, .always])
  func whatIsOfAnotherKindGivesWay(_ policy: OverwritePolicy) throws {
    let root = try tree()
    let expected = try {
      _ = try repository.restore(root)
      return try describeTree(repository.target)
    }()
    try removeTree(repository.target)
    try makeDirectory("")
    // A file for a directory, a directory for a file, a link for a file, a file for a link.
    try write("l", [1])
    try makeDirectory("/d")
    try makeDirectory("/d/a")
    #expect(Glibc.symlink("/etc/passwd", repository.target + "/d/b") == 0)
    try write("d/fifo", [1])
    let outcome = try repository.restore(root) { $0.overwrite = policy }
    #expect(messages(outcome) == [])
    #expect(try describeTree(repository.target) == expected)
    try removeTree(repository.target + "/d")
    try write("d", [1])
    #expect(try repository.restore(root) { $0.overwrite = policy }.failureCount == 0)
    #expect(try describeTree(repository.target) == expected)
  }

  @Test func aFullDirectoryStaysUnlessItIsToBeDeleted() throws {
    let root = try tree()
    try makeDirectory("")
    try makeDirectory("/d")
    try makeDirectory("/d/a")
    try write("d/a/mine", [1])
    let kept = try repository.restore(root) { $0.overwrite = .changed }
    #expect(kept.failures.map { displayPath($0.path) } == ["d/a"])
    #expect(repository.read("d/a/mine") == [1])
    let deleted = try repository.restore(root) {
      $0.overwrite = .changed
      $0.deletesOthers = true
    }
    #expect(messages(deleted) == [])
    #expect(repository.read("d/a")?.count == 3000)
  }

  // MARK: Deletions

  @Test func othersAreDeletedWithinTheSelectionAlone() throws {
    let root = try tree()
    #expect(try repository.restore(root).failureCount == 0)
    let expected = try describeTree(repository.target)
    let outside = repository.directory.file("outside")
    try FileCalls.makeDirectory(at: AT_FDCWD, outside, mode: 0o755, path: outside)
    try writeFile(outside + "/precious", [1])
    try makeDirectory("/d/more")
    try makeDirectory("/d/more/deep")
    try write("d/more/deep/file", [1])
    #expect(Glibc.symlink(outside, repository.target + "/d/more/out") == 0)
    try write("other", [1])
    try write("d/kept.o", [1])
    let some = try repository.restore(root) {
      $0.overwrite = .changed
      $0.deletesOthers = true
      $0.paths = [Array("d".utf8)]
      $0.excludes = ["*.o"]
    }
    #expect(messages(some) == [])
    #expect(some.entriesDeleted == 4)
    #expect(repository.exists("other") && repository.exists("d/kept.o"))
    #expect(!repository.exists("d/more"))
    let all = try repository.restore(root) {
      $0.overwrite = .changed
      $0.deletesOthers = true
    }
    #expect(all.entriesDeleted == 2)
    #expect(try describeTree(repository.target) == expected)
    #expect(try readFile(outside + "/precious") == [1])
  }

  // MARK: Large files

  private func large(_ count: Int) throws -> (root: TreeRoot, content: [UInt8]) {
    var generator = SeededGenerator(seed: 5)
    var extents: [Extent] = []
    var content: [UInt8] = []
    for number in 0..<count {
      if number % 7 == 3 {
        extents.append(.hole(1 << 16))
        content += [UInt8](repeating: 0, count: 1 << 16)
      } else {
        let bytes = generator.bytes(40_000)
        extents.append(.chunk(try repository.chunk(bytes)))
        content += bytes
      }
    }
    let long = try repository.longFile("long", extents, perPage: 9)
    let short = repository.file("short", Array(extents.prefix(60)))
    return (try repository.finish([[repository.directory(""), long, short]]), content)
  }

  @Test func onlyDifferingChunksOfALargeFileAreWritten() throws {
    let (root, content) = try large(100)
    #expect(try repository.restore(root).failureCount == 0)
    let inode = try status("long").inode
    // One byte in one chunk, data in a hole, and a longer file.
    let path = repository.target + "/long"
    let file = try FileCalls.open(at: AT_FDCWD, path, flags: O_RDWR, path: path)
    try writeBytes(file.descriptor, at: 41_000, [content[41_000] ^ 1], path: path)
    try writeBytes(file.descriptor, at: 120_000, [1, 2, 3], path: path)
    try writeBytes(file.descriptor, at: UInt64(content.count), [4], path: path)
    let outcome = try repository.restore(root) { $0.overwrite = .changed }
    #expect(messages(outcome) == [])
    #expect(repository.read("long") == content)
    #expect(try status("long").inode == inode)
    #expect(outcome.bytesWritten == 40_000)
    #expect(try status("long").blocks512 * 512 < UInt64(content.count))
  }

  @Test func otherNamesOfALargeFileKeepTheirContent() throws {
    let (root, content) = try large(60)
    #expect(try repository.restore(root).failureCount == 0)
    let path = repository.target + "/long"
    var changed = content
    changed[5] ^= 1
    try writeFile(path, changed)
    let other = repository.directory.file("other-name")
    #expect(Glibc.link(path, other) == 0)
    let outcome = try repository.restore(root) { $0.overwrite = .changed }
    #expect(messages(outcome) == [])
    #expect(repository.read("long") == content)
    #expect(try readFile(other) == changed)
  }

  @Test func replacedFilesStayWholeForWhoeverHasThemOpen() throws {
    let (root, content) = try large(60)
    #expect(try repository.restore(root).failureCount == 0)
    let path = repository.target + "/long"
    try writeFile(path, [1, 2, 3])
    let reader = try FileCalls.openForReading(at: AT_FDCWD, path, path: path)
    let outcome = try repository.restore(root) {
      $0.overwrite = .changed
      $0.updatesInPlace = false
    }
    #expect(messages(outcome) == [])
    #expect(try readBytes(reader.descriptor, at: 0, count: 10, path: path) == [1, 2, 3])
    #expect(repository.read("long") == content)
    let names = try describeTree(repository.target).keys
    #expect(!names.contains { $0.contains("muninn") })
  }

  // MARK: Looking

  @Test func verificationFindsWhatWasAltered() throws {
    let (root, _) = try large(60)
    let path = repository.target + "/long"
    let outcome = try repository.restore(root, threads: 1) {
      $0.verifies = true
    } onRestored: { restored, _ in
      guard restored == Array("long".utf8),
        let file = try? FileCalls.open(at: AT_FDCWD, path, flags: O_RDWR, path: path)
      else { return }
      try? writeBytes(file.descriptor, at: 90_000, [1, 2, 3, 4], path: path)
    }
    #expect(outcome.failures.map { displayPath($0.path) } == ["long"])
    #expect(outcome.failures.first?.message.contains("differs") == true)
    #expect(outcome.filesVerified == 1)
    try removeTree(repository.target)
    let good = try repository.restore(root) { $0.verifies = true }
    #expect(messages(good) == [])
    #expect(good.filesVerified == 2)
  }

  @Test func aDryRunTellsAndChangesNothing() throws {
    let root = try tree()
    func plan(_ adjust: (inout RestoreOptions) -> Void) throws -> [String: PlannedChange] {
      var options = RestoreOptions(
        root: root, entryCount: 0, byteCount: 0, target: Array(repository.target.utf8), threads: 1)
      adjust(&options)
      var changes: [String: PlannedChange] = [:]
      let failures = try DryRun(store: repository.store, options: options).run { path, _, change in
        changes[displayPath(path)] = change
        return true
      }
      #expect(failures.isEmpty)
      return changes
    }
    let fresh = try plan { _ in }
    #expect(fresh.count == 6 && fresh.values.allSatisfy { $0 == .create })
    #expect(!repository.exists(""))
    #expect(try repository.restore(root).failureCount == 0)
    try write("d/b", [1])
    try write("other", [1])
    let before = try describeTree(repository.target)
    let changes = try plan {
      $0.overwrite = .changed
      $0.deletesOthers = true
    }
    #expect(
      changes == [
        "d": .keep, "d/a": .keep, "d/b": .replace, "d/c": .keep, "d/fifo": .keep, "l": .keep,
        "other": .delete,
      ])
    #expect(throws: PipelineError.self) { try plan { _ in } }
    #expect(try describeTree(repository.target) == before)
  }

  @Test func patternsChooseWhatComesAndWhatIsAboveComesAlong() throws {
    let root = try tree()
    let outcome = try repository.restore(root) {
      $0.includes = ["b", "l"]
      $0.excludes = ["c"]
    }
    #expect(messages(outcome) == [])
    #expect(try describeTree(repository.target).keys.sorted() == [".", "d", "d/b", "l"])
    #expect(try status("d").mode == 0o750)
    try removeTree(repository.target)
    _ = try repository.restore(root) { $0.excludes = ["d/"] }
    #expect(try describeTree(repository.target).keys.sorted() == [".", "l"])
    try removeTree(repository.target)
    _ = try repository.restore(root) { $0.includes = ["nothing"] }
    #expect(try describeTree(repository.target).keys.sorted() == ["."])
  }

  /// Three reads of 4 MiB at 4 MiB a second: the last one has to wait for the first, whatever else
  /// the machine does, less the second that is given on credit.
  @Test func aLimitHoldsTheRestoreBack() throws {
    let (root, content) = try large(400)
    let started = Machine.monotonicNanoseconds()
    let outcome = try repository.restore(root) { $0.bytesPerSecond = 4 << 20 }
    #expect(messages(outcome) == [])
    #expect(repository.read("long") == content)
    #expect(Machine.monotonicNanoseconds() - started > 500_000_000)
  }
}
