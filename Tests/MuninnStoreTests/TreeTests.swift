import MuninnDisk
import MuninnFormat
import MuninnTestSupport
import Testing

@testable import MuninnStore

/// Trees of pages against an array of leaves.
@Suite struct TreeTests {
  /// Stores pages and counts those that were not there before.
  private final class Pages {
    let session: WriteSession
    let writer: ContainerWriter
    private(set) var newCount = 0
    private(set) var count = 0

    init(_ repository: TestRepository) throws {
      session = try WriteSession(store: repository.store)
      writer = session.makeContainerWriter(isManifest: true)
    }

    deinit { session.end() }

    func put(_ page: [UInt8]) throws(StoreError) -> ChunkReference {
      let (reference, isNew) = try session.put(page, into: writer)
      count += 1
      if isNew { newCount += 1 }
      return reference
    }

    /// A tree over leaves of these keys; a leaf's content is its key.
    func tree(_ keys: [[UInt8]], firstKeys: Bool = true) throws -> TreeRoot {
      var tree = TreeWriter()
      for key in keys {
        let leaf = PageReference(
          firstKey: firstKeys ? key : [], page: try put(key), entryCount: 1, byteCount: 1)
        try tree.append(leaf) { (page) throws(StoreError) in try self.put(page) }
      }
      return try tree.finish { (page) throws(StoreError) in try self.put(page) }
    }

    func commit(_ root: TreeRoot) throws {
      try writer.finish()
      _ = try session.commit(draft(root: root.page), needed: [])
    }
  }

  private func keys(_ generator: inout SeededGenerator, _ count: Int) -> [[UInt8]] {
    var keys: Set<[UInt8]> = []
    while keys.count < count {
      let depth = 1 + generator.next() % 4
      let path = (0..<depth).map { _ in Array("n\(generator.next() % 50)".utf8) }
      // Long ones now and then, so that pages end by their size too.
      let tail = [UInt8](repeating: 0x7A, count: generator.oneIn(20) ? 3000 : 10)
      keys.insert(Array(path.joined(separator: [0x2F])) + [0x2F] + tail)
    }
    return keys.sorted(by: pathPrecedes)
  }

  private func leaves(_ tree: inout TreeReader, _ reader: ChunkReader) throws -> [[UInt8]] {
    var found: [[UInt8]] = []
    while tree.hasMore, let leaf = try tree.nextLeaf() { found.append(try reader.read(leaf)) }
    return found
  }

  @Test(arguments: [1, 2, 3, 60, 3000], [true, false])
  func comesBackInOrder(count: Int, firstKeys: Bool) throws {
    var generator = SeededGenerator.printed()
    let repository = try TestRepository()
    let keys = keys(&generator, count)
    let pages = try Pages(repository)
    let root = try pages.tree(keys, firstKeys: firstKeys)
    try pages.commit(root)
    let store = try repository.reopened()
    let reader = ChunkReader(store: store)
    var tree = try TreeReader(root, reader: reader)
    #expect(try leaves(&tree, reader) == keys)
    #expect(try tree.nextLeaf() == nil)
    #expect(!tree.hasMore)
    if count == 3000 { #expect(root.level >= 1) }
    var all: [ChunkReference] = []
    try TreeReader.forEachPage(root, reader: reader) { all.append($0) }
    #expect(all.count == pages.count)
    #expect(Set(all).count == all.count)
  }

  @Test func seekFindsTheLeafThatMayHoldAKey() throws {
    var generator = SeededGenerator.printed()
    let repository = try TestRepository()
    let keys = keys(&generator, 3000)
    let pages = try Pages(repository)
    let root = try pages.tree(keys)
    try pages.commit(root)
    let reader = ChunkReader(store: try repository.reopened())
    var sought = (0..<150).map { _ in keys[Int(generator.next() % 3000)] }
    sought += sought.prefix(50).map { Array($0.dropLast()) } + sought.suffix(50).map { $0 + [0] }
    sought += [[], [0], [0xFF], keys[0], keys[2999]]
    for key in sought {
      // The last leaf that begins at or before the key, or the first of all.
      let expected = keys.lastIndex { comparePaths($0, key) <= 0 } ?? 0
      var tree = try TreeReader(root, reader: reader)
      try tree.seek(key)
      #expect(try tree.nextLeaf().map { try reader.read($0) } == keys[expected])
      if expected < 2999 {
        #expect(try tree.nextLeaf().map { try reader.read($0) } == keys[expected + 1])
      }
      // From the middle it never goes back, and leads to the same leaf where that is ahead.
      var later = try TreeReader(root, reader: reader)
      let skipped = Int(generator.next() % 3000)
      for _ in 0..<skipped { _ = try later.nextLeaf() }
      try later.seek(key)
      let next = try later.nextLeaf().map { try reader.read($0) }
      let at = next.map { leaf in keys.firstIndex(of: leaf) ?? -1 } ?? 3000
      #expect(at == max(skipped, expected), "\(skipped), \(at), \(expected)")
    }
  }

  /// A change to one leaf makes that leaf anew and the pages above it, and no others.
  @Test func unchangedRunsShareTheirPages() throws {
    var generator = SeededGenerator.printed()
    let repository = try TestRepository()
    var keys = keys(&generator, 3000)
    let pages = try Pages(repository)
    let root = try pages.tree(keys)
    #expect(pages.newCount == pages.count)
    try pages.commit(root)
    for _ in 0..<5 {
      let at = Int(generator.next() % UInt64(keys.count))
      switch generator.next() % 3 {
      case 0: keys.remove(at: at)
      case 1: keys.insert(keys[at] + [0x21], at: at + 1)
      default: keys[at] += [0x22]
      }
      let changed = try Pages(repository)
      let root = try changed.tree(keys)
      #expect(changed.newCount <= 4 * (Int(root.level) + 1), "\(changed.newCount) new pages")
      try changed.commit(root)
    }
    let same = try Pages(repository)
    _ = try same.tree(keys)
    #expect(same.newCount == 0)
  }

  @Test func aTreeWithoutALeafIsNone() throws {
    var tree = TreeWriter()
    #expect(tree.isEmpty)
    #expect(throws: StoreError.self) {
      try tree.finish { (_) throws(StoreError) in throw StoreError(.inputOutput, "no page") }
    }
  }

  /// A lost upper page ends what is below it, and is named.
  @Test func aLostPageIsNamed() throws {
    var generator = SeededGenerator.printed()
    let repository = try TestRepository()
    let pages = try Pages(repository)
    let root = try pages.tree(keys(&generator, 500))
    try pages.commit(root)
    let name = ObjectName.container(root.page.location.container)
    repository.storage.poke(name, nil)
    do throws(StoreError) {
      _ = try TreeReader(root, reader: ChunkReader(store: repository.store))
      Issue.record("a lost root was read")
    } catch {
      #expect(error.object == name)
    }
    #expect(throws: StoreError.self, "a page of one level stands for no other") {
      let higher = TreeRoot(level: root.level + 1, page: root.page)
      _ = try TreeReader(higher, reader: ChunkReader(store: repository.store))
    }
  }
}
