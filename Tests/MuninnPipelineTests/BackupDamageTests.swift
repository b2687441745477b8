import Glibc
import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnStore
import MuninnTestSupport
import Testing

/// Damaged repositories: the error names the object, nothing traps, and what is undamaged comes
/// back.
@Suite struct BackupDamageTests {
  private let scene: BackupScene
  private let snapshots: [SnapshotRecord]
  /// The files of each snapshot.
  private let contents: [[String: [UInt8]]]

  init() throws {
    var generator = SeededGenerator(seed: 21)
    scene = try BackupScene()
    try scene.makeDirectory("d")
    for number in 0..<30 { try scene.write("d/file-\(number)", generator.bytes(20_000)) }
    try scene.write("empty", [])
    try scene.write("inline", [1, 2, 3])
    let first = try scene.backUp().snapshot
    var contents = [try scene.files(below: scene.source)]
    for number in 30..<40 { try scene.write("d/file-\(number)", generator.bytes(20_000)) }
    let second = try scene.backUp(parent: first).snapshot
    contents.append(try scene.files(below: scene.source))
    snapshots = [first, second]
    self.contents = contents
  }

  /// What a damaged object does to one snapshot.
  private struct Effect {
    var messages: [String] = []
    var restoredCount = 0
    var isWhole = false
  }

  /// Restores a snapshot from a damaged repository. Whatever comes back is as it was.
  private func effect(on index: Int) throws -> Effect {
    var effect = Effect()
    let name = "target"
    do {
      let outcome = try scene.restore(snapshots[index], to: name)
      effect.messages = outcome.failures.map(\.message)
    } catch {
      effect.messages = ["\(error)"]
    }
    let target = scene.directory.file(name)
    let restored = try scene.files(below: target)
    for (path, bytes) in restored {
      #expect(bytes == contents[index][path], "\(path) came back changed")
    }
    effect.restoredCount = restored.count
    effect.isWhole = restored == contents[index]
    if !effect.isWhole { #expect(!effect.messages.isEmpty, "lost without a word") }
    try removeTree(target)
    return effect
  }

  /// What opening and checking say.
  private func complaints() -> [String] {
    do {
      let outcome = try scene.check()
      return outcome.problems.map { "\($0.place): \($0.message)" }
    } catch {
      return ["\(error)"]
    }
  }

  private func objects(_ prefix: String) throws -> [String] {
    try scene.storage.list(prefix).map(\.name)
  }

  private static let prefixes = [
    ObjectName.repository, ObjectName.journalPrefix, ObjectName.containerPrefix,
    ObjectName.segmentPrefix,
  ]

  private func names(_ prefix: String) throws -> [String] {
    prefix == ObjectName.repository ? [prefix] : try objects(prefix)
  }

  @Test(arguments: prefixes) func flippedBits(prefix: String) throws {
    var generator = SeededGenerator.printed()
    for name in try names(prefix) {
      let good = try #require(scene.storage.peek(name))
      for round in 0..<6 {
        var bytes = good
        // The head, the tail and anywhere.
        let at =
          round == 0
          ? 9 + Int(generator.next() % 100)
          : round == 1
            ? good.count - 1 - Int(generator.next() % 40)
            : Int(generator.next() % UInt64(good.count))
        bytes[at] ^= 1 << (generator.next() % 8)
        scene.storage.poke(name, bytes)
        let said = complaints()
        #expect(said.contains { $0.contains(name) }, "byte \(at) of \(name): \(said)")
        for index in snapshots.indices { _ = try effect(on: index) }
      }
      scene.storage.poke(name, good)
    }
    #expect(complaints().isEmpty)
  }

  @Test(arguments: prefixes) func cutShort(prefix: String) throws {
    var generator = SeededGenerator.printed()
    for name in try names(prefix) {
      let good = try #require(scene.storage.peek(name))
      let lengths = [0, 1, 127, 128, good.count - 1, Int(generator.next() % UInt64(good.count))]
      for count in lengths where count < good.count {
        scene.storage.poke(name, Array(good[..<count]))
        let said = complaints()
        #expect(said.contains { $0.contains(name) }, "\(count) bytes of \(name): \(said)")
        for index in snapshots.indices { _ = try effect(on: index) }
      }
      scene.storage.poke(name, good)
    }
  }

  @Test(arguments: prefixes) func lost(prefix: String) throws {
    for name in try names(prefix) where name != ObjectName.record(2) {
      let good = try #require(scene.storage.peek(name))
      scene.storage.poke(name, nil)
      let said = complaints()
      #expect(said.contains { $0.contains(name) }, "\(name): \(said)")
      for index in snapshots.indices { _ = try effect(on: index) }
      scene.storage.poke(name, good)
    }
  }

  /// An object that says that it is of the next version is refused, and the message says what to
  /// do.
  @Test(arguments: prefixes) func ofAFutureVersion(prefix: String) throws {
    for name in try names(prefix) {
      let good = try #require(scene.storage.peek(name))
      var bytes = good
      bytes[8] = UInt8(formatVersion) + 1
      mendEnvelope(&bytes)
      scene.storage.poke(name, bytes)
      let said = complaints()
      #expect(
        said.contains {
          $0.contains(name) && $0.contains("format version \(formatVersion + 1)")
            && $0.contains("newer build")
        }, "\(name): \(said)")
      for index in snapshots.indices { _ = try effect(on: index) }
      scene.storage.poke(name, good)
    }
  }

  /// Segments and other snapshots' containers are not needed: a snapshot is whole without them.
  @Test func whatASnapshotDoesNotNeedMayBeLost() throws {
    for name in try objects(ObjectName.segmentPrefix) { scene.storage.poke(name, nil) }
    let journal = try scene.store().loadJournal()
    let needed = journal.containerSet(of: snapshots[0].id)
    for id in journal.containers.keys where !needed.contains(id) {
      scene.storage.poke(ObjectName.container(id), nil)
    }
    #expect(try effect(on: 0).isWhole)
    #expect(try !effect(on: 1).isWhole)
  }

  @Test func aLostDataContainerCostsItsFilesAlone() throws {
    let journal = try scene.store().loadJournal()
    let second = journal.containerSet(of: snapshots[1].id)
      .subtracting(journal.containerSet(of: snapshots[0].id))
      .filter { journal.containers[$0]?.isManifest == false }
    #expect(!second.isEmpty)
    for id in second { scene.storage.poke(ObjectName.container(id), nil) }
    let after = try effect(on: 1)
    #expect(after.restoredCount == contents[0].count, "the first snapshot's files come back")
    #expect(after.messages.count == 10)
    #expect(
      after.messages.allSatisfy { message in
        second.contains { message.contains(ObjectName.container($0)) }
      }, "\(after.messages)")
    // The next backup stores them anew, whatever its parent says.
    let next = try scene.backUp(parent: snapshots[1]) { $0.isFull = true }
    try scene.expectRestored(next.snapshot)
  }

  @Test func oneBlockCostsTheFilesInItAlone() throws {
    let journal = try scene.store().loadJournal()
    let store = try scene.store()
    let data = try journal.containers.values.filter { !$0.isManifest }
      .map { try store.openContainer($0.id) }
    let largest = try #require(data.max { $0.directory.blocks.count < $1.directory.blocks.count })
    let block = try #require(largest.directory.blocks.first)
    let name = ObjectName.container(largest.id)
    var bytes = try #require(scene.storage.peek(name))
    bytes[Int(block.offset) + Int(block.frameByteCount) / 2] ^= 1
    scene.storage.poke(name, bytes)
    let after = try effect(on: 1)
    let lost = contents[1].count - after.restoredCount
    #expect(lost > 0 && lost <= Int(block.chunkCount), "\(lost) files")
    #expect(after.messages.allSatisfy { $0.contains(name) }, "\(after.messages)")
    // The check names each of them.
    let said = complaints()
    #expect(said.count { $0.contains("d/file-") } >= lost, "\(said)")
  }

  /// A parent that cannot be read costs a full reading at most: the backup itself is whole.
  @Test func aDamagedParentManifest() throws {
    let name = ObjectName.container(snapshots[1].root.page.location.container)
    let good = try #require(scene.storage.peek(name))
    scene.storage.poke(name, nil)
    do {
      let next = try scene.backUp(parent: snapshots[1])
      try scene.expectRestored(next.snapshot)
    } catch let error as PipelineError {
      #expect(error.message.contains(name))
    }
    let full = try scene.backUp()
    try scene.expectRestored(full.snapshot)
    scene.storage.poke(name, good)
    #expect(try effect(on: 1).isWhole)
  }

  // MARK: Manifests that lead astray

  @Test(arguments: ["../out", "/out", "a/../../out", "a//b", "./a", "..", "a/", "a/./b"])
  func aPathThatLeavesTheTarget(path: String) throws {
    let repository = try HandMadeRepository()
    let bad = repository.file(path, [.chunk(try repository.chunk([1, 2, 3]))])
    let good = repository.file("z", [.chunk(try repository.chunk([4, 5, 6]))])
    let root = try repository.finish([[repository.directory(""), bad], [good]])
    var messages: [String] = []
    do {
      messages = try repository.restore(root).failures.map(\.message)
    } catch {
      messages = [error.message]
    }
    #expect(messages.contains { $0.contains("would leave the target") }, "\(messages)")
    #expect(repository.read("z") == [4, 5, 6], "the other page's file comes back")
    for place in [repository.directory.file("out"), "/out"] {
      #expect((try? FileCalls.status(at: AT_FDCWD, place, path: place)) == nil)
    }
    let check = try CheckPipeline(
      store: repository.store, readData: true, threads: 1, progress: ProgressCounters(),
      cancellation: Cancellation()
    ).run()
    #expect(check.problems.contains { $0.message.contains("would leave the target") })
  }
}
