import Glibc
package import MuninnDisk
package import MuninnFormat

extension IdentityCatalogue {
  /// Which snapshot a catalogue's tree was restored from, and when. Errors as of `Reader`, for any
  /// snapshot.
  package static func origin(
    path: String
  ) throws(DiskError) -> (snapshot: Identifier, writtenNanoseconds: Int64) {
    let file = try FileCalls.openForReading(at: AT_FDCWD, path, path: path)
    let header = try Header(file.descriptor, path: path)
    return (header.snapshot, header.writtenNanoseconds)
  }

  /// Finds identities by increasing ordinal. Belongs to one thread.
  package struct Reader {
    /// When the catalogue was complete: later changes of a file show in its time of change.
    package let writtenNanoseconds: Int64
    /// The restored directory, an absolute path.
    package let target: [UInt8]
    /// How many identities there are.
    package let count: UInt64

    private let file: CatalogueFile
    private var blocks: Blocks
    private var block: [RestoredIdentity] = []
    private var next = 0

    /// ENOENT where there is none; ENOTSUP for another snapshot's, for one of an earlier boot whose
    /// files were not synced, or one that this build does not read; EBADMSG for one that is
    /// damaged.
    package init(path: String, snapshot: Identifier) throws(DiskError) {
      let file = CatalogueFile(
        try FileCalls.openForReading(at: AT_FDCWD, path, path: path))
      let header = try Header(file.descriptor, path: path)
      guard header.snapshot == snapshot,
        header.isSynced || header.boot == IdentityCatalogue.bootNumber()
      else {
        throw DiskError(errno: ENOTSUP, operation: "read", path: path)
      }
      writtenNanoseconds = header.writtenNanoseconds
      target = header.target
      count = header.count
      blocks = try Blocks(
        file.descriptor, from: UInt64(headerByteCount + header.target.count), path: path)
      self.file = file
    }

    /// The identity of the entry at `ordinal`, nil where the catalogue has none. Ordinals are asked
    /// for in increasing order; what lies behind damage is not found.
    package mutating func identity(
      at ordinal: UInt64
    ) -> (inode: UInt64, changedNanoseconds: Int64)? {
      while true {
        while next < block.count, block[next].ordinal < ordinal { next += 1 }
        if next < block.count {
          let found = block[next]
          return found.ordinal == ordinal ? (found.inode, found.changedNanoseconds) : nil
        }
        next = 0
        block = (try? blocks.next()) ?? []
        if block.isEmpty { return nil }
      }
    }
  }

  /// Keeps the descriptor open for the copies of a reader.
  private final class CatalogueFile {
    private let file: OpenFile
    init(_ file: consuming OpenFile) { self.file = file }
    var descriptor: CInt { file.descriptor }
  }

  /// Goes through the blocks of an open catalogue.
  struct Blocks {
    private let descriptor: CInt
    private let path: String
    private var offset: UInt64

    init(_ descriptor: CInt, from offset: UInt64, path: String) throws(DiskError) {
      self.descriptor = descriptor
      self.offset = offset
      self.path = path
    }

    /// The next block's identities, nil at the end.
    mutating func next() throws(DiskError) -> [RestoredIdentity]? {
      let head = try readBytes(descriptor, at: offset, count: blockHeaderByteCount, path)
      if head.isEmpty { return nil }
      do {
        let (count, byteCount, first, sum) = try head.withUnsafeBytesTyped {
          (raw) throws(FormatError) in
          var reader = ByteReader(raw)
          return (
            Int(try reader.integer(UInt32.self)), Int(try reader.integer(UInt32.self)),
            try reader.integer(UInt64.self), try reader.integer(UInt64.self)
          )
        }
        guard count <= identitiesPerBlock, byteCount <= maximumBlockByteCount else {
          throw FormatError(.invalidValue, "a block of \(count) identities")
        }
        let body = readBody(byteCount)
        let covered = head.prefix(16) + body
        guard body.count == byteCount, covered.withUnsafeBytes({ checksum($0) }) == sum else {
          throw FormatError(.checksumMismatch, "a damaged block of identities")
        }
        offset += UInt64(blockHeaderByteCount + byteCount)
        return try body.withUnsafeBytesTyped { (raw) throws(FormatError) in
          try Blocks.decode(raw, count: count, first: first)
        }
      } catch {
        throw DiskError(errno: EBADMSG, operation: "read", path: path)
      }
    }

    private func readBody(_ count: Int) -> [UInt8] {
      (try? readBytes(descriptor, at: offset + UInt64(blockHeaderByteCount), count: count, path))
        ?? []
    }

    private static func decode(
      _ raw: UnsafeRawBufferPointer, count: Int, first: UInt64
    ) throws(FormatError) -> [RestoredIdentity] {
      var reader = ByteReader(raw)
      var identities: [RestoredIdentity] = []
      identities.reserveCapacity(count)
      var ordinal = first
      for _ in 0..<count {
        let (next, overflow) = ordinal.addingReportingOverflow(try reader.varint())
        guard !overflow else { throw FormatError(.invalidValue, "an ordinal over 64 bits") }
        ordinal = next
        identities.append(
          RestoredIdentity(
            ordinal: ordinal, inode: try reader.varint(),
            changedNanoseconds: try reader.integer(Int64.self)))
      }
      try reader.expectEnd()
      return identities
    }
  }
}

extension IdentityCatalogue.Header {
  init(_ descriptor: CInt, path: String) throws(DiskError) {
    let fixed = IdentityCatalogue.headerByteCount
    let head = try readBytes(descriptor, at: 0, count: fixed, path)
    let damaged = DiskError(errno: EBADMSG, operation: "read", path: path)
    guard head.count == fixed, Array(head.prefix(8)) == IdentityCatalogue.magic else {
      throw damaged
    }
    let fields: (version: UInt32, targetCount: Int, Identifier, Int64, UInt64, UInt64, UInt64)
    do {
      fields = try head.withUnsafeBytesTyped { (raw) throws(FormatError) in
        var reader = ByteReader(raw)
        _ = try reader.view(8)
        return (
          try reader.integer(UInt32.self), Int(try reader.integer(UInt32.self)),
          try reader.identifier(), try reader.integer(Int64.self),
          try reader.integer(UInt64.self), try reader.integer(UInt64.self),
          try reader.integer(UInt64.self)
        )
      }
    } catch {
      throw damaged
    }
    guard fields.version == IdentityCatalogue.version else {
      throw DiskError(errno: ENOTSUP, operation: "read", path: path)
    }
    guard fields.targetCount <= FormatLimit.pathByteCount else { throw damaged }
    let target = try readBytes(descriptor, at: UInt64(fixed), count: fields.targetCount, path)
    self.init(
      snapshot: fields.2, target: target, writtenNanoseconds: fields.3, count: fields.4,
      boot: fields.5, isSynced: fields.6 == 1)
    guard encoded() == head + target else { throw damaged }
  }
}

/// Up to `count` bytes: fewer only at the end of the file.
private func readBytes(
  _ descriptor: CInt, at offset: UInt64, count: Int, _ path: String
) throws(DiskError) -> [UInt8] {
  let buffer = Buffer(capacity: count)
  let got = try FileCalls.read(descriptor, at: offset, into: buffer.bytes, path: path)
  return [UInt8](buffer.bytes[..<got])
}
