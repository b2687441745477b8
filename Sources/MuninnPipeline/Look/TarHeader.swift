import MuninnFormat

/// The blocks before an entry of a tar archive: an extended header where the entry has anything
/// that the old one cannot say, then the old one. POSIX.1-2001 "pax" interchange format.
struct TarHeader {
  static let blockByteCount = 512

  var path: [UInt8]
  var type: UInt8
  var linkPath: [UInt8] = []
  /// Bytes that follow in the archive.
  var size: UInt64 = 0
  var extended: [(key: [UInt8], value: [UInt8])] = []
  let entry: ManifestEntry

  init(_ entry: ManifestEntry, path: [UInt8], type: UInt8) {
    self.entry = entry
    self.path = path
    self.type = type
  }

  mutating func extend(_ key: String, _ value: some Sequence<UInt8>) {
    extended.append((Array(key.utf8), Array(value)))
  }

  /// Everything up to the content.
  func encoded() -> [UInt8] {
    var header = self
    header.extendWhatDoesNotFit()
    var bytes: [UInt8] = []
    if !header.extended.isEmpty {
      let records = header.extended.flatMap { TarHeader.record($0.key, $0.value) }
      bytes += header.block(
        name: Array("PaxHeaders/".utf8) + (header.path.split(separator: 0x2F).last ?? []),
        type: UInt8(ascii: "x"), size: UInt64(records.count), isExtension: true)
      bytes += TarHeader.padded(records)
    }
    return bytes + header.block(name: header.path, type: type, size: size, isExtension: false)
  }

  static func padded(_ bytes: [UInt8]) -> [UInt8] { bytes + padding(after: UInt64(bytes.count)) }

  /// Zeros up to the next block.
  static func padding(after count: UInt64) -> [UInt8] {
    [UInt8](repeating: 0, count: Int((512 - count % 512) % 512))
  }

  private mutating func extendWhatDoesNotFit() {
    if path.count > 100 || !TarHeader.isPlain(path) { extend("path", path) }
    if linkPath.count > 100 || !TarHeader.isPlain(linkPath) { extend("linkpath", linkPath) }
    if size >= 1 << 33 { extend("size", String(size).utf8) }
    if entry.userID >= 1 << 21 { extend("uid", String(entry.userID).utf8) }
    if entry.groupID >= 1 << 21 { extend("gid", String(entry.groupID).utf8) }
    if entry.userName.count > 31 || !TarHeader.isPlain(entry.userName) {
      extend("uname", entry.userName)
    }
    if entry.groupName.count > 31 || !TarHeader.isPlain(entry.groupName) {
      extend("gname", entry.groupName)
    }
    let time = entry.modifiedNanoseconds
    if time < 0 || time % 1_000_000_000 != 0 || time / 1_000_000_000 >= 1 << 33 {
      extend("mtime", TarHeader.seconds(time).utf8)
    }
    // ACLs and capabilities are attributes too, and come so.
    for attribute in entry.attributes where !attribute.name.contains(0x3D) {
      extended.append((Array("SCHILY.xattr.".utf8) + attribute.name, attribute.value))
    }
  }

  private static func isPlain(_ bytes: [UInt8]) -> Bool { bytes.allSatisfy { $0 < 0x80 } }

  /// Seconds with nine decimals, rounded nowhere: `-1.5` is half a second before `-1`.
  static func seconds(_ nanoseconds: Int64) -> String {
    let magnitude = nanoseconds.magnitude
    let fraction = String(magnitude % 1_000_000_000)
    let zeros = String(repeating: "0", count: 9 - fraction.utf8.count)
    return (nanoseconds < 0 ? "-" : "") + "\(magnitude / 1_000_000_000).\(zeros)\(fraction)"
  }

  /// `LENGTH KEY=VALUE\n`, where the length counts itself.
  static func record(_ key: [UInt8], _ value: [UInt8]) -> [UInt8] {
    let rest = key.count + value.count + 3
    var length = rest + String(rest).utf8.count
    length = rest + String(length).utf8.count
    return Array("\(length) ".utf8) + key + [0x3D] + value + [0x0A]
  }

  private func block(
    name: [UInt8], type: UInt8, size: UInt64, isExtension: Bool
  ) -> [UInt8] {
    var block = [UInt8](repeating: 0, count: TarHeader.blockByteCount)
    func put(_ bytes: some Sequence<UInt8>, at offset: Int, limit: Int) {
      for (index, byte) in bytes.prefix(limit).enumerated() { block[offset + index] = byte }
    }
    func octal(_ value: UInt64, at offset: Int, digits: Int) {
      let text = String(value, radix: 8)
      let shown = text.utf8.count <= digits ? text : String(repeating: "7", count: digits)
      let zeros = String(repeating: "0", count: digits - shown.utf8.count)
      put((zeros + shown).utf8, at: offset, limit: digits)
    }
    put(name, at: 0, limit: 100)
    octal(isExtension ? 0o644 : UInt64(entry.mode), at: 100, digits: 7)
    octal(isExtension ? 0 : UInt64(entry.userID), at: 108, digits: 7)
    octal(isExtension ? 0 : UInt64(entry.groupID), at: 116, digits: 7)
    octal(size, at: 124, digits: 11)
    octal(UInt64(max(0, entry.modifiedNanoseconds) / 1_000_000_000), at: 136, digits: 11)
    block[156] = type
    if !isExtension { put(linkPath, at: 157, limit: 100) }
    put("ustar\0".utf8, at: 257, limit: 6)
    put("00".utf8, at: 263, limit: 2)
    if !isExtension {
      put(entry.userName, at: 265, limit: 31)
      put(entry.groupName, at: 297, limit: 31)
      octal(UInt64(entry.deviceMajor), at: 329, digits: 7)
      octal(UInt64(entry.deviceMinor), at: 337, digits: 7)
    }
    put(repeatElement(0x20, count: 8), at: 148, limit: 8)
    let sum = block.reduce(UInt64(0)) { $0 + UInt64($1) }
    octal(sum, at: 148, digits: 6)
    block[154] = 0
    return block
  }
}
