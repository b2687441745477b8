import MuninnDisk
import MuninnFormat

/// Pages of a file that two runs of it share, until both have come: whoever comes second writes the
/// page with its own. What never gets its other part is handed out as it is.
struct PageSeams {
  private struct Page {
    var bytes = [UInt8](repeating: 0, count: PageSeams.pageByteCount)
    /// One or two: the end of the run before, the start of the run behind.
    var parts: [Range<Int>] = []

    var isWhole: Bool { parts.reduce(0) { $0 + $1.count } == PageSeams.pageByteCount }
  }

  /// What offsets, lengths and addresses of direct writes are multiples of.
  static let pageByteCount = Buffer.alignment

  /// By the page's number in the file.
  private var pages: [UInt64: Page] = [:]

  var count: Int { pages.count }

  /// Takes a part, which lies within one page. Returns the page where that makes it whole.
  mutating func add(_ part: UnsafeRawBufferPointer, at offset: UInt64) -> [UInt8]? {
    let number = offset / UInt64(PageSeams.pageByteCount)
    let start = Int(offset % UInt64(PageSeams.pageByteCount))
    precondition(start + part.count <= PageSeams.pageByteCount, "a part of more than one page")
    var page = pages.removeValue(forKey: number) ?? Page()
    page.bytes.replaceSubrange(start..<(start + part.count), with: part)
    page.parts.append(start..<(start + part.count))
    if page.isWhole { return page.bytes }
    pages[number] = page
    return nil
  }

  /// Hands out what is there, in the order of the file.
  mutating func takeAll() -> [(offset: UInt64, bytes: [UInt8])] {
    defer { pages.removeAll() }
    return pages.sorted { $0.key < $1.key }.flatMap { number, page in
      let start = number * UInt64(PageSeams.pageByteCount)
      return page.parts.map { (start + UInt64($0.lowerBound), Array(page.bytes[$0])) }
    }
  }
}
