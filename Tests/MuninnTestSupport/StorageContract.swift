import Glibc
package import MuninnDisk

/// A promise of `Storage` that was not kept.
package struct ContractViolation: Error, CustomStringConvertible {
  package let description: String
}

/// Runs everything that every implementation of `Storage` must do, each part on a new one.
package func storageContract(make: () throws -> any Storage) throws {
  for part in StorageContract.allCases { try part.check(make: make) }
}

/// The parts of the contract, so that a test shows which of them broke.
package enum StorageContract: String, CaseIterable, Sendable {
  case putAndRead, rangedReads, limits, replaces, writers, unfinishedWriters, lists, deletes
  case refusesNames, absent, racesHaveOneWinner, manyThreads

  /// Checks one part on a storage that `make` hands out empty. Throws `ContractViolation`.
  package func check(make: () throws -> any Storage) throws {
    let storage = try make()
    switch self {
    case .putAndRead: try checkPutAndRead(storage)
    case .rangedReads: try checkRangedReads(storage)
    case .limits: try checkLimits(storage)
    case .replaces: try checkReplaces(storage)
    case .writers: try checkWriters(storage)
    case .unfinishedWriters: try checkUnfinishedWriters(storage)
    case .lists: try checkLists(storage)
    case .deletes: try checkDeletes(storage)
    case .refusesNames: try checkRefusesNames(storage)
    case .absent: try checkAbsent(storage)
    case .racesHaveOneWinner: try checkRaces(storage)
    case .manyThreads: try checkManyThreads(storage)
    }
  }
}

private func require(
  _ condition: Bool, _ text: @autoclosure () -> String, line: UInt = #line
) throws {
  if !condition { throw ContractViolation(description: "line \(line): \(text())") }
}

/// Requires that `body` throws that errno.
private func require(
  errno expected: CInt, _ text: String, line: UInt = #line, _ body: () throws -> Void
) throws {
  do {
    try body()
  } catch let error as DiskError {
    try require(error.errno == expected, "\(text): \(error)", line: line)
    return
  }
  throw ContractViolation(description: "line \(line): \(text): nothing was thrown")
}

private func checkPutAndRead(_ storage: any Storage) throws {
  var generator = SeededGenerator(seed: 1)
  for size in [0, 1, 4095, 4096, 4097, 100_000, 3 << 20] {
    let name = "journal/\(size)"
    let bytes = generator.bytes(size)
    try require(try storage.putIfAbsent(name, bytes), "\(name) was absent")
    try require(try storage.putIfAbsent(name, [1]) == false, "\(name) was there")
    try require(try storage.read(name, maximumByteCount: size) == bytes, "\(name) reads back")
    try require(try storage.size(of: name) == UInt64(size), "\(name) has its size")
    try storage.makeDurable(name)
  }
  try storage.makeNamesDurable()
  try require(try storage.freeByteCount() ?? 1 > 0, "there is room")
  try require(!storage.location.isEmpty, "it says where it is")
}

private func checkRangedReads(_ storage: any Storage) throws {
  var generator = SeededGenerator(seed: 2)
  let bytes = generator.bytes(20_000)
  _ = try storage.putIfAbsent("containers/a3/x", bytes)
  let buffer = Buffer(capacity: 8192)
  for (offset, count) in [(0, 10), (0, 8192), (19_000, 8192), (19_999, 1), (20_000, 5), (7, 0)] {
    let part = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<count])
    let got = try storage.read("containers/a3/x", at: UInt64(offset), into: part)
    let expected = bytes[offset...].prefix(count)
    try require(got == expected.count, "count at \(offset)")
    try require(part.prefix(got).elementsEqual(expected), "bytes at \(offset)")
    part.initializeMemory(as: UInt8.self, repeating: 0)
    let once = try storage.readOnce("containers/a3/x", at: UInt64(offset), into: part)
    try require(once == got, "count at \(offset), read once")
    try require(part.prefix(got).elementsEqual(expected), "bytes at \(offset), read once")
  }
  let beyond = try storage.read("containers/a3/x", at: 1 << 40, into: buffer.bytes)
  try require(beyond == 0, "nothing lies beyond the end")
}

private func checkLimits(_ storage: any Storage) throws {
  _ = try storage.putIfAbsent("a", [1, 2, 3])
  try require(
    try storage.read("a", maximumByteCount: 3) == [1, 2, 3], "the limit itself is allowed")
  try require(errno: EFBIG, "a larger object") {
    _ = try storage.read("a", maximumByteCount: 2)
  }
}

private func checkReplaces(_ storage: any Storage) throws {
  try storage.put("sessions/1", [1])
  try require(try storage.read("sessions/1", maximumByteCount: 9) == [1], "put creates")
  let buffer = Buffer(capacity: 8)
  _ = try storage.read("sessions/1", at: 0, into: buffer.bytes)
  try storage.put("sessions/1", [2, 3])
  try require(try storage.read("sessions/1", maximumByteCount: 9) == [2, 3], "put replaces")
  let count = try storage.read("sessions/1", at: 0, into: buffer.bytes)
  try require(count == 2 && buffer.bytes[0] == 2, "ranged reads see the new content")
  try require(try storage.list("").map(\.name) == ["sessions/1"], "and nothing else is there")
}

private func checkWriters(_ storage: any Storage) throws {
  var generator = SeededGenerator(seed: 3)
  let pieces = [0, 1, 4096, 100, 3 << 20, 1 << 20, 700_000, (1 << 20) - 1, 5].map {
    generator.bytes($0)
  }
  let name = "containers/00/0123456789abcdef"
  let writer = try storage.create(name, expectedByteCount: 6 << 20)
  var expected: [UInt8] = []
  for piece in pieces {
    try piece.withUnsafeBytes { try writer.append($0) }
    expected += piece
    try require(writer.byteCount == UInt64(expected.count), "byteCount counts")
  }
  try require(try storage.list("containers").isEmpty, "no name before finish")
  try writer.finish()
  writer.discard()
  try storage.makeNamesDurable()
  try require(
    try storage.read(name, maximumByteCount: 1 << 30) == expected, "what was written reads back")
  try require(errno: EBADF, "append after finish") {
    try [UInt8](repeating: 0, count: 9).withUnsafeBytes { try writer.append($0) }
  }
  try require(errno: EEXIST, "the name is taken") {
    try storage.create(name, expectedByteCount: 1).finish()
  }
  let empty = try storage.create("containers/00/empty", expectedByteCount: 0)
  try empty.finish()
  try require(try storage.size(of: "containers/00/empty") == 0, "an empty object")
}

private func checkUnfinishedWriters(_ storage: any Storage) throws {
  let discarded = try storage.create("containers/01/a", expectedByteCount: 0)
  try [UInt8](repeating: 7, count: 2 << 20).withUnsafeBytes { try discarded.append($0) }
  discarded.discard()
  try require(errno: EBADF, "finish after discard") { try discarded.finish() }
  do {
    let dropped = try storage.create("containers/01/b", expectedByteCount: 1 << 20)
    try [UInt8](repeating: 7, count: 100).withUnsafeBytes { try dropped.append($0) }
  }
  let first = try storage.create("containers/01/c", expectedByteCount: 0)
  let second = try storage.create("containers/01/c", expectedByteCount: 0)
  try first.finish()
  try require(errno: EEXIST, "the second of two writers of one name") { try second.finish() }
  second.discard()
  try require(
    try storage.list("").map(\.name) == ["containers/01/c"], "only what finished is there")
}

private func checkLists(_ storage: any Storage) throws {
  let names = [
    "a", "journal/0000000000000002", "journal/0000000000000001", "journal-x/1", "journal/deep/er/1",
    "B", "0", "containers/a3/2", "containers/a2/9", "x.y_z-1",
  ]
  for (index, name) in names.enumerated() {
    _ = try storage.putIfAbsent(name, [UInt8](repeating: 1, count: index))
  }
  try require(try storage.list("").map(\.name) == names.sorted(), "all, sorted")
  let expected = [
    "journal/0000000000000001", "journal/0000000000000002", "journal/deep/er/1",
  ]
  for prefix in ["journal", "journal/"] {
    let listed = try storage.list(prefix)
    try require(listed.map(\.name) == expected, "below \(prefix): \(listed.map(\.name))")
    try require(listed.map(\.size) == [2, 1, 4], "with sizes")
  }
  try require(try storage.list("absent/").isEmpty, "an absent prefix is empty")
  try require(try storage.list("a").isEmpty, "an object is no prefix")
}

private func checkDeletes(_ storage: any Storage) throws {
  _ = try storage.putIfAbsent("locks/a", [1])
  let buffer = Buffer(capacity: 8)
  _ = try storage.read("locks/a", at: 0, into: buffer.bytes)
  try storage.delete("locks/a")
  try storage.delete("locks/a")
  try storage.delete("never/was")
  try require(try storage.list("locks").isEmpty, "it is gone")
  try require(errno: ENOENT, "ranged read of a deleted object") {
    _ = try storage.read("locks/a", at: 0, into: buffer.bytes)
  }
  try require(try storage.putIfAbsent("locks/a", [2]), "the name is free")
  try require(try storage.read("locks/a", maximumByteCount: 1) == [2], "with new content")
}

private func checkRefusesNames(_ storage: any Storage) throws {
  let names = [
    "", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/..", "a/./b", "a b", "a\u{0}b",
    "ä", "a\\b", "tmp", "tmp/a", "a\nb", String(repeating: "x", count: 256),
    String(repeating: "x/", count: 600) + "x",
  ]
  let buffer = Buffer(capacity: 8)
  for name in names {
    let text = "name \(name.debugDescription)"
    try require(errno: EINVAL, text) { _ = try storage.read(name, maximumByteCount: 1) }
    try require(errno: EINVAL, text) { _ = try storage.read(name, at: 0, into: buffer.bytes) }
    try require(errno: EINVAL, text) { _ = try storage.size(of: name) }
    try require(errno: EINVAL, text) { _ = try storage.putIfAbsent(name, []) }
    try require(errno: EINVAL, text) { try storage.put(name, []) }
    try require(errno: EINVAL, text) { _ = try storage.create(name, expectedByteCount: 0) }
    try require(errno: EINVAL, text) { try storage.delete(name) }
    try require(errno: EINVAL, text) { try storage.makeDurable(name) }
  }
  for prefix in ["..", "/", "a/..", "/etc", "tmp"] {
    try require(errno: EINVAL, "prefix \(prefix)") { _ = try storage.list(prefix) }
  }
  for name in ["...", "a..b/..c", ".hidden", "tmpx", "a/tmp/b", String(repeating: "x", count: 255)]
  {
    try require(try storage.putIfAbsent(name, [1]), "name \(name) is allowed")
  }
}

private func checkAbsent(_ storage: any Storage) throws {
  _ = try storage.putIfAbsent("directory/object", [1])
  let buffer = Buffer(capacity: 8)
  for name in ["absent", "no/such", "directory", "directory/object/below"] {
    try require(errno: ENOENT, name) { _ = try storage.read(name, maximumByteCount: 1) }
    try require(errno: ENOENT, name) { _ = try storage.read(name, at: 0, into: buffer.bytes) }
    try require(errno: ENOENT, name) { _ = try storage.size(of: name) }
    try require(errno: ENOENT, name) { try storage.makeDurable(name) }
  }
  try storage.delete("directory")
  try storage.delete("directory/object/below")
  try require(try storage.size(of: "directory/object") == 1, "nothing was harmed")
}

private func checkRaces(_ storage: any Storage) throws {
  let threadCount = 8
  let numbers = 0..<20
  let outcome = Monitor((winners: [Int: [Int]](), failures: [String]()))
  WorkerThreads.run(count: threadCount, name: "race") { thread in
    for number in numbers {
      let bytes = [UInt8](repeating: UInt8(thread), count: 1000 + number)
      do throws(DiskError) {
        let isMine = try storage.putIfAbsent("journal/\(number)", bytes)
        outcome.withLock { if isMine { $0.winners[number, default: []].append(thread) } }
        let found = try storage.read("journal/\(number)", maximumByteCount: 1 << 20)
        let isWhole = found.count == 1000 + number && found.allSatisfy { $0 == found[0] }
        if !isWhole { outcome.withLock { $0.failures.append("torn \(number)") } }
      } catch {
        let text = error.description
        outcome.withLock { $0.failures.append(text) }
      }
    }
  }
  let (winners, failures) = outcome.withLock { ($0.winners, $0.failures) }
  try require(failures.isEmpty, "\(failures)")
  for number in numbers {
    try require(winners[number]?.count == 1, "winners of \(number): \(winners[number] ?? [])")
    let thread = UInt8(winners[number]?.first ?? 0)
    let bytes = try storage.read("journal/\(number)", maximumByteCount: 1 << 20)
    try require(bytes.first == thread, "the winner's bytes are there")
  }
}

private func checkManyThreads(_ storage: any Storage) throws {
  let failures = Monitor([String]())
  WorkerThreads.run(count: 4, name: "mixed") { thread in
    do throws(DiskError) {
      for round in 0..<30 {
        let name = "containers/\(round % 5)/\(thread)-\(round)"
        let writer = try storage.create(name, expectedByteCount: 100)
        let bytes = [UInt8](repeating: UInt8(round), count: 100)
        try append(bytes, to: writer)
        try writer.finish()
        try storage.makeNamesDurable()
        let buffer = Buffer(capacity: 200)
        let count = try storage.read(name, at: 50, into: buffer.bytes)
        if count != 50 { failures.withLock { $0.append("\(name) has \(count) bytes") } }
        try storage.put("sessions/\(thread)", bytes)
        _ = try storage.list("containers")
        if round % 3 == 0 { try storage.delete(name) }
      }
    } catch {
      let text = error.description
      failures.withLock { $0.append(text) }
    }
  }
  let found = failures.withLock { $0 }
  try require(found.isEmpty, "\(found)")
  try require(try storage.list("containers").count == 4 * 20, "all that was kept is there")
}

/// `withUnsafeBytes` does not carry typed errors of its closure.
private func append(_ bytes: [UInt8], to writer: any ObjectWriter) throws(DiskError) {
  var failure: DiskError?
  bytes.withUnsafeBytes { bytes in
    do throws(DiskError) {
      try writer.append(bytes)
    } catch {
      failure = error
    }
  }
  if let failure { throw failure }
}
