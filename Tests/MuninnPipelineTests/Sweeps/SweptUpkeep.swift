import Glibc
import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnStore
import MuninnTestSupport
import Testing

extension SweptOperation {
  /// Collection and adoption.
  static let upkeep: [SweptOperation] = [
    // What the forgotten snapshot alone needed goes, with the leftovers of a backup that died.
    SweptOperation(
      name: "prune",
      prepare: { scene in
        try scene.commitTwoApart()
        _ = try scene.forgetFirst(scene.base)
        try scene.write("c/left-over", 50_000)
        try scene.leaveDeadSession()
      },
      run: { try $0.prune($1) }, forgetsFirst: true,
      expect: { scene, storage, end in
        guard end == .clean || end == .again else { return }
        let left = try GarbageCollection.run(
          try scene.open(storage), isDryRun: true, cancellation: Cancellation())
        guard left.condemned.count + left.deleted.count + left.waiting.count == 0 else {
          throw SweepScene.Loss(description: "there is something left to collect: \(left)")
        }
      }),
    // A backup has found what it needs; before it commits, the snapshot that had it is forgotten
    // and its containers are condemned.
    SweptOperation(
      name: "rescue",
      prepare: { scene in
        try scene.commitTwoApart()
        try scene.returnToFirst()
      },
      run: { scene, storage in
        let store = try scene.open(storage)
        store.syncPoints.once(at: .commitPrepared) {
          _ = try? scene.forgetFirst(storage)
          _ = try? scene.prune(storage)
        }
        return try scene.backUp(store, isFull: true)
      }, mayLoseFirst: true,
      expect: { scene, storage, end in
        guard end == .clean else { return }
        let before = try scene.open(scene.base).loadJournal()
        let after = try scene.open(storage).loadJournal()
        guard let first = before.snapshots.first, let last = after.snapshots.last,
          after.snapshots.count == 2, !after.upkeep.condemned.isEmpty,
          !after.containerSet(of: last.id).isDisjoint(with: before.containerSet(of: first.id))
        else { throw SweepScene.Loss(description: "nothing was condemned and rescued") }
      }),
    SweptOperation(
      name: "adoption",
      prepare: { scene in
        try scene.commit()
        try scene.write("c/left-over", 50_000)
        try scene.leaveDeadSession()
      },
      run: { try $0.backUp($1) },
      expect: { scene, storage, end in
        guard end == .clean else { return }
        let journal = try scene.open(storage).loadJournal()
        let left = try scene.base.list(ObjectName.containerPrefix).compactMap {
          ObjectName.id($0.name)
        }
        guard left.allSatisfy({ journal.containers[$0] != nil }), left.count > 2 else {
          throw SweepScene.Loss(description: "what a dead session stored was not adopted")
        }
      }),
  ]
}

extension SweepScene {
  func prune(_ storage: MemoryStorage) throws -> SnapshotRecord? {
    _ = try GarbageCollection.run(
      try open(storage), isDryRun: false, cancellation: Cancellation())
    return nil
  }

  /// Two snapshots that share no container.
  fileprivate func commitTwoApart() throws {
    try write("c/first", 50_000)
    try commit()
    try #require(rename(source, source + "-first") == 0)
    try makeSource(["", "/c"])
    try write("c/second", 40_000)
    try commit()
  }

  fileprivate func returnToFirst() throws {
    try removeTree(source)
    try #require(rename(source + "-first", source) == 0)
  }

  /// Breaks a backup into the base off at its commit, by a process that is over.
  fileprivate func leaveDeadSession() throws {
    let trial = MemoryStorage(copyOf: base)
    _ = try backUp(trial)
    let commit = try #require(
      trial.calls.lastIndex { $0.operation == "putIfAbsent" && $0.name.hasPrefix("journal/") })
    base = MemoryStorage(copyOf: base)
    base.cutPower(at: commit, during: false)
    #expect(throws: (any Error).self) { try self.backUp(self.base) }
    base.crash(.kept, seed: 0)
    let notes = try base.list(ObjectName.sessionPrefix)
    try #require(notes.count == 1)
    for note in notes {
      let lines = String(decoding: base.peek(note.name) ?? [], as: UTF8.self)
        .split(separator: "\n").map { $0.hasPrefix("began ") ? "began 0" : String($0) }
      base.poke(note.name, Array((lines.joined(separator: "\n") + "\n").utf8))
    }
    base = MemoryStorage(copyOf: base)
  }
}
