import Glibc
import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnStore
import MuninnTestSupport
import Synchronization
import Testing

/// Restores that are interrupted and go on.
@Suite struct RestoreJournalTests {
  private let repository: HandMadeRepository
  private let snapshot = Identifier(high: 7, low: 9)
  private var state: String { repository.directory.file("state") }

  init() throws { repository = try HandMadeRepository() }

  private func journal(_ snapshot: Identifier? = nil) throws(PipelineError) -> RestoreJournal {
    try RestoreJournal(
      directory: state, repository: repository.store.header.repository,
      snapshot: snapshot ?? self.snapshot, target: Array(repository.target.utf8))
  }

  private func find() throws(PipelineError) -> RestoreJournal.Attempt? {
    try RestoreJournal.find(directory: state, target: Array(repository.target.utf8))
  }

  private func manyFiles(_ generator: inout SeededGenerator) throws -> TreeRoot {
    var entries = [repository.directory("")]
    for directory in 10..<20 {
      entries.append(repository.directory("d\(directory)", mode: 0o555))
      for file in 100..<140 {
        let bytes = generator.bytes(Int(generator.next() % 20_000) + 1)
        var entry = repository.file("d\(directory)/f\(file)", [.chunk(try repository.chunk(bytes))])
        entry.modifiedNanoseconds = Int64(generator.next() % 1_000_000_000_000_000_000)
        entries.append(entry)
      }
    }
    let chunks: [Extent] = try (0..<300).map { number in
      number % 5 == 0 ? .hole(70_000) : .chunk(try repository.chunk(generator.bytes(30_000)))
    }
    entries.append(try repository.longFile("long", chunks, perPage: 20))
    var first = repository.file("n1", [chunks[1]])
    first.hardLink = .first
    var later = first
    later.path = Array("n2".utf8)
    later.hardLink = .later(Array("n1".utf8))
    return try repository.finish([entries + [first, later, repository.symlink("s", to: "n1")]])
  }

  /// Stops after each of many numbers of entries, and goes on until the restore is done.
  @Test(arguments: [false, true])
  func aRestoreThatIsStoppedAgainAndAgainEndsAsIfItHadNotBeen(_ defragments: Bool) throws {
    var generator = SeededGenerator.printed()
    let root = try manyFiles(&generator)
    let reference = repository.directory.file("reference")
    #expect(try repository.restore(root, to: reference).failureCount == 0)
    var attempts = 0
    var written: UInt64 = 0
    while true {
      attempts += 1
      try #require(attempts < 100)
      let journal = try journal()
      #expect(journal.isResuming == (attempts > 1))
      // What an earlier attempt completed counts again: each one gets further than the one before.
      let left = Mutex(Int(generator.next() % 40) + 30 * attempts)
      let cancellation = Cancellation()
      do throws(PipelineError) {
        let outcome = try repository.restore(
          root, cancellation: cancellation
        ) {
          $0.journal = journal
          $0.defragment = defragments
        } onRestored: { _, _ in
          let isOver = left.withLock { left in
            left -= 1
            return left <= 0
          }
          if isOver { cancellation.cancel() }
        }
        #expect(outcome.failureCount == 0)
        #expect(outcome.isResumed == (attempts > 1))
        written = outcome.bytesWritten
        break
      } catch {
        #expect(error.code == .cancelled)
        #expect(try find()?.number == UInt32(attempts))
      }
    }
    #expect(attempts > 2)
    #expect(written < 20_000_000)
    #expect(try find() == nil)
    let (left, right) = (try describeTree(reference), try describeTree(repository.target))
    for path in Set(left.keys).union(right.keys).sorted() where left[path] != right[path] {
      Issue.record("\(path): \(left[path] ?? "absent") became \(right[path] ?? "absent")")
    }
  }

  @Test func whatIsCompleteIsNotWrittenAgain() throws {
    var generator = SeededGenerator.printed()
    let root = try manyFiles(&generator)
    #expect(try repository.restore(root).failureCount == 0)
    // As if it had been interrupted at the very end: everything is there, and the journal too.
    do {
      let other = try journal()
      try other.begin(inode: try inode(), targetWasAbsent: true, targetWasEmpty: true)
    }
    let outcome = try repository.restore(root) { $0.journal = try? journal() }
    #expect(outcome.failureCount == 0)
    #expect(outcome.isResumed)
    #expect(outcome.bytesWritten == 0 && outcome.bytesRewritten == 0)
    #expect(outcome.containersRead == 0)
  }

  private func inode() throws -> UInt64 {
    try FileCalls.status(at: AT_FDCWD, repository.target, path: "").inode
  }

  @Test func anUnfinishedRestoreOfAnotherSnapshotIsNamed() throws {
    try FileCalls.makeDirectory(at: AT_FDCWD, repository.target, mode: 0o700, path: "")
    try writeFile(repository.target + "/f", [1])
    do {
      let one = try journal()
      try one.begin(inode: try inode(), targetWasAbsent: false, targetWasEmpty: true)
      let busy = #expect(throws: PipelineError.self) { try journal() }
      #expect(busy?.code == .busy)
    }
    let error = #expect(throws: PipelineError.self) { try journal(Identifier(high: 1, low: 2)) }
    #expect(error?.code == .invalidInput)
    #expect(error?.message.contains(snapshot.description.prefix(8)) == true)
    // A target that was emptied by hand holds nothing unfinished.
    try removeTree(repository.target)
    #expect(try journal(Identifier(high: 1, low: 2)).isResuming == false)
  }

  @Test func cleaningRemovesWhatWasWritten() throws {
    var generator = SeededGenerator.printed()
    let root = try manyFiles(&generator)
    let cancellation = Cancellation()
    do {
      let journal = try journal()
      #expect(throws: PipelineError.self) {
        try repository.restore(root, cancellation: cancellation) {
          $0.journal = journal
        } onRestored: { _, _ in
          cancellation.cancel()
        }
      }
    }
    #expect(try find()?.targetWasEmpty == true)
    let target = Array(repository.target.utf8)
    let count = try RestoreJournal.clean(
      directory: state, target: target, cancellation: Cancellation())
    #expect(count > 0)
    #expect(!repository.exists(""))
    #expect(try find() == nil)
    let error = #expect(throws: PipelineError.self) {
      try RestoreJournal.clean(directory: state, target: target, cancellation: Cancellation())
    }
    #expect(error?.code == .notFound)
  }

  @Test func aTreeThatWasThereIsNotCleanedAway() throws {
    try FileCalls.makeDirectory(at: AT_FDCWD, repository.target, mode: 0o700, path: "")
    try writeFile(repository.target + "/mine", [1])
    do {
      let one = try journal()
      try one.begin(inode: try inode(), targetWasAbsent: false, targetWasEmpty: false)
    }
    let error = #expect(throws: PipelineError.self) {
      try RestoreJournal.clean(
        directory: state, target: Array(repository.target.utf8), cancellation: Cancellation())
    }
    #expect(error?.code == .invalidInput)
    #expect(repository.read("mine") == [1])
    #expect(try find() == nil)
  }

  @Test func aDamagedJournalIsNone() throws {
    try FileCalls.makeDirectory(at: AT_FDCWD, repository.target, mode: 0o700, path: "")
    try writeFile(repository.target + "/f", [1])
    let path: String
    do {
      let one = try journal()
      try one.begin(inode: try inode(), targetWasAbsent: false, targetWasEmpty: true)
      path = one.path
    }
    let good = try readFile(path)
    for count in 0..<good.count {
      try writeFile(path, Array(good[..<count]))
      #expect(try find() == nil)
    }
    for index in good.indices {
      var bytes = good
      bytes[index] ^= 0x20
      try writeFile(path, bytes)
      #expect(try find() == nil, "byte \(index)")
    }
    // A torn second record leaves the first one.
    try writeFile(path, good + good.dropLast())
    #expect(try find() != nil)
  }
}
