import CMuninnSystem
import Glibc

// Bytes of open files. Counts are in bytes.
extension FileCalls {
  /// Linux transfers at most this much in a call; asking for less keeps results in range.
  private static let maximumTransfer = 1 << 30

  /// Fills the buffer from the file's position; less comes back only at the end of the file.
  package static func read(
    _ descriptor: CInt, into buffer: UnsafeMutableRawBufferPointer,
    path: @autoclosure () -> String
  ) throws(DiskError) -> Int {
    guard let base = buffer.baseAddress else { return 0 }
    var filled = 0
    while filled < buffer.count {
      let wanted = min(buffer.count - filled, maximumTransfer)
      let result = SystemCall.libc { Glibc.read(descriptor, base + filled, wanted) }
      let got = try SystemCall.check(result, "read", path)
      if got == 0 { break }
      filled += got
    }
    return filled
  }

  /// Fills the buffer from `offset`; less comes back only at the end of the file.
  package static func read(
    _ descriptor: CInt, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer,
    path: @autoclosure () -> String
  ) throws(DiskError) -> Int {
    guard let base = buffer.baseAddress else { return 0 }
    guard fits(offset, buffer.count) else { throw SystemCall.failure(EINVAL, "read", path()) }
    var filled = 0
    while filled < buffer.count {
      let wanted = min(buffer.count - filled, maximumTransfer)
      let position = off_t(offset) + off_t(filled)
      let result = SystemCall.libc { pread(descriptor, base + filled, wanted, position) }
      let got = try SystemCall.check(result, "read", path)
      if got == 0 { break }
      filled += got
    }
    return filled
  }

  /// Writes all bytes at the file's position.
  package static func write(
    _ descriptor: CInt, _ bytes: UnsafeRawBufferPointer, path: @autoclosure () -> String
  ) throws(DiskError) {
    guard let base = bytes.baseAddress else { return }
    var written = 0
    while written < bytes.count {
      let wanted = min(bytes.count - written, maximumTransfer)
      let result = SystemCall.libc { Glibc.write(descriptor, base + written, wanted) }
      let put = try SystemCall.check(result, "write", path)
      // A device that takes nothing and reports nothing would hold us here for ever.
      guard put > 0 else { throw SystemCall.failure(EIO, "write", path()) }
      written += put
    }
  }

  /// Writes all bytes at `offset`.
  package static func write(
    _ descriptor: CInt, at offset: UInt64, _ bytes: UnsafeRawBufferPointer,
    path: @autoclosure () -> String
  ) throws(DiskError) {
    guard let base = bytes.baseAddress else { return }
    guard fits(offset, bytes.count) else { throw SystemCall.failure(EFBIG, "write", path()) }
    var written = 0
    while written < bytes.count {
      let wanted = min(bytes.count - written, maximumTransfer)
      let position = off_t(offset) + off_t(written)
      let result = SystemCall.libc { pwrite(descriptor, base + written, wanted, position) }
      let put = try SystemCall.check(result, "write", path)
      guard put > 0 else { throw SystemCall.failure(EIO, "write", path()) }
      written += put
    }
  }

  /// Sets the size; what is added reads as zeros and is a hole.
  package static func truncate(
    _ descriptor: CInt, _ size: UInt64, path: @autoclosure () -> String
  ) throws(DiskError) {
    guard fits(size, 0) else { throw SystemCall.failure(EFBIG, "truncate", path()) }
    let result = SystemCall.libc { ftruncate(descriptor, off_t(size)) }
    try SystemCall.check(result, "truncate", path)
  }

  /// Reserves blocks for the first `size` bytes and makes the file at least that long. Returns
  /// false where the file system cannot reserve; ENOSPC is thrown.
  package static func allocate(
    _ descriptor: CInt, _ size: UInt64, path: @autoclosure () -> String
  ) throws(DiskError) -> Bool {
    try allocate(descriptor, at: 0, size, keepSize: false, path: path)
  }

  /// The same for the `count` bytes from `offset`; what lies before them stays a hole.
  package static func allocate(
    _ descriptor: CInt, at offset: UInt64, _ count: UInt64, path: @autoclosure () -> String
  ) throws(DiskError) -> Bool {
    try allocate(descriptor, at: offset, count, keepSize: false, path: path)
  }

  /// Reserves blocks for `size` bytes and leaves the file as long as it is. Returns false where the
  /// file system cannot reserve; ENOSPC is thrown.
  package static func reserve(
    _ descriptor: CInt, _ size: UInt64, path: @autoclosure () -> String
  ) throws(DiskError) -> Bool {
    try allocate(descriptor, at: 0, size, keepSize: true, path: path)
  }

  static func allocate(
    _ descriptor: CInt, at offset: UInt64, _ count: UInt64, keepSize: Bool, path: () -> String
  ) throws(DiskError) -> Bool {
    guard count > 0 else { return true }
    let (end, overflows) = offset.addingReportingOverflow(count)
    guard !overflows, fits(end, 0) else { throw SystemCall.failure(EFBIG, "fallocate", path()) }
    let result = SystemCall.shim {
      muninn_allocate(descriptor, keepSize ? 1 : 0, Int64(offset), Int64(count))
    }
    if result == -EOPNOTSUPP || result == -ENOSYS { return false }
    try SystemCall.check(result, "fallocate", path)
    return true
  }

  /// Makes a hole of the `count` bytes from `offset`, within the file. Returns false where the file
  /// system has no holes.
  package static func punchHole(
    _ descriptor: CInt, at offset: UInt64, _ count: UInt64, path: @autoclosure () -> String
  ) throws(DiskError) -> Bool {
    guard count > 0 else { return true }
    let (end, overflows) = offset.addingReportingOverflow(count)
    guard !overflows, fits(end, 0) else { throw SystemCall.failure(EFBIG, "fallocate", path()) }
    let result = SystemCall.shim { muninn_punch_hole(descriptor, Int64(offset), Int64(count)) }
    if result == -EOPNOTSUPP || result == -ENOSYS { return false }
    try SystemCall.check(result, "fallocate", path)
    return true
  }

  /// Turns O_DIRECT of an open file on or off; returns false where the file system knows none.
  package static func setDirect(_ descriptor: CInt, _ isDirect: Bool) -> Bool {
    SystemCall.shim { muninn_set_direct(descriptor, isDirect ? 1 : 0) } == 0
  }

  /// fsync: content, size and everything else of the file is on stable storage when it returns.
  /// After an error the kernel may have dropped what it could not write: write anew, do not sync
  /// again.
  package static func sync(
    _ descriptor: CInt, path: @autoclosure () -> String
  ) throws(DiskError) {
    let result = SystemCall.libc { fsync(descriptor) }
    try SystemCall.check(result, "fsync", path)
  }

  /// syncfs: everything that was written to the descriptor's file system is on stable storage when
  /// it returns, and every byte of it has its place.
  package static func syncFileSystem(
    of descriptor: CInt, path: @autoclosure () -> String
  ) throws(DiskError) {
    let result = SystemCall.shim { muninn_sync_file_system(descriptor) }
    try SystemCall.check(result, "syncfs", path)
  }

  /// Lets the page cache forget what it has of the file and is on stable storage, so that the next
  /// read asks the disk. Only advice: nothing is reported.
  package static func forgetPages(_ descriptor: CInt) { _ = muninn_forget_pages(descriptor) }

  /// Whether a range is one that the kernel's signed offsets can express.
  private static func fits(_ offset: UInt64, _ count: Int) -> Bool {
    let (end, overflows) = offset.addingReportingOverflow(UInt64(count))
    return !overflows && end <= UInt64(Int64.max)
  }
}

// Where data is.
extension FileCalls {
  /// The next stretch of data that ends after `offset`, nil when only a hole follows. Where the
  /// file system does not know holes all is data. Moves the file's position.
  package static func nextData(
    _ descriptor: CInt, from offset: UInt64, path: @autoclosure () -> String
  ) throws(DiskError) -> (start: UInt64, end: UInt64)? {
    guard let position = Int64(exactly: offset) else { return nil }
    let data = SystemCall.shim { muninn_seek_data(descriptor, position) }
    if data == Int64(-ENXIO) { return nil }
    let start = try SystemCall.check(data, "lseek", path)
    let hole = SystemCall.shim { muninn_seek_hole(descriptor, start) }
    // The file may have shrunk in between.
    if hole == Int64(-ENXIO) { return nil }
    let end = try SystemCall.check(hole, "lseek", path)
    return (UInt64(start), UInt64(end))
  }

  /// The stretches of data below `size`, in order; what lies between them is holes. All of it where
  /// the file system does not know holes. Leaves the file's position at 0.
  package static func dataRanges(
    _ descriptor: CInt, size: UInt64, path: @autoclosure () -> String
  ) throws(DiskError) -> [Range<UInt64>] {
    guard size > 0 else { return [] }
    defer { lseek(descriptor, 0, SEEK_SET) }
    var ranges: [Range<UInt64>] = []
    var offset: UInt64 = 0
    do throws(DiskError) {
      while offset < size, let data = try nextData(descriptor, from: offset, path: path()) {
        guard data.start < size, data.end > data.start else { break }
        ranges.append(data.start..<min(data.end, size))
        offset = data.end
      }
    } catch {
      let isUnsupported = error.errno == EINVAL || error.errno == EOPNOTSUPP
      guard isUnsupported, ranges.isEmpty else { throw error }
      return [0..<size]
    }
    return ranges
  }

  /// In how many contiguous runs the file lies on disk, as filefrag(8) counts them; nil where the
  /// file system does not say. What was written lately may have no place yet: `syncFileSystem`
  /// first.
  package static func extentCount(
    of descriptor: CInt, path: @autoclosure () -> String
  ) throws(DiskError) -> UInt64? {
    var count: UInt64 = 0
    let result = SystemCall.shim { muninn_extent_count(descriptor, &count) }
    if [-EOPNOTSUPP, -ENOTTY, -ENOSYS, -EINVAL, -EBADR].contains(result) { return nil }
    try SystemCall.check(result, "fiemap", path)
    return count
  }
}
