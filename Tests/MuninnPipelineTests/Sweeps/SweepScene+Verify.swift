import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnStore
import MuninnTestSupport

/// How a run of a swept operation ended.
enum SweepEnd {
  /// Without any fault.
  case clean
  /// Without any fault, after one that was broken.
  case again
  /// It said that it was done, whatever happened.
  case done
  case failed
}

// What holds of a repository after anything that may happen to it.
extension SweepScene {
  /// Every snapshot that must be there is, and each that is there restores to what it was made of.
  func verify(
    _ storage: MemoryStorage, after operation: SweptOperation, reported: SnapshotRecord?,
    end: SweepEnd
  ) throws {
    let store: Store
    do throws(StoreError) { store = try open(storage) } catch {
      if operation.makesRepository, end == .failed, error.code == .notARepository { return }
      throw error
    }
    let journal = try store.loadJournal()
    let mayBeDamaged = operation.startsDamaged && end == .failed
    guard journal.problems.isEmpty || mayBeDamaged else {
      throw Loss(description: "\(journal.problems)")
    }
    try expectSnapshots(journal, operation, reported, end)
    let outcome = try CheckPipeline(
      store: store, readData: true, threads: 1, progress: ProgressCounters(),
      cancellation: Cancellation()
    ).run()
    // A deletion is not durable by itself: what was moved aside may be back under its own name.
    let problems = outcome.problems.filter { problem in
      end != .done || !(storage.peek(problem.place).map(evidence.contains) ?? false)
    }
    guard problems.isEmpty || mayBeDamaged else {
      throw Loss(description: "check: \(problems)")
    }
    for snapshot in journal.snapshots { try expectRestored(snapshot, journal, store) }
    try expectEvidence(storage)
    try operation.expect(self, storage, end)
  }

  private func expectSnapshots(
    _ journal: JournalState, _ operation: SweptOperation, _ reported: SnapshotRecord?,
    _ end: SweepEnd
  ) throws {
    let found = Set(journal.snapshots.map { origin(of: $0, journal) })
    var required = Set(committed.map(\.snapshot.id))
    if operation.forgetsFirst || operation.mayLoseFirst, let first = committed.first?.snapshot.id {
      required.remove(first)
      if operation.forgetsFirst, end != .failed, found.contains(first) {
        throw Loss(description: "\(first) is still there")
      }
    }
    if let reported { required.insert(reported.id) }
    if end != .failed, let partial = journal.snapshots.first(where: \.isPartial) {
      throw Loss(description: "partial snapshot \(partial.id) is still there")
    }
    if let lost = required.subtracting(found).first {
      throw Loss(description: "snapshot \(lost) was committed and is not there")
    }
  }

  /// The snapshot that this one stands for after repairs.
  private func origin(of snapshot: SnapshotRecord, _ journal: JournalState) -> Identifier {
    var id = snapshot.id
    var repairs = snapshot.repairs
    while let next = repairs {
      id = next
      repairs = journal.snapshot(next)?.repairs
    }
    return id
  }

  private func expectRestored(
    _ snapshot: SnapshotRecord, _ journal: JournalState, _ store: Store
  ) throws {
    let id = origin(of: snapshot, journal)
    // One whose answer was lost, or the reported one, is of the source as it is.
    let expected = committed.first { $0.snapshot.id == id }?.tree ?? tree
    let (found, failed) = try restored(snapshot, store)
    if snapshot.isPartial {
      guard failed.isEmpty, isBeginning(found) else {
        throw Loss(description: "partial snapshot \(id) is no beginning of the source")
      }
      return
    }
    if let path = failed.subtracting(touched).first {
      throw Loss(description: "snapshot \(snapshot.id): \(path) is not restored")
    }
    for (path, bytes) in expected where found[path] != bytes {
      // What could not be read is not there, or has zeros in place of it.
      let isPartial = found[path].map { partial in
        partial.count == bytes.count && zip(partial, bytes).allSatisfy { $0 == $1 || $0 == 0 }
      }
      guard failed.contains(path), isPartial ?? true else {
        throw Loss(description: "snapshot \(snapshot.id): \(path) restores to something else")
      }
    }
    if let stranger = found.keys.first(where: { expected[$0] == nil }) {
      throw Loss(description: "snapshot \(snapshot.id) restores \(stranger), which it never had")
    }
  }

  /// What was found damaged lies under its own name or where repair keeps it.
  private func expectEvidence(_ storage: MemoryStorage) throws {
    guard !evidence.isEmpty else { return }
    let objects = Set(try storage.list("").compactMap { storage.peek($0.name) })
    guard objects.isSuperset(of: evidence) else {
      throw Loss(description: "the bytes of a damaged object are gone")
    }
  }
}
