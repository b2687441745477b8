import Glibc
import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnTestSupport
import Testing

/// The catalogue of identities: what is written is found, and nothing else ever is.
@Suite struct RestoreIdentityTests {
  private let directory: TemporaryDirectory
  private let snapshot = Identifier(high: 1, low: 2)

  init() throws { directory = try TemporaryDirectory() }

  private var path: String { directory.file("identities") }

  private func identities(_ generator: inout SeededGenerator, _ count: Int) -> [RestoredIdentity] {
    var ordinal: UInt64 = 0
    return (0..<count).map { _ in
      ordinal += 1 + generator.next() % 5
      return RestoredIdentity(
        ordinal: ordinal, inode: generator.next() >> (generator.next() % 64),
        changedNanoseconds: Int64(bitPattern: generator.next()) >> 8)
    }
  }

  private func write(_ identities: [RestoredIdentity], late: [RestoredIdentity] = []) throws {
    let writer = try IdentityCatalogue.Writer(
      path: path, snapshot: snapshot, target: Array("/somewhere".utf8))
    try writer.append(identities)
    try writer.finish(adding: late)
  }

  private func read(upTo end: UInt64) throws -> [RestoredIdentity] {
    var reader = try IdentityCatalogue.Reader(path: path, snapshot: snapshot)
    var found: [RestoredIdentity] = []
    for ordinal in 0...end {
      guard let one = reader.identity(at: ordinal) else { continue }
      found.append(
        RestoredIdentity(
          ordinal: ordinal, inode: one.inode, changedNanoseconds: one.changedNanoseconds))
    }
    return found
  }

  @Test(arguments: [0, 1, 4096, 4097, 20_000])
  func whatIsWrittenIsFound(count: Int) throws {
    var generator = SeededGenerator.printed()
    let all = identities(&generator, count)
    try write(all)
    #expect(try read(upTo: (all.last?.ordinal ?? 0) + 3) == all)
    let reader = try IdentityCatalogue.Reader(path: path, snapshot: snapshot)
    #expect(reader.count == UInt64(count))
    #expect(reader.target == Array("/somewhere".utf8))
    #expect(all.allSatisfy { $0.changedNanoseconds < reader.writtenNanoseconds })
  }

  @Test func whatComesLateIsPutInItsPlace() throws {
    var generator = SeededGenerator.printed()
    let all = identities(&generator, 10_000)
    let late = Set(all.indices.filter { _ in generator.oneIn(7) })
    try write(
      all.indices.filter { !late.contains($0) }.map { all[$0] }, late: late.sorted().map { all[$0] }
    )
    #expect(try read(upTo: (all.last?.ordinal ?? 0) + 3) == all)
  }

  @Test func anotherSnapshotsCatalogueIsRefused() throws {
    try write([RestoredIdentity(ordinal: 1, inode: 2, changedNanoseconds: 3)])
    let origin = try IdentityCatalogue.origin(path: path)
    #expect(origin.snapshot == snapshot)
    #expect(throws: DiskError.self) {
      try IdentityCatalogue.Reader(path: path, snapshot: Identifier(high: 1, low: 3))
    }
  }

  @Test func aDamagedByteGivesNoWrongAnswer() throws {
    var generator = SeededGenerator.printed()
    let all = identities(&generator, 50)
    try write(all)
    let good = try readFile(path)
    for index in good.indices {
      var bytes = good
      bytes[index] ^= UInt8(1 << (index % 8))
      try writeFile(path, bytes)
      guard let found = try? read(upTo: (all.last?.ordinal ?? 0) + 3) else { continue }
      #expect(found.allSatisfy { all.contains($0) }, "byte \(index)")
    }
    for count in stride(from: 0, to: good.count, by: 7) {
      try writeFile(path, Array(good[..<count]))
      guard let found = try? read(upTo: (all.last?.ordinal ?? 0) + 3) else { continue }
      #expect(found.allSatisfy { all.contains($0) }, "\(count) bytes")
    }
  }

  @Test func anUnfinishedCatalogueLeavesNothing() throws {
    do {
      let writer = try IdentityCatalogue.Writer(path: path, snapshot: snapshot, target: [])
      try writer.append([RestoredIdentity(ordinal: 1, inode: 2, changedNanoseconds: 3)])
    }
    #expect(try describeTree(directory.path).count == 1)
  }
}
