import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnStore
import MuninnTestSupport
import Testing

extension SweptOperation {
  /// A repair after each kind of damage.
  static let repairs: [SweptOperation] = [
    // A container without its footer, and no segment.
    repair("repair") { scene in
      let name = try #require(try scene.base.list(ObjectName.containerPrefix).first?.name)
      try scene.damage(name) { $0.removeLast(10) }
      for segment in try scene.base.list(ObjectName.segmentPrefix) {
        scene.base.poke(segment.name, nil)
      }
    },
    repair("repair-block") { scene in
      let container = try scene.largestContainer()
      let block = try #require(container.directory.blocks.first)
      try scene.damage(ObjectName.container(container.id)) { $0[Int(block.offset) + 100] ^= 1 }
      try scene.noteTouched()
    },
    repair("repair-directory") { scene in
      let container = try scene.largestContainer()
      let last = try #require(container.directory.blocks.last)
      try scene.damage(ObjectName.container(container.id)) {
        $0[Int(last.offset) + Int(last.frameByteCount) + 40] ^= 1
      }
    },
    repair("repair-segment") { scene in
      for segment in try scene.base.list(ObjectName.segmentPrefix) {
        try scene.damage(segment.name) { $0[$0.count / 2] ^= 1 }
      }
    },
    // Nothing says any more what the first snapshot was.
    repair("repair-record", mayLoseFirst: true) { scene in
      try scene.damage(ObjectName.record(1)) { $0[$0.count / 2] ^= 1 }
    },
    repair("repair-missing-record", mayLoseFirst: true) { scene in
      scene.base.poke(ObjectName.record(1), nil)
    },
    repair("repair-header") { scene in
      try scene.damage(ObjectName.repository) { $0[200] ^= 1 }
    },
    repair("repair-header-copy") { scene in
      try scene.damage(ObjectName.repositoryCopy) { $0[20] ^= 1 }
    },
    repair("repair-checkpoint") { scene in
      _ = try scene.writeCheckpoint(scene.base)
      for checkpoint in try scene.base.list(ObjectName.checkpointPrefix) {
        try scene.damage(checkpoint.name) { $0[$0.count - 40] ^= 1 }
      }
    },
  ]

  /// Two snapshots, `damage`, and a repair that reads every block.
  private static func repair(
    _ name: String, mayLoseFirst: Bool = false,
    _ damage: @escaping @Sendable (SweepScene) throws -> Void
  ) -> SweptOperation {
    SweptOperation(
      name: name,
      prepare: { scene in
        try scene.commit()
        try scene.write("more", 20_000)
        try scene.commit()
        try damage(scene)
      }, run: { try $0.repair($1) }, mayLoseFirst: mayLoseFirst, startsDamaged: true,
      expect: { scene, storage, end in
        guard end == .clean || end == .again else { return }
        let again = try scene.repairOnce(storage)
        guard again.steps.isEmpty, again.unrepaired.isEmpty else {
          throw SweepScene.Loss(description: "a second repair finds \(again.steps)")
        }
      })
  }
}

extension SweepScene {
  func repair(_ storage: MemoryStorage) throws -> SnapshotRecord? {
    _ = try repairOnce(storage)
    return nil
  }

  fileprivate func repairOnce(_ storage: MemoryStorage) throws -> RepairOutcome {
    var options = RepairOptions(threads: 1)
    options.readData = true
    return try RepairPipeline(
      store: try open(storage), options: options, progress: ProgressCounters(),
      cancellation: Cancellation()
    ).run()
  }

  fileprivate func largestContainer() throws -> OpenContainer {
    let store = try open(base)
    let data = try store.loadJournal().containers.values.filter { !$0.isManifest }
    return try store.openContainer(try #require(data.max { $0.byteCount < $1.byteCount }).id)
  }

  /// Has a check say which paths the damage takes.
  fileprivate func noteTouched() throws {
    let outcome = try CheckPipeline(
      store: try open(base), readData: true, threads: 1, progress: ProgressCounters(),
      cancellation: Cancellation()
    ).run()
    touched = Set(outcome.affected.map { "/" + displayPath($0.path) })
    try #require(!touched.isEmpty)
  }
}
