import Glibc
package import MuninnDisk
package import MuninnFormat

/// What a restored file is called by its file system now.
package struct RestoredIdentity: Sendable, Equatable {
  /// The entry's place among all leaf entries of the snapshot's manifest, from 0.
  package let ordinal: UInt64
  package let inode: UInt64
  package let changedNanoseconds: Int64

  package init(ordinal: UInt64, inode: UInt64, changedNanoseconds: Int64) {
    self.ordinal = ordinal
    self.inode = inode
    self.changedNanoseconds = changedNanoseconds
  }
}

/// A file that remembers the identities of a restored tree's files, so that the next backup of that
/// tree reads none of them. Losing it costs time, never data.
///
/// A restore need not sync what it writes. So where the system went down after it, files may have
/// their identities and not their contents: a catalogue of an earlier boot counts only if the files
/// were synced before it was written.
///
/// Header, all integers little-endian: magic `MUNIDENT` (8), version (4, 2), bytes of the target's
/// path (4), snapshot (16), written (nanoseconds since 1970, 8), identities (8), XXH3-64 of the
/// boot's id (8), whether the files were synced (8: 0 or 1), XXH3-64 of the header with this field
/// as zeros, path included (8), then the path. Then blocks: identities (4),
/// bytes (4), first ordinal (8), XXH3-64 of these 16 bytes and the block's (8), then for each
/// identity the ordinal's difference to the one before it in the block (varint, the first to the
/// block's), the inode (varint) and the time of change (8).
package enum IdentityCatalogue {
  static let magic = [UInt8]("MUNIDENT".utf8)
  static let version: UInt32 = 2
  static let headerByteCount = 72
  static let blockHeaderByteCount = 24
  static let identitiesPerBlock = 4096
  /// An identity takes at most two varints and a time.
  static let maximumBlockByteCount = identitiesPerBlock * 28

  /// Stands for the running boot; 0 where the system does not tell, which is never another one.
  static func bootNumber() -> UInt64 {
    let boot = Machine.bootIdentity
    return boot.isEmpty ? 0 : boot.withUnsafeBytes { MuninnFormat.checksum($0) }
  }

  struct Header {
    var snapshot: Identifier
    var target: [UInt8]
    var writtenNanoseconds: Int64
    var count: UInt64
    var boot: UInt64
    var isSynced: Bool

    func encoded() -> [UInt8] {
      let blank = encoded(checksum: 0)
      return encoded(checksum: blank.withUnsafeBytes { MuninnFormat.checksum($0) })
    }

    private func encoded(checksum: UInt64) -> [UInt8] {
      var writer = ByteWriter(reserving: headerByteCount + target.count)
      writer.raw(magic)
      writer.integer(version)
      writer.integer(UInt32(target.count))
      writer.identifier(snapshot)
      writer.integer(writtenNanoseconds)
      writer.integer(count)
      writer.integer(boot)
      writer.integer(UInt64(isSynced ? 1 : 0))
      writer.integer(checksum)
      writer.raw(target)
      return writer.bytes
    }
  }
}

extension IdentityCatalogue {
  /// Writes a catalogue beside its place and moves it there in the end. Belongs to one thread.
  package final class Writer {
    private let path: String
    private let temporaryPath: String
    private let file: OpenFile
    private var header: Header
    private var pending: [RestoredIdentity] = []
    private var lastOrdinal: UInt64?
    private var newestChange = Int64.min
    private var isFinished = false

    package init(path: String, snapshot: Identifier, target: [UInt8]) throws(DiskError) {
      self.path = path
      temporaryPath = path + ".new-\(randomIdentifierText())"
      header = Header(
        snapshot: snapshot, target: target, writtenNanoseconds: 0, count: 0,
        boot: IdentityCatalogue.bootNumber(), isSynced: false)
      file = try FileCalls.open(
        at: AT_FDCWD, temporaryPath, flags: O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600,
        path: temporaryPath)
      try write(header.encoded())
    }

    deinit {
      if !isFinished { try? FileCalls.unlink(at: AT_FDCWD, temporaryPath, path: temporaryPath) }
    }

    /// Adds identities, each with a greater ordinal than the one before it; others are left out.
    package func append(_ identities: [RestoredIdentity]) throws(DiskError) {
      for identity in identities {
        if let last = lastOrdinal, identity.ordinal <= last { continue }
        lastOrdinal = identity.ordinal
        newestChange = max(newestChange, identity.changedNanoseconds)
        header.count += 1
        pending.append(identity)
        if pending.count == identitiesPerBlock { try closeBlock() }
      }
    }

    /// Completes the catalogue and puts it in its place. `adding` are identities, sorted, that came
    /// to be known out of order.
    /// `isSynced` says that the files' contents are on stable storage.
    package func finish(
      adding late: [RestoredIdentity] = [], isSynced: Bool = false
    ) throws(DiskError) {
      if !late.isEmpty {
        try merge(late, isSynced: isSynced)
        return
      }
      header.isSynced = isSynced
      try closeBlock()
      // Whoever relies on a time of change asks whether it is clearly older than this. A file that
      // is written to after its restore shows that in its time of modification, which the restore
      // has set back, so the grain of the clock need not be waited for.
      let grain: Int64 = 20_000_000
      header.writtenNanoseconds = max(
        Machine.nowNanoseconds(), newestChange == Int64.min ? 0 : newestChange + grain)
      try header.encoded().withUnsafeBytesTyped { (bytes) throws(DiskError) in
        try FileCalls.write(file.descriptor, at: 0, bytes, path: temporaryPath)
      }
      try FileCalls.sync(file.descriptor, path: temporaryPath)
      try FileCalls.rename(
        fromDirectory: AT_FDCWD, temporaryPath, toDirectory: AT_FDCWD, path, path: path)
      isFinished = true
    }

    private func closeBlock() throws(DiskError) {
      guard let first = pending.first else { return }
      var body = ByteWriter(reserving: pending.count * 16)
      var last = first.ordinal
      for identity in pending {
        body.varint(identity.ordinal - last)
        body.varint(identity.inode)
        body.integer(identity.changedNanoseconds)
        last = identity.ordinal
      }
      var head = ByteWriter(reserving: blockHeaderByteCount)
      head.integer(UInt32(pending.count))
      head.integer(UInt32(body.count))
      head.integer(first.ordinal)
      head.integer((head.bytes + body.bytes).withUnsafeBytes { MuninnFormat.checksum($0) })
      try write(head.bytes)
      try write(body.bytes)
      pending.removeAll(keepingCapacity: true)
    }

    private func write(_ bytes: [UInt8]) throws(DiskError) {
      try bytes.withUnsafeBytesTyped { (raw) throws(DiskError) in
        try FileCalls.write(file.descriptor, raw, path: temporaryPath)
      }
    }

    /// Writes what is there and what came late into a second file, in order.
    private func merge(_ late: [RestoredIdentity], isSynced: Bool) throws(DiskError) {
      try closeBlock()
      let merged = try Writer(path: path, snapshot: header.snapshot, target: header.target)
      var blocks = try Blocks(
        file.descriptor, from: UInt64(headerByteCount + header.target.count), path: temporaryPath)
      var rest = late[...]
      while let block = try blocks.next() {
        for identity in block {
          while let next = rest.first, next.ordinal < identity.ordinal {
            try merged.append([next])
            rest.removeFirst()
          }
          try merged.append([identity])
        }
      }
      try merged.append(Array(rest))
      try merged.finish(isSynced: isSynced)
    }
  }
}

/// Sixteen hexadecimal digits that no other temporary file has.
private func randomIdentifierText() -> String {
  hexadecimal(Machine.randomBytes(8).reduce(0) { $0 << 8 | UInt64($1) })
}
