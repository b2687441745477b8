import MuninnDisk
import MuninnFormat
import MuninnStore
import MuninnTestSupport
import Testing

@testable import MuninnPipeline

/// A repository with a source whose files change, and what prunes do to it.
final class CollectScene {
  let backups: BackupScene
  /// What every snapshot that is not forgotten holds.
  var contents: [Identifier: [String: [UInt8]]] = [:]

  init() throws { backups = try BackupScene() }

  var storage: MemoryStorage { backups.storage }

  /// Backs up on top of the newest snapshot.
  @discardableResult
  func commit() throws -> SnapshotRecord {
    let parent = try backups.store().loadJournal().snapshots.last
    let snapshot = try backups.backUp(parent: parent).snapshot
    contents[snapshot.id] = try backups.files(below: backups.source)
    return snapshot
  }

  func forget(_ snapshot: Identifier) throws {
    let store = try backups.store()
    var state = try store.loadJournal()
    try store.change(&state) { _ in [.forgotten([snapshot])] }
    contents[snapshot] = nil
  }

  @discardableResult
  func prune(
    unused: UnusedLimit = .bytes(0), on store: Store? = nil,
    cancellation: Cancellation = Cancellation(), _ adjust: (inout CollectOptions) -> Void = { _ in }
  ) throws -> CollectOutcome {
    var options = CollectOptions(threads: 2)
    options.maximumUnused = unused
    options.windowByteCount = 1 << 18
    adjust(&options)
    return try PrunePipeline(
      store: try store ?? backups.store(), options: options, progress: ProgressCounters(),
      cancellation: cancellation
    ).run()
  }

  /// Every snapshot restores to what it was made of, check finds nothing, and each has in its own
  /// containers all that it refers to.
  func expectWhole(sourceLocation: SourceLocation = #_sourceLocation) throws {
    let store = try backups.store()
    let journal = try store.loadJournal()
    #expect(
      Set(journal.snapshots.map(\.id)) == Set(contents.keys), sourceLocation: sourceLocation)
    let problems = try backups.check().problems
    #expect(problems.isEmpty, "\(problems)", sourceLocation: sourceLocation)
    for snapshot in journal.snapshots {
      let name = "target-\(snapshot.id)"
      let outcome = try backups.restore(snapshot, to: name)
      #expect(outcome.failures.isEmpty, sourceLocation: sourceLocation)
      let target = backups.directory.file(name)
      let isSame = try backups.files(below: target) == contents[snapshot.id]
      #expect(isSame, sourceLocation: sourceLocation)
      try removeTree(target)
      try expectCovered(snapshot, store, journal, sourceLocation)
    }
  }

  /// The promise that collections rest on: whatever else goes, a snapshot's own set is enough.
  private func expectCovered(
    _ snapshot: SnapshotRecord, _ store: Store, _ journal: JournalState,
    _ sourceLocation: SourceLocation
  ) throws {
    var held: Set<ChunkIdentity> = []
    for id in journal.containerSet(of: snapshot.id) {
      held.formUnion(try store.openContainer(id).directory.identities)
    }
    let missing = Monitor(0)
    let known = held
    var walk = ReferenceWalk(store: store, cancellation: Cancellation()) { reference, _ in
      if !known.contains(reference.identity) { missing.withLock { $0 += 1 } }
      return true
    }
    let isSound = try walk.walk(snapshot)
    #expect(isSound, sourceLocation: sourceLocation)
    #expect(missing.withLock { $0 } == 0, sourceLocation: sourceLocation)
  }

  /// What live containers hold that nobody needs.
  func unused() throws -> UInt64 {
    let store = try backups.store()
    let survey = try UsageSurvey(
      try store.loadJournal(), store: store, cancellation: Cancellation())
    return survey.usage.items.reduce(0) { $0 + $1.unusedByteCount }
  }

  /// What is in the storage is what the journal names, and nobody is registered.
  func expectNoGarbage(sourceLocation: SourceLocation = #_sourceLocation) throws {
    let journal = try backups.store().loadJournal()
    let names = try storage.list(ObjectName.containerPrefix).compactMap { ObjectName.id($0.name) }
    #expect(Set(names) == Set(journal.containers.keys), sourceLocation: sourceLocation)
    let segments = try storage.list(ObjectName.segmentPrefix).compactMap {
      ObjectName.id($0.name)
    }
    #expect(Set(segments) == Set(journal.segments.keys), sourceLocation: sourceLocation)
    #expect(
      try storage.list(ObjectName.sessionPrefix).isEmpty, sourceLocation: sourceLocation)
  }
}
