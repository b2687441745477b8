import MuninnFormat
import MuninnStore
import MuninnTestSupport
import Testing

// Backups that commit partial snapshots, and those that go on from one.
extension SweptOperation {
  static let partialBackups = [
    SweptOperation(
      name: "partial",
      prepare: { scene in
        try scene.commit()
        try scene.writeMany()
      }, run: { try $0.backUp($1, savesPartially: true) }),
    // The backup before was killed behind its first partial snapshot.
    SweptOperation(
      name: "going-on",
      prepare: { scene in
        try scene.commit()
        try scene.writeMany()
        try scene.look()
        try scene.breakOff()
        try scene.write("b/0", 700)
      }, run: { try $0.backUp($1, savesPartially: true) }),
  ]
}

extension SweepScene {
  /// More files than are read in one batch.
  func writeMany() throws {
    for number in 0..<140 { try write("a/many-\(number)", 5) }
    try write("a/between", 9000)
    try write("b/2", 8000)
  }

  /// Leaves what a backup leaves that is killed right after its first partial snapshot.
  func breakOff() throws {
    let whole = MemoryStorage(copyOf: base)
    _ = try backUp(whole, savesPartially: true)
    for call in whole.calls.indices {
      let storage = MemoryStorage(copyOf: base)
      storage.cutPower(at: call, during: false)
      _ = try? backUp(storage, savesPartially: true)
      storage.crash(.kept, seed: 1)
      let snapshots = try open(storage).loadJournal().snapshots
      guard snapshots.count(where: { !$0.isPartial }) == committed.count else { break }
      guard snapshots.contains(where: \.isPartial) else { continue }
      base = storage
      return
    }
    throw Loss(description: "no partial snapshot was ever committed")
  }
}
