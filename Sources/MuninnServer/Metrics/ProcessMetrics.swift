import CoreMetrics
import Glibc
import MuninnDisk

/// What is measured at the moment that somebody asks.
enum ProcessMetrics {
  private static let started = Double(Machine.nowNanoseconds()) / 1e9

  /// Remembers when the process began, more or less.
  static func begin() { _ = started }

  static func update() {
    Meter(label: "process_start_time_seconds").set(started)
    if let pages = resident() {
      Meter(label: "process_resident_memory_bytes").set(Double(pages) * Double(getpagesize()))
    }
    if let count = descriptorCount() { Meter(label: "process_open_fds").set(Double(count)) }
  }

  private static func resident() -> UInt64? {
    guard let bytes = try? PrivateFile.content("/proc/self/statm") else { return nil }
    let words = String(decoding: bytes, as: UTF8.self).split(separator: " ")
    return words.count > 1 ? UInt64(words[1]) : nil
  }

  private static func descriptorCount() -> Int? {
    do throws(DiskError) {
      let directory = try FileCalls.open(
        at: AT_FDCWD, "/proc/self/fd", flags: O_RDONLY | O_DIRECTORY, path: "/proc/self/fd")
      return try DirectoryListing.read(directory.descriptor, path: "/proc/self/fd").count - 1
    } catch {
      return nil
    }
  }
}
