/// The part of a file that a `Range` header asks for (RFC 9110, 14.1). Several ranges at once, and
/// what cannot be read, are answered with the whole file, as the RFC allows.
enum ByteRange: Equatable {
  case whole
  case part(offset: UInt64, count: UInt64)
  /// Nothing of the file lies in the range: 416.
  case unsatisfiable

  init(header: String?, size: UInt64) {
    self = .whole
    guard let header, header.lowercased().hasPrefix("bytes=") else { return }
    let text = header.dropFirst(6).filter { $0 != " " && $0 != "\t" }
    let ends = text.split(separator: "-", omittingEmptySubsequences: false)
    guard ends.count == 2, !text.contains(",") else { return }
    if ends[0].isEmpty {
      guard let last = Self.number(ends[1]) else { return }
      let count = min(last, size)
      self = count == 0 ? .unsatisfiable : .part(offset: size - count, count: count)
      return
    }
    guard let first = Self.number(ends[0]) else { return }
    var end = size
    if !ends[1].isEmpty {
      guard let last = Self.number(ends[1]), last >= first else { return }
      end = last < size ? last + 1 : size
    }
    self = first < size ? .part(offset: first, count: end - first) : .unsatisfiable
  }

  /// Digits alone; a number too large to hold is as good as the largest.
  private static func number(_ text: Substring) -> UInt64? {
    guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    return UInt64(text) ?? .max
  }
}
