import CMuninnSystem
import Glibc

/// The names in one directory, sorted bytewise (as unsigned bytes, like memcmp), without "." and
/// "..". Names lie NUL-terminated in one buffer, so going through them allocates nothing.
package final class DirectoryListing: Sendable {
  private struct Entry: Sendable {
    /// The first 8 bytes of the name as a big-endian number, 0 beyond its end: it decides nearly
    /// every comparison without touching the names.
    var prefix: UInt64
    var inode: UInt64
    var offset: UInt32
    var length: UInt16
    var kind: UInt8
  }

  private static let readByteCount = 64 << 10

  private let names: [UInt8]
  private let entries: [Entry]

  private init(names: [UInt8], entries: [Entry]) {
    self.names = names
    self.entries = entries
  }

  /// Lists an open directory, from its beginning. EOVERFLOW where the names exceed 4 GiB, EIO where
  /// what the system returns makes no sense.
  package static func read(
    _ descriptor: CInt, path: @autoclosure () -> String
  ) throws(DiskError) -> DirectoryListing {
    let rewound = SystemCall.libc { lseek(descriptor, 0, SEEK_SET) }
    try SystemCall.check(rewound, "lseek", path)
    var names: [UInt8] = []
    var entries: [Entry] = []
    let status = withUnsafeTemporaryAllocation(
      byteCount: readByteCount, alignment: MemoryLayout<UInt64>.alignment
    ) { buffer -> Int in
      guard let base = buffer.baseAddress else { return -Int(ENOMEM) }
      while true {
        let got = SystemCall.shim { muninn_read_directory(descriptor, base, buffer.count) }
        if got <= 0 { return got }
        let error = append(UnsafeRawBufferPointer(start: base, count: got), &names, &entries)
        if error != 0 { return -Int(error) }
      }
    }
    try SystemCall.check(status, "getdents64", path)
    sort(&entries, names)
    return DirectoryListing(names: names, entries: entries)
  }

  package var count: Int { entries.count }

  /// Hands the name of entry `index`, NUL-terminated, and its length to `body`. The pointer is
  /// valid during the call.
  package func withName<Result, Failure: Error>(
    _ index: Int, _ body: (UnsafePointer<CChar>, Int) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let entry = entries[index]
    let offset = Int(entry.offset)
    return try names.withUnsafeBufferPointer { names throws(Failure) -> Result in
      // An entry and its NUL lie in `names`, so there is an address.
      guard let base = names.baseAddress else { preconditionFailure("an entry without a name") }
      let name = UnsafeRawPointer(base + offset).assumingMemoryBound(to: CChar.self)
      return try body(name, Int(entry.length))
    }
  }

  package func name(_ index: Int) -> [UInt8] {
    let entry = entries[index]
    return [UInt8](names[Int(entry.offset)...].prefix(Int(entry.length)))
  }

  /// Whether one of the names is `name`.
  package func contains(_ name: [UInt8]) -> Bool {
    let wanted = name.withUnsafeBytes { DirectoryListing.prefix(of: $0) }
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].prefix < wanted { low = middle + 1 } else { high = middle }
    }
    while low < entries.count, entries[low].prefix == wanted {
      if self.name(low) == name { return true }
      low += 1
    }
    return false
  }

  package func inode(_ index: Int) -> UInt64 { entries[index].inode }

  /// What the directory says of the kind, nil where it does not: a hint only, statx decides.
  package func typeHint(_ index: Int) -> FileStatus.Kind? {
    FileStatus.Kind(rawValue: entries[index].kind)
  }

  /// Takes over the records of one getdents64. Returns an error number, 0 for none.
  private static func append(
    _ records: UnsafeRawBufferPointer, _ names: inout [UInt8], _ entries: inout [Entry]
  ) -> CInt {
    guard let base = records.baseAddress else { return 0 }
    var record = muninn_directory_entry()
    var offset = 0
    while offset < records.count {
      offset = muninn_directory_entry_at(base, records.count, offset, &record)
      guard offset > 0 else { return EIO }
      let start = base + Int(record.name_offset)
      let length = Int(record.name_length)
      let name = UnsafeRawBufferPointer(start: start, count: length)
      if isSelfOrParent(name) { continue }
      guard length > 0, let nameLength = UInt16(exactly: length) else { return EIO }
      guard let nameOffset = UInt32(exactly: names.count) else { return EOVERFLOW }
      names.append(contentsOf: name)
      names.append(0)
      entries.append(
        Entry(
          prefix: prefix(of: name), inode: record.inode, offset: nameOffset, length: nameLength,
          kind: record.kind))
    }
    return 0
  }

  private static func isSelfOrParent(_ name: UnsafeRawBufferPointer) -> Bool {
    let dot = UInt8(ascii: ".")
    return (name.count == 1 && name[0] == dot)
      || (name.count == 2 && name[0] == dot && name[1] == dot)
  }

  private static func prefix(of name: UnsafeRawBufferPointer) -> UInt64 {
    var prefix: UInt64 = 0
    for index in 0..<min(name.count, 8) {
      prefix |= UInt64(name[index]) << UInt64(56 - 8 * index)
    }
    return prefix
  }

  private static func sort(_ entries: inout [Entry], _ names: [UInt8]) {
    names.withUnsafeBytes { names in
      entries.sort { left, right in
        if left.prefix != right.prefix { return left.prefix < right.prefix }
        // Equal prefixes hold no NUL unless both names end within them, and then they are equal.
        guard let base = names.baseAddress else { return false }
        let order = memcmp(
          base + Int(left.offset), base + Int(right.offset),
          Int(min(left.length, right.length)))
        return order != 0 ? order < 0 : left.length < right.length
      }
    }
  }
}
