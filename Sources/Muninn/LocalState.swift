internal import Glibc
internal import MuninnDisk
internal import MuninnFormat
internal import MuninnPipeline
internal import MuninnStore

/// What this machine remembers of repositories, apart from them and from the data. Losing it costs
/// time, never data.
///
/// `repositories/ID` holds the newest record that was seen (its number and hash), so that an older
/// state of the repository, put back from a copy, is noticed. `identities/HASH` is the catalogue of
/// a restored tree. `needs/HASH` is what the last snapshot of some source needs of its containers;
/// its layout is `SnapshotNeeds`'s. `verified/ID` is the ledger of what was read and found sound,
/// and when; its layout is `VerificationLedger`'s. `usage/ID` is what the last prune found to be
/// unneeded in live containers, in bytes, behind the record that it looked at.
struct LocalState: Sendable {
  let directory: String

  /// Nil for `directory` takes `$XDG_STATE_HOME/muninn`, or `~/.local/state/muninn`.
  init(directory: String?) {
    if let directory {
      self.directory = directory
    } else if let base = LocalState.environment("XDG_STATE_HOME"), base.hasPrefix("/") {
      self.directory = base + "/muninn"
    } else {
      self.directory = (LocalState.environment("HOME") ?? "/root") + "/.local/state/muninn"
    }
  }

  private static func environment(_ name: String) -> String? {
    guard let value = getenv(name) else { return nil }
    let text = String(cString: value)
    return text.isEmpty ? nil : text
  }

  /// Compares the journal with what was seen before, and remembers the newer. A machine without
  /// writable state remembers nothing and goes on.
  ///
  /// Throws `rolledBack` where the journal is not a continuation of what was seen. Where rollbacks
  /// are accepted it is remembered in place of that.
  func notice(
    _ journal: JournalState, of store: Store, acceptsRollback: Bool = false
  ) throws(StoreError) {
    let repository = store.header.repository
    guard journal.problems.isEmpty else { return }
    guard let storage = try? LocalStorage(path: directory, create: true) else { return }
    let name = "repositories/\(repository)"
    let newest = [UInt8]("\(journal.head) \(LocalState.hex(journal.headHash))".utf8)
    let bytes = try? storage.read(name, maximumByteCount: 4096)
    if bytes == newest { return }
    if !acceptsRollback, let bytes {
      let words = String(decoding: bytes, as: UTF8.self).split(separator: " ")
      if let first = words.first, let seen = UInt64(first), seen > journal.head {
        // Another process of this machine may have committed and noticed it since `journal` was
        // read: then it is there now, and what is remembered is newer.
        if words.count == 2, let hash = store.recordHash(seen),
          words[1] == LocalState.hex(hash)[...]
        {
          return
        }
        throw StoreError(
          .rolledBack,
          "the repository ends with record \(journal.head), and this machine has seen record "
            + "\(seen) of it: an older state was put back, or records were lost. If that is meant, "
            + "accept it with --accept-rollback")
      }
      if words.count == 2, let seen = UInt64(words[0]), seen > 0 {
        // Also below the head: an older state that others went on from has another record there.
        let hash = seen == journal.head ? journal.headHash : store.recordHash(seen)
        if let hash, words[1] != LocalState.hex(hash)[...] {
          throw StoreError(
            .rolledBack,
            "record \(seen) is not the one that this machine has seen: the repository was "
              + "exchanged or altered. If that is meant, accept it with --accept-rollback")
        }
      }
    }
    try? storage.put(name, newest)
  }

  /// What this machine remembers of when the repository's containers were read. A file that is lost
  /// or damaged, or of another repository, is as if nothing ever was.
  func ledger(of store: Store) -> LedgerKeeper {
    let repository = store.header.repository
    let name = "verified/\(repository)"
    let storage = try? LocalStorage(path: directory, create: true)
    let bytes = try? storage?.read(name, maximumByteCount: 1 << 30)
    let known = bytes.flatMap { try? VerificationLedger(decoding: $0, repository: repository) }
    return LedgerKeeper(known ?? VerificationLedger(repository: repository)) { bytes in
      try? storage?.put(name, bytes)
    }
  }

  /// What a prune on this machine last found; nil where none did.
  func usage(of store: Store) -> KnownUsage? {
    guard let storage = try? LocalStorage(path: directory, create: false),
      let bytes = try? storage.read(
        "usage/\(store.header.repository)", maximumByteCount: 4096)
    else { return nil }
    let words = String(decoding: bytes, as: UTF8.self).split(separator: " ")
    guard words.count == 2, let record = UInt64(words[0]), let unused = UInt64(words[1]) else {
      return nil
    }
    return KnownUsage(record: record, unusedByteCount: unused)
  }

  /// Nil is nothing to remember, and leaves what was.
  func remember(_ usage: KnownUsage?, of store: Store) {
    guard let usage, let storage = try? LocalStorage(path: directory, create: true) else { return }
    try? storage.put(
      "usage/\(store.header.repository)", [UInt8]("\(usage.record) \(usage.unusedByteCount)".utf8))
  }

  /// What a snapshot needs of its containers, where this machine made it as the last one of its
  /// source. A file that is lost or damaged is as if there never was one.
  func needs(of snapshot: SnapshotRecord, in store: Store) -> SnapshotNeeds? {
    let repository = store.header.repository
    let name = LocalState.needsName(of: snapshot, repository)
    guard let storage = try? LocalStorage(path: directory, create: false),
      let bytes = try? storage.read(name, maximumByteCount: 1 << 30),
      let usage = try? SnapshotNeeds(decoding: bytes, repository: repository),
      usage.snapshot == snapshot.id
    else { return nil }
    return usage
  }

  /// Remembers it for the next backup, in the place of the one before.
  func keep(_ usage: SnapshotNeeds, of snapshot: SnapshotRecord, in store: Store) {
    let repository = store.header.repository
    guard let storage = try? LocalStorage(path: directory, create: true) else { return }
    try? storage.put(
      LocalState.needsName(of: snapshot, repository), usage.encoded(repository: repository))
  }

  /// One file for each source: what decides the next snapshot's parent.
  private static func needsName(
    of snapshot: SnapshotRecord, _ repository: Identifier
  ) -> String {
    var source = Array(repository.description.utf8)
    if let fileSystem = snapshot.fileSystem {
      source += Array(fileSystem.description.utf8)
    } else {
      source += snapshot.host
      for path in snapshot.paths { source += [0] + path }
    }
    return "needs/" + hexadecimal(source.withUnsafeBytes { checksum($0) })
  }

  private static func hex(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(
      decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }

  /// Where the identities of the tree at `root` are kept, below `indexDirectory` or the state
  /// directory.
  func identityCatalogue(root: [UInt8], indexDirectory: String?) -> String {
    let name = hexadecimal(root.withUnsafeBytes { checksum($0) })
    return (indexDirectory ?? directory) + "/identities/" + name
  }
}
