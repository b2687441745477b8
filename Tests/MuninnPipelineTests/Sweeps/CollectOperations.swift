import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnStore
import MuninnTestSupport

extension SweptOperation {
  /// Operations that rewrite containers.
  static let rewriting = [
    SweptOperation(
      name: "prune-rewrite",
      prepare: { scene in
        try scene.commit()
        try scene.write("a/3", 50_000)
        try scene.write("b/4", 30_000)
        try scene.commit()
        _ = try scene.forgetFirst(scene.base)
      }, run: { try $0.pruneAll($1) }, forgetsFirst: true),
    SweptOperation(
      name: "defragment",
      prepare: { scene in
        try scene.commit()
        for number in 0..<4 {
          try scene.write("a/\(number)", 20_000)
          try scene.commit()
        }
      }, run: { try $0.defragment($1) }),
  ]
}

extension SweepScene {
  /// In several windows.
  func defragment(_ storage: MemoryStorage) throws -> SnapshotRecord? {
    var options = CollectOptions(threads: 1)
    options.windowByteCount = 60_000
    _ = try DefragmentPipeline(
      store: try open(storage), options: options, progress: ProgressCounters(),
      cancellation: Cancellation()
    ).run()
    return nil
  }

  func pruneAll(_ storage: MemoryStorage) throws -> SnapshotRecord? {
    var options = CollectOptions(threads: 1)
    options.maximumUnused = .bytes(0)
    _ = try PrunePipeline(
      store: try open(storage), options: options, progress: ProgressCounters(),
      cancellation: Cancellation()
    ).run()
    return nil
  }
}
