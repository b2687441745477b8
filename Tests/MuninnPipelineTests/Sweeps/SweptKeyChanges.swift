import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnStore
import MuninnTestSupport
import Testing

extension SweptOperation {
  /// Changes of an encrypted repository's keys, and what is written in one.
  static let keyChanges: [SweptOperation] = [
    SweptOperation(
      name: "encrypted-init",
      prepare: { scene in
        scene.base = MemoryStorage()
        scene.keys = [SweepKey.old]
      },
      run: { _, storage in
        _ = try Store.create(
          in: storage, averageChunkSize: nil, isShared: false, key: SweepKey.new(SweepKey.old))
        return nil
      }, makesRepository: true),
    SweptOperation(
      name: "encrypted-backup",
      prepare: { scene in
        try scene.encrypt()
        try scene.write("b/new", 30_000)
      }, run: { try $0.backUp($1) }),
    SweptOperation(
      name: "key-add", prepare: { try $0.encrypt() },
      run: { scene, storage in
        _ = try scene.open(storage).addKey(SweepKey.new(SweepKey.next))
        return nil
      },
      expect: { _, storage, end in
        try SweepKey.old.expect(true, storage)
        try SweepKey.file.expect(true, storage)
        if end != .failed { try SweepKey.next.expect(true, storage) }
      }),
    SweptOperation(
      name: "key-remove",
      prepare: { scene in
        try scene.encrypt()
        scene.keys = [SweepKey.file]
      },
      run: { scene, storage in
        let store = try scene.open(storage)
        for slot in try store.keySlots() where slot.method != .keyFile {
          try store.removeKey(slot.id)
        }
        return nil
      },
      expect: { _, storage, end in
        try SweepKey.file.expect(true, storage)
        // A deletion is not durable by itself: a crash may bring the slot back.
        if end == .clean || end == .again { try SweepKey.old.expect(false, storage) }
      }),
    // Two changes at once, seen from the keys: before a moment the old ones open it, after it the
    // new one alone.
    SweptOperation(
      name: "key-rotate",
      prepare: { scene in
        try scene.encrypt()
        scene.keys = [SweepKey.next, SweepKey.old]
      },
      run: { scene, storage in
        _ = try scene.open(storage).rotateKey(to: SweepKey.new(SweepKey.next))
        return nil
      },
      expect: { _, storage, end in
        let isRotated = SweepKey.next.opens(storage)
        guard isRotated || end == .failed else {
          throw SweepScene.Loss(description: "the new key does not open it")
        }
        try SweepKey.old.expect(!isRotated, storage)
        try SweepKey.file.expect(!isRotated, storage)
      }),
    // Objects under two master keys side by side.
    SweptOperation(
      name: "rotated-backup",
      prepare: { scene in
        try scene.encrypt()
        _ = try scene.open(scene.base).rotateKey(to: SweepKey.new(SweepKey.next))
        scene.keys = [SweepKey.next]
        try scene.write("b/new", 30_000)
      }, run: { try $0.backUp($1) }),
  ]
}

/// The keys of the sweeps' encrypted repositories, cheap to try.
enum SweepKey {
  static let old = passphrase("old")
  static let next = passphrase("next")
  static var file: KeyMaterial {
    var bytes = [UInt8](repeating: 3, count: 40)
    return .keyFile(Secret(taking: &bytes))
  }

  static func new(_ material: KeyMaterial) -> NewKey {
    NewKey(material, cost: ScryptCost(roundsLog2: 4, blockSize: 2, parallelism: 1))
  }

  private static func passphrase(_ text: String) -> KeyMaterial {
    var bytes = Array(text.utf8)
    return .passphrase(Secret(taking: &bytes))
  }
}

extension KeyMaterial {
  fileprivate func opens(_ storage: MemoryStorage) -> Bool {
    (try? Store.open(in: storage, key: self)) != nil
  }

  fileprivate func expect(_ isOpening: Bool, _ storage: MemoryStorage) throws {
    guard opens(storage) != isOpening else { return }
    throw SweepScene.Loss(
      description: isOpening ? "a key does not open it" : "a retired key opens it")
  }
}

extension SweepScene {
  /// An encrypted repository with two slots and a snapshot in place of the base.
  func encrypt() throws {
    base = MemoryStorage()
    let store = try Store.create(
      in: base, averageChunkSize: 4096, isShared: false, key: SweepKey.new(SweepKey.old))
    _ = try store.addKey(SweepKey.new(SweepKey.file))
    keys = [SweepKey.old]
    try commit()
  }
}
