import MuninnDisk
import MuninnFormat
import MuninnTestSupport
import Testing

@testable import MuninnStore

/// Chunks through blocks and containers and back.
@Suite struct ContainerTests {
  private func roundTrip(
    _ chunks: [[UInt8]], averageChunkSize: UInt32? = nil, level: Int = 1
  ) throws -> (repository: TestRepository, containers: [OpenContainer]) {
    let repository = try TestRepository(averageChunkSize: averageChunkSize)
    let session = try WriteSession(store: repository.store)
    defer { session.end() }
    let writer = session.makeContainerWriter(isManifest: false, level: level)
    let references = try chunks.map { try session.put($0, into: writer).reference }
    try writer.finish()
    _ = try session.commit(
      draft(root: references.first), needed: Set(references.map(\.location.container)))
    let store = try repository.reopened()
    #expect(try store.holds(chunks, at: references))
    // Backwards too: no chunk needs the one before it.
    #expect(try store.holds(chunks.reversed(), at: references.reversed()))
    let journal = try store.loadJournal()
    let containers = try journal.containers.values.map { try store.openContainer($0.id) }
    for container in containers {
      let record = try #require(journal.containers[container.id])
      #expect(record.byteCount == container.byteCount)
      #expect(record.chunkCount == UInt32(container.directory.chunkCount))
      #expect(record.rawByteCount == container.directory.lengths.reduce(0) { $0 + UInt64($1) })
    }
    return (repository, containers)
  }

  @Test(arguments: [1, 3, 12]) func chunksOfManySizes(level: Int) throws {
    var generator = SeededGenerator.printed()
    let chunks = (0..<60).map { number in
      number % 3 == 0
        ? [UInt8](repeating: UInt8(number), count: 1 + Int(generator.next() % 200_000))
        : generator.bytes(1 + Int(generator.next() % 60_000))
    }
    let (_, containers) = try roundTrip(chunks, level: level)
    #expect(containers.count == 1)
    #expect(containers[0].directory.blocks.count > 1)
  }

  @Test func thousandsOfTinyChunks() throws {
    let chunks = (0..<20_000).map { [UInt8($0 & 255), UInt8($0 >> 8), 7] }
    let (_, containers) = try roundTrip(chunks)
    #expect(containers.count == 1)
    #expect(containers[0].directory.chunkCount == 20_000)
  }

  @Test func chunksLargerThanABlock() throws {
    var generator = SeededGenerator.printed()
    let chunks = [3, 1 << 20, 300_000, (1 << 20) - 1, 262_144, 262_145, 1].map {
      generator.bytes($0)
    }
    let (_, containers) = try roundTrip(chunks)
    #expect(containers[0].directory.blocks.count >= 5)
    let largest = try roundTrip(
      [generator.bytes(16 << 20), [1]], averageChunkSize: 4 << 20)
    #expect(largest.containers[0].directory.blocks.count == 2)
  }

  @Test func aFullContainerIsFollowedByAnother() throws {
    var generator = SeededGenerator.printed()
    let chunks = (0..<70).map { _ in generator.bytes(1 << 20) }
    let (repository, containers) = try roundTrip(chunks)
    #expect(containers.count == 3)
    for container in containers {
      #expect(container.byteCount < ContainerWriter.containerByteCount + (3 << 20))
    }
    #expect(try repository.names(ObjectName.containerPrefix).count == 3)
    #expect(try repository.names("").allSatisfy { !$0.hasPrefix(ObjectName.sessionPrefix) })
  }

  @Test func whatIsGivenUpLeavesNothing() throws {
    let repository = try TestRepository()
    let before = try repository.names("")
    let session = try WriteSession(store: repository.store)
    let empty = session.makeContainerWriter(isManifest: false)
    _ = try empty.nextLocation()
    try empty.finish()
    let writer = session.makeContainerWriter(isManifest: true)
    for number in 0..<10 {
      _ = try session.put([UInt8](repeating: UInt8(number), count: 100_000), into: writer)
    }
    writer.discard()
    session.end()
    #expect(try repository.names("") == before)
  }

  /// Every byte of a container is guarded: a chunk comes back as it was, or with an error that
  /// names the container.
  @Test func everyByteIsGuarded() throws {
    var generator = SeededGenerator.printed()
    let repository = try TestRepository()
    let chunks = (0..<4).map { _ in generator.bytes(200) } + [[UInt8](repeating: 1, count: 500)]
    let references = try repository.commit(chunks).references
    let name = ObjectName.container(references[0].location.container)
    let good = try #require(repository.storage.peek(name))
    for offset in good.indices {
      var bytes = good
      bytes[offset] ^= 1 << (generator.next() % 8)
      repository.storage.poke(name, bytes)
      #expect(
        try isNoticed(name, repository, chunks, references), "a flipped bit at \(offset)")
    }
    for count in stride(from: 0, to: good.count, by: 7) {
      repository.storage.poke(name, Array(good[..<count]))
      #expect(try isNoticed(name, repository, chunks, references), "cut short at \(count)")
    }
    repository.storage.poke(name, nil)
    #expect(try isNoticed(name, repository, chunks, references))
    repository.storage.poke(name, good)
    #expect(try repository.reopened().holds(chunks, at: references))
  }

  /// Whether damage is noticed: by an error that names the container when a chunk is read, or, where
  /// all chunks can still be had from its blocks, when the container is opened to be checked.
  private func isNoticed(
    _ name: String, _ repository: TestRepository, _ chunks: [[UInt8]],
    _ references: [ChunkReference]
  ) throws -> Bool {
    let store = try repository.reopened()
    do throws(StoreError) {
      let isSame = try store.holds(chunks, at: references)
      #expect(isSame, "wrong bytes were served")
      _ = try store.openContainer(references[0].location.container)
      return false
    } catch {
      #expect(error.object?.contains(name) == true, "\(error)")
      return true
    }
  }

  @Test func aContainerStandsForNoOther() throws {
    var generator = SeededGenerator.printed()
    let repository = try TestRepository()
    let one = generator.bytes(1000)
    let two = generator.bytes(1000)
    let first = try repository.commit([one]).references[0]
    let second = try repository.commit([two]).references[0]
    let names = [first, second].map { ObjectName.container($0.location.container) }
    repository.storage.poke(names[0], repository.storage.peek(names[1]))
    let store = try repository.reopened()
    do throws(StoreError) {
      _ = try store.holds([one], at: [first])
      Issue.record("the wrong container was read")
    } catch {
      #expect(error.object == names[0])
    }
    do throws(StoreError) {
      _ = try store.openContainer(first.location.container)
      Issue.record("the wrong container was opened")
    } catch {
      #expect(error.message.contains("another's name"))
    }
    let stranger = try TestRepository()
    let theirs = try stranger.commit([one]).references[0]
    repository.storage.poke(
      names[0], stranger.storage.peek(ObjectName.container(theirs.location.container)))
    let again = try repository.reopened()
    do throws(StoreError) {
      _ = try again.openContainer(first.location.container)
      Issue.record("another repository's container was opened")
    } catch {
      #expect(error.message.contains("belongs to repository"))
    }
  }
}
