import Glibc
import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnStore
import MuninnTestSupport
import Synchronization
import Testing

/// Backups that do not end, and those that go on from there.
@Suite struct PartialBackupTests {
  private let scene: BackupScene
  private let contents: [String: [UInt8]]

  init() throws {
    var generator = SeededGenerator.printed()
    scene = try BackupScene()
    var contents: [String: [UInt8]] = [:]
    for folder in 0..<4 {
      try scene.makeDirectory("d\(folder)")
      for number in 0..<12 {
        let name = "d\(folder)/f\(number < 10 ? "0" : "")\(number)"
        contents[name] = generator.manyBytes(number == 7 ? 100 : 200_000 + number)
      }
    }
    // Two with trees of extents, that take long enough to be interrupted in.
    contents["d1/large"] = generator.manyBytes(30 << 20)
    contents["d3/z-large"] = generator.manyBytes(20 << 20)
    for (name, bytes) in contents { try scene.write(name, bytes) }
    self.contents = contents
  }

  private var byteCount: UInt64 { contents.values.reduce(0) { $0 + UInt64($1.count) } }

  /// What the repository has, partial ones first.
  private func snapshots() throws -> (partial: [SnapshotRecord], complete: [SnapshotRecord]) {
    let all = try scene.store().loadJournal().snapshots
    return (all.filter(\.isPartial), all.filter { !$0.isPartial })
  }

  /// Trusts what the earlier ones have, whatever the clock's grain.
  private func goOn(
    from earlier: (partial: [SnapshotRecord], complete: [SnapshotRecord]),
    _ adjust: (inout BackupOptions) -> Void = { _ in }
  ) throws -> SnapshotRecord {
    try scene.backUp(parent: earlier.complete.last) {
      $0.partials = earlier.partial.reversed().map { partial in
        var partial = partial
        partial.startedNanoseconds = Machine.nowNanoseconds() + 1_000_000_000
        return partial
      }
      adjust(&$0)
    }.snapshot
  }

  /// Backs up until so many bytes are done, and gives up; returns the partial snapshot.
  private func interrupt(
    at bytes: UInt64, from earlier: (partial: [SnapshotRecord], complete: [SnapshotRecord])
  ) throws -> SnapshotRecord {
    let cancellation = Cancellation()
    let counters = ProgressCounters()
    let isOver = Monitor(false)
    let killer = WorkerThread.start(name: "cancel") {
      while counters.bytes.load(ordering: .relaxed) < bytes, !isOver.withLock({ $0 }) {
        usleep(200)
      }
      cancellation.cancel()
    }
    defer {
      isOver.update { $0 = true }
      killer.join()
    }
    let error = #expect(throws: PipelineError.self) {
      var options = BackupOptions(sources: [Array(scene.source.utf8)], threads: 2)
      options.parent = earlier.complete.last
      options.parent?.startedNanoseconds = Machine.nowNanoseconds() + 1_000_000_000
      options.partials = earlier.partial.reversed().map { partial in
        var partial = partial
        partial.startedNanoseconds = Machine.nowNanoseconds() + 1_000_000_000
        return partial
      }
      options.partialNanoseconds = Int64.max / 4
      // So that there is a middle to be interrupted in.
      options.readRate = 40 << 20
      _ = try BackupPipeline(
        store: try scene.store(), options: options, progress: counters,
        cancellation: cancellation
      ).run { _ in }
    }
    #expect(error?.code == .cancelled)
    let id = try #require(error?.partial)
    #expect(error?.message.contains("partial snapshot \(id.description.prefix(8))") == true)
    return try #require(try scene.store().loadJournal().snapshot(id))
  }

  /// The files of a partial snapshot are all of the source up to some path, and hold what it does.
  @discardableResult
  private func expectBeginning(_ partial: SnapshotRecord) throws -> Set<String> {
    #expect(partial.isPartial)
    let name = "partial-\(partial.id)"
    #expect(try scene.restore(partial, to: name).failures.isEmpty)
    let files = try scene.files(below: scene.directory.file(name))
    let order = contents.keys.sorted { pathPrecedes(Array($0.utf8), Array($1.utf8)) }
    #expect(Set(files.keys) == Set(order.prefix(files.count)))
    for (path, bytes) in files { #expect(bytes == contents[path], "\(path)") }
    let counts = partial.counts
    #expect(counts.files == UInt64(files.count))
    #expect(counts.bytes == files.values.reduce(0) { $0 + UInt64($1.count) })
    #expect(try scene.entries(of: partial).count == Int(counts.entries))
    return Set(files.keys)
  }

  @Test func aCompleteSnapshotTakesThePlaceOfThePartialOnes() throws {
    let counters = ProgressCounters()
    let done = try scene.backUp(progress: counters) { $0.partialNanoseconds = 0 }.snapshot
    #expect(counters.partialSnapshot != nil)
    let found = try snapshots()
    #expect(found.partial.isEmpty && found.complete.map(\.id) == [done.id])
    #expect(try scene.store().loadJournal().head > 4, "one record for each partial snapshot")
    try scene.expectRestored(done)
    #expect(try scene.check().problems.isEmpty)
    #expect(done.counts.bytesRead == byteCount)
    let stored = try scene.storage.list("").filter {
      $0.name.hasPrefix("containers/") || $0.name.hasPrefix("segments/")
    }
    #expect(done.counts.bytesStored >= stored.reduce(0) { $0 + $1.size })
  }

  @Test func anInterruptedBackupGoesOn() throws {
    let nothing = ([SnapshotRecord](), [SnapshotRecord]())
    let partial = try interrupt(at: byteCount / 2, from: nothing)
    let held = try expectBeginning(partial)
    #expect(!held.isEmpty)
    #expect(try scene.check().problems.isEmpty)
    let done = try goOn(from: try snapshots())
    let left = contents.filter { !held.contains($0.key) }.values.reduce(0) { $0 + $1.count }
    #expect(done.counts.bytesRead == UInt64(left), "what the partial one has is not read again")
    #expect(done.isFull && done.parent == nil)
    #expect(try snapshots().partial.isEmpty)
    try scene.expectRestored(done)
    #expect(try scene.check().problems.isEmpty)
  }

  @Test func whatThePartialOneLacksComesFromTheCompleteOneBefore() throws {
    let first = try scene.backUp().snapshot
    var generator = SeededGenerator.printed()
    var changed = contents
    let others = (0..<8).map { "d0/f0\($0)" } + ["d2/f03", "d3/z-large"]
    for name in others {
      changed[name] = generator.manyBytes(name == "d3/z-large" ? 31 << 20 : 250_000)
      try scene.write(name, changed[name] ?? [])
    }
    let before = contents.reduce(0) { $0 + ($1.key == "d3/z-large" ? 0 : $1.value.count) }
    let partial = try interrupt(at: UInt64(before + (8 << 20)), from: ([], [first]))
    #expect(partial.parent == first.id && !partial.isFull)
    let names = Set(try scene.entries(of: partial).keys)
    #expect(names.contains("d0/f01") && !names.contains("d3/z-large"))
    let done = try goOn(from: try snapshots())
    let left = others.filter { !names.contains($0) }
    #expect(done.counts.bytesRead == UInt64(left.reduce(0) { $0 + (changed[$1]?.count ?? 0) }))
    #expect(done.parent == first.id)
    #expect(try snapshots().partial.isEmpty)
    try scene.expectRestored(done)
  }

  /// One that gets less far does not take the place of one that got further; and both are used.
  @Test func aPartialOneIsDroppedBehindItsEndOnly() throws {
    let nothing = ([SnapshotRecord](), [SnapshotRecord]())
    let far = try interrupt(at: 20 << 20, from: nothing)
    for number in 0..<8 {
      let name = "d0/f0\(number)"
      try scene.write(name, (contents[name] ?? []) + [UInt8(number)])
    }
    let new = (contents["d1/large"] ?? []).reversed() + [1, 2, 3]
    try scene.write("d1/a-new", new)
    let near = try interrupt(at: 15 << 20, from: try snapshots())
    #expect(Set(try snapshots().partial.map(\.id)) == [far.id, near.id])
    let further = try interrupt(
      at: byteCount + UInt64(new.count) - (12 << 20), from: ([far], []))
    let left = try snapshots().partial.map(\.id)
    #expect(left.contains(further.id) && !left.contains(far.id))
    #expect(left.contains(near.id), "this backup did not know of it")
    let done = try goOn(from: try snapshots())
    #expect(try snapshots().partial.isEmpty)
    try scene.expectRestored(done)
    #expect(try scene.check().problems.isEmpty)
  }

  /// A file that changed after the partial backup began is read again.
  @Test func timesOfChangeSinceThePartialBackupBeganAreNotTrusted() throws {
    let nothing = ([SnapshotRecord](), [SnapshotRecord]())
    let partial = try interrupt(at: byteCount / 2, from: nothing)
    let held = try expectBeginning(partial)
    let name = try #require(held.first { $0.hasPrefix("d0/") })
    try scene.write(name, Array((contents[name] ?? []).reversed()))
    let done = try scene.backUp { $0.partials = [partial] }.snapshot
    try scene.expectRestored(done)
    #expect(done.counts.bytesRead >= UInt64(contents[name]?.count ?? 0))
  }

  /// Whatever call of the storage fails for want of space: what is left is whole, and the next
  /// backup goes on.
  @Test(arguments: [0.2, 0.4, 0.6, 0.8, 0.95])
  func aFullDiskLeavesWhatFitted(_ share: Double) throws {
    let probe = try BackupScene()
    for folder in 0..<4 { try probe.makeDirectory("d\(folder)") }
    for (name, bytes) in contents { try probe.write(name, bytes) }
    _ = try probe.backUp { $0.partialNanoseconds = Int64.max / 4 }
    let appends = probe.storage.calls.indices.filter {
      probe.storage.calls[$0].operation == "append"
    }
    let call = appends[Int(Double(appends.count) * share)]
    scene.storage.failCall(call, errno: ENOSPC, effect: .part)
    var left: Identifier?
    do {
      _ = try scene.backUp { $0.partialNanoseconds = Int64.max / 4 }
    } catch let error as PipelineError {
      #expect(error.store?.code == .noSpace)
      left = error.partial
    }
    scene.storage.clearFaults()
    let found = try snapshots()
    #expect(found.partial.map(\.id) == (left.map { [$0] } ?? []))
    for partial in found.partial { try expectBeginning(partial) }
    #expect(try scene.check().problems.isEmpty)
    let done = try goOn(from: found)
    #expect(try snapshots().partial.isEmpty)
    try scene.expectRestored(done)
  }
}
