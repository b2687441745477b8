import CMuninnSystem

// What of a file is in the page cache.
extension FileCalls {
  /// Pages of a range that are cached; a count of 0 means to the end of the file. Nil where the
  /// system does not say.
  package static func cachedPages(
    of descriptor: CInt, at offset: UInt64 = 0, count: UInt64 = 0
  ) -> UInt64? {
    var pages: UInt64 = 0
    let result = SystemCall.shim { muninn_cached_pages(descriptor, offset, count, &pages) }
    return result < 0 ? nil : pages
  }

  /// Gives the clean pages of a range back to the system. A hint: nothing fails with it.
  package static func dropPages(of descriptor: CInt, at offset: UInt64, count: UInt64) {
    guard let start = Int64(exactly: offset), let length = Int64(exactly: count) else { return }
    _ = muninn_drop_pages(descriptor, start, length)
  }
}
