import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnStore
import MuninnTestSupport
import Testing

/// An operation on a repository that the sweeps break at every call. To have another one tried, add
/// a row to one of the tables.
struct SweptOperation: Sendable, CustomTestStringConvertible {
  let name: String
  /// Makes what is there before; runs once for all cases.
  var prepare: @Sendable (SweepScene) throws -> Void = { _ in }
  /// Runs on a copy of that. Returns the snapshot that it was told is committed.
  let run: @Sendable (SweepScene, MemoryStorage) throws -> SnapshotRecord?
  /// Whether the first snapshot may be gone afterwards.
  var forgetsFirst = false
  /// Whether damage may have taken it.
  var mayLoseFirst = false
  /// Whether there may be no repository afterwards.
  var makesRepository = false
  /// Whether check may complain until the operation is done.
  var startsDamaged = false
  /// What else holds afterwards; throws what does not.
  var expect: @Sendable (SweepScene, MemoryStorage, SweepEnd) throws -> Void = { _, _, _ in }

  var testDescription: String { name }

  static let all =
    backups + partialBackups + repairs + keyChanges + upkeep + rewriting

  private static let backups = [
    SweptOperation(
      name: "init", prepare: { $0.base = MemoryStorage() },
      run: { _, storage in
        _ = try Store.create(in: storage, averageChunkSize: nil, isShared: false)
        return nil
      }, makesRepository: true),
    SweptOperation(name: "first-backup", run: { try $0.backUp($1) }),
    SweptOperation(
      name: "incremental",
      prepare: { scene in
        try scene.commit()
        try scene.write("a/3", 60_000)
        try scene.write("b/new", 90_000)
        try removeTree(scene.source + "/b/2")
      }, run: { try $0.backUp($1) }),
    SweptOperation(
      name: "full-again", prepare: { try $0.commit() },
      run: { try $0.backUp($1, isFull: true) }),
    // Each of the small segments before is taken into the new one.
    SweptOperation(
      name: "merge",
      prepare: { scene in
        try scene.commit()
        for number in 0..<3 {
          try scene.write("more-\(number)", 40_000)
          try scene.commit()
        }
        try scene.write("much", 300_000)
      }, run: { try $0.backUp($1) }),
    SweptOperation(
      name: "checkpoint",
      prepare: { scene in
        try scene.commit()
        _ = try scene.writeCheckpoint(scene.base)
        try scene.write("more", 20_000)
        try scene.commit()
        _ = try scene.writeCheckpoint(scene.base)
      }, run: { try $0.writeCheckpoint($1) }),
    // The backup's own commit makes the checkpoint due.
    SweptOperation(
      name: "due-checkpoint",
      prepare: { scene in
        try scene.commit()
        try scene.commitNothing(62)
        try scene.write("more", 20_000)
      }, run: { try $0.backUp($1) }),
    SweptOperation(
      name: "forget",
      prepare: { scene in
        try scene.commit()
        try scene.write("more", 20_000)
        try scene.commit()
      }, run: { try $0.forgetFirst($1) }, forgetsFirst: true),
  ]
}

extension SweepScene {
  func writeCheckpoint(_ storage: MemoryStorage) throws -> SnapshotRecord? {
    let store = try open(storage)
    var journal = try store.loadJournal()
    try store.relyOn(journal)
    try store.writeCheckpoint(session: randomIdentifier(), state: &journal)
    return nil
  }

  func forgetFirst(_ storage: MemoryStorage) throws -> SnapshotRecord? {
    let first = try #require(committed.first?.snapshot.id)
    try commit([.forgotten([first])], to: storage)
    return nil
  }

  /// So many records that change nothing.
  func commitNothing(_ count: Int) throws {
    for _ in 0..<count { try commit([.forgotten([])], to: base) }
  }

  func commit(_ operations: [JournalOperation], to storage: MemoryStorage) throws {
    let store = try open(storage)
    var journal = try store.loadJournal()
    try store.relyOn(journal)
    try store.commit(session: randomIdentifier(), state: &journal) { _ in operations }
  }
}
