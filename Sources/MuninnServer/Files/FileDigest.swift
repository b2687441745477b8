import Crypto
import MuninnDisk

/// The MD5 of a file, which RavenFS sends as `Content-MD5`: in lower-case hexadecimal.
///
/// It is kept in an extended attribute beside the size and time of the file that it was computed
/// of, so that a file changed by other means never carries a stale one.
enum FileDigest {
  static let attribute = "user.muninn.md5"
  /// Files without a digest that are not larger get one computed, bytes.
  static let computedLimit: UInt64 = 16 << 20

  static func text(_ digest: Insecure.MD5Digest) -> String {
    digest.map { byte in
      let text = String(byte, radix: 16)
      return byte < 16 ? "0" + text : text
    }.joined()
  }

  static func remember(
    _ digest: String, of descriptor: CInt, _ status: FileStatus
  ) throws(DiskError) {
    try FileCalls.setExtendedAttribute(
      of: descriptor, name: Array(attribute.utf8),
      value: Array("\(digest) \(status.size) \(status.modifiedNanoseconds)".utf8),
      path: attribute)
  }

  /// The digest of an open file: as it is kept, or computed; nil for a large one that has none.
  static func digest(
    of descriptor: CInt, _ status: FileStatus, attributes: [ExtendedAttribute], path: String
  ) throws(Refusal) -> String? {
    if let kept = attributes.first(where: { $0.name.elementsEqual(attribute.utf8) }) {
      let words = String(decoding: kept.value, as: UTF8.self).split(separator: " ")
      if words.count == 3, words[0].utf8.count == 32, UInt64(words[1]) == status.size,
        Int64(words[2]) == status.modifiedNanoseconds
      {
        return String(words[0])
      }
    }
    guard status.size <= computedLimit else { return nil }
    return try onFile(path) { () throws(DiskError) in
      var digest = Insecure.MD5()
      let buffer = Buffer(capacity: 1 << 18)
      var offset: UInt64 = 0
      while true {
        let count = try FileCalls.read(descriptor, at: offset, into: buffer.bytes, path: path)
        if count == 0 { break }
        digest.update(bufferPointer: UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count]))
        offset += UInt64(count)
      }
      return text(digest.finalize())
    }
  }
}
