import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnStore
import MuninnTestSupport
import Testing

/// What somebody sees who has an encrypted repository and no key.
@Suite struct SealedBackupTests {
  /// A source whose every property is a word that can be searched for.
  private struct Source {
    let scene: BackupScene
    // No two share four letters in a row, so that compression keeps the beginning of each whole.
    let names = ["Quixotic", "ZephyrJab", "Vexillum", "Nymphomb"]
    let words = [
      "Blackquartz judge my vow", "how daft zebras jump over frigid lakes", "Fjordbank",
      "Glyphwick", "Pizzazz", "Kumquat",
    ]
    var contents: [[UInt8]] = []

    init() throws {
      scene = try BackupScene()
      var generator = SeededGenerator(seed: 4711)
      let short = Array(words[0].utf8)
      let long = (0..<200).flatMap { Array("\($0) \(words[1])\n".utf8) }
      let odd = [3001, 4003, 5009].map { generator.manyBytes($0) }
      contents = [short, long] + odd
      try scene.makeDirectory(names[0])
      try scene.write("\(names[0])/\(names[1])", short)
      try scene.write("\(names[0])/\(names[1])-2", long)
      for (number, bytes) in odd.enumerated() { try scene.write("odd-\(number)", bytes) }
      try scene.write(names[3], generator.manyBytes(700_000))
      let made = try runProgram(["ln", "-s", words[2], scene.source + "/" + names[2]])
      #expect(made.status == 0)
    }

    /// Backs up twice into a storage and returns its objects' bytes.
    func backUp(key: NewKey?) throws -> (storage: MemoryStorage, bytes: [[UInt8]]) {
      let storage = MemoryStorage()
      let store = try Store.create(
        in: storage, averageChunkSize: nil, isShared: false, key: key)
      var parent: SnapshotRecord?
      for _ in 0..<2 {
        var options = BackupOptions(sources: [Array(scene.source.utf8)], threads: 1)
        options.parent = parent
        parent = try BackupPipeline(
          store: store, options: options, progress: ProgressCounters(),
          cancellation: Cancellation()
        ).run { [words] record in
          record.host = Array(words[3].utf8)
          record.tags = [Array(words[4].utf8)]
          record.document = Array(words[5].utf8)
        }.snapshot
      }
      return (storage, try storage.list("").map { storage.peek($0.name) ?? [] })
    }

    /// What must not show, under a store's secrets.
    func secrets(of store: Store) -> [(what: String, bytes: [UInt8])] {
      var secrets = (names + words).map { ("'\($0)'", Array($0.utf8.prefix(7))) }
      // Its one unique part: what repeats in a path is compressed away.
      let unique = scene.source.split(separator: "/").dropLast().last ?? ""
      secrets.append(("the source's path", Array(unique.utf8)))
      secrets.append(("random content", Array(contents[2][100..<132])))
      for bytes in contents[1...] {
        let identity = bytes.withUnsafeBytes { store.identifying.identity(of: $0) }
        var writer = ByteWriter()
        writer.chunkIdentity(identity)
        secrets.append(("a fingerprint", Array(writer.bytes[..<16])))
        secrets.append(("half a fingerprint", Array(writer.bytes[..<8])))
        secrets.append(("a tag", Array(writer.bytes[16...])))
      }
      // Two of them side by side, as in the table behind a block's chunks.
      var lengths = ByteWriter()
      for bytes in contents[2...] { lengths.integer(UInt32(bytes.count)) }
      secrets.append(("a table of chunk lengths", lengths.bytes))
      secrets.append(("the fingerprint secret", Array(store.header.fingerprintSecret[..<16])))
      secrets.append(("the tag key", store.header.tagKey))
      return secrets
    }
  }

  private func holds(_ objects: [[UInt8]], _ wanted: [UInt8]) -> Bool {
    objects.contains { object in
      object.withUnsafeBytes { haystack in
        wanted.withUnsafeBytes { find($0, in: haystack) }
      }
    }
  }

  private func find(_ needle: UnsafeRawBufferPointer, in haystack: UnsafeRawBufferPointer) -> Bool {
    guard let first = needle.first, haystack.count >= needle.count else { return false }
    for start in 0...(haystack.count - needle.count) where haystack[start] == first {
      if haystack[start..<(start + needle.count)].elementsEqual(needle) { return true }
    }
    return false
  }

  @Test func nothingOfTheSourceShows() throws {
    var bytes = Array("key".utf8)
    let key = KeyMaterial.passphrase(Secret(taking: &bytes))
    let cost = ScryptCost(roundsLog2: 4, blockSize: 2, parallelism: 1)
    let source = try Source()
    let (sealed, objects) = try source.backUp(key: NewKey(key, cost: cost))
    let store = try Store.open(in: sealed, key: key)
    for secret in source.secrets(of: store) {
      let isShown = holds(objects, secret.bytes)
      #expect(!isShown, "\(secret.what) shows")
    }
    // The search finds each of them where nothing is encrypted, or it would prove nothing.
    let (plain, readable) = try source.backUp(key: nil)
    for secret in source.secrets(of: try Store.open(in: plain)) {
      let isShown = holds(readable, secret.bytes)
      #expect(isShown, "\(secret.what) is not found in the clear")
    }
  }

  @Test func anEncryptedTreeComesBack() throws {
    var bytes = Array("key".utf8)
    let key = KeyMaterial.passphrase(Secret(taking: &bytes))
    let cost = ScryptCost(roundsLog2: 4, blockSize: 2, parallelism: 1)
    let source = try Source()
    let (storage, _) = try source.backUp(key: NewKey(key, cost: cost))
    let store = try Store.open(in: storage, key: key)
    let journal = try store.loadJournal()
    let outcome = try CheckPipeline(
      store: store, readData: true, threads: 2, progress: ProgressCounters(),
      cancellation: Cancellation()
    ).run()
    #expect(outcome.problems.isEmpty && journal.snapshots.count == 2)
    for snapshot in journal.snapshots {
      let target = source.scene.directory.file("target-\(snapshot.id)")
      let options = RestoreOptions(
        root: snapshot.root, entryCount: snapshot.counts.entries,
        byteCount: snapshot.counts.bytes, target: Array(target.utf8), threads: 2)
      let restored = try RestorePipeline(
        store: store, options: options, progress: ProgressCounters(),
        cancellation: Cancellation()
      ).run()
      #expect(restored.failures.isEmpty)
      #expect(try source.scene.compare(source.scene.source, target) == "")
    }
  }
}
