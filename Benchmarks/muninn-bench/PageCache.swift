import Glibc

/// What the kernel holds of files in memory.
enum PageCache {
  /// Asks the kernel to forget the files' pages; dirty ones must be on the disk for that. Names and
  /// inodes stay known.
  static func drop(_ paths: [String]) {
    for path in paths {
      let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
      guard descriptor >= 0 else { continue }
      fdatasync(descriptor)
      posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
      close(descriptor)
    }
  }

  /// Drops everything, names and inodes included, of the whole machine. Only root may.
  static func dropAll() throws {
    sync()
    let descriptor = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw BenchError("only root may drop the machine's caches") }
    defer { close(descriptor) }
    var digit = UInt8(ascii: "3")
    guard write(descriptor, &digit, 1) == 1 else {
      throw BenchError("the kernel does not drop its caches")
    }
  }
}
