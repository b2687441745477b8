import CMuninnSystem
import Glibc

/// Facts about the machine and the process.
package enum Machine {
  /// The processors that this process may run on, at least 1.
  package static let coreCount = Int(max(1, muninn_processor_count()))

  /// Bytes of physical memory, at least 64 MiB.
  package static let memoryByteCount = UInt64(
    max(64 << 20, sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))))

  /// "localhost" where the system names none.
  package static func hostName() -> String {
    var name = [CChar](repeating: 0, count: 256)
    guard gethostname(&name, name.count - 1) == 0 else { return "localhost" }
    let host = String(
      decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return host.isEmpty ? "localhost" : host
  }

  /// The name of the effective user, or the number as text where it has none.
  package static func userName() -> String {
    let name = NameCache.userName(geteuid())
    return name.isEmpty ? String(geteuid()) : String(decoding: name, as: UTF8.self)
  }

  /// Since 1970, CLOCK_REALTIME: for people; never to decide about safety.
  package static func nowNanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }

  /// The running boot's id, `/proc/sys/kernel/random/boot_id`: other after each start of the
  /// system. Empty where the system does not tell.
  package static let bootIdentity: [UInt8] = {
    let path = "/proc/sys/kernel/random/boot_id"
    guard let file = try? FileCalls.openForReading(at: AT_FDCWD, path, path: path) else {
      return []
    }
    let buffer = Buffer(capacity: 64)
    let got = (try? FileCalls.read(file.descriptor, into: buffer.bytes, path: path)) ?? 0
    return [UInt8](buffer.bytes[..<got])
  }()

  /// Since some moment in the past, CLOCK_MONOTONIC: for durations.
  package static func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  /// A time since 1970 as text that sorts as the times do: `20261123T155901Z-123456789`, UTC.
  package static func timestamp(_ nanoseconds: Int64) -> String {
    let (whole, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
    var seconds = time_t(whole)
    var parts = tm()
    gmtime_r(&seconds, &parts)
    func padded(_ value: Int, _ width: Int) -> String {
      let digits = String(max(value, 0))
      return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
    let date =
      padded(Int(parts.tm_year) + 1900, 4) + padded(Int(parts.tm_mon) + 1, 2)
      + padded(Int(parts.tm_mday), 2)
    let clock =
      padded(Int(parts.tm_hour), 2) + padded(Int(parts.tm_min), 2) + padded(Int(parts.tm_sec), 2)
    return "\(date)T\(clock)Z-\(padded(Int(rest), 9))"
  }

  /// From the kernel's generator, fit for keys.
  package static func randomBytes(_ count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      let bytes = UnsafeMutableRawBufferPointer(buffer)
      var filled = 0
      while filled < count {
        let part = UnsafeMutableRawBufferPointer(rebasing: bytes[filled...])
        let got = part.baseAddress.map { start in
          SystemCall.shim { muninn_random(start, part.count) }
        }
        guard let got, got > 0 else { preconditionFailure("the kernel gives no random bytes") }
        filled += got
      }
      initialized = count
    }
  }

  /// The user and group that new files of this process belong to.
  package static var effectiveIDs: (user: UInt32, group: UInt32) { (geteuid(), getegid()) }

  package static func processID() -> Int32 { getpid() }

  /// The descriptors that this process may have open at a time.
  package static var maximumOpenFiles: Int { Int(clamping: muninn_open_file_limit()) }

  /// Makes the table of descriptors as large as many open directories and files need, once.
  ///
  /// The kernel doubles it as they come. In a process with threads each doubling waits until all
  /// processors have been seen outside the old table (expand_fdtable, synchronize_rcu), about 15 ms
  /// for whoever opens a file: as long as a fifth of an unchanged backup together. A program calls
  /// this before it has threads, when it costs nothing; a backup calls it for those that did not.
  package static func growDescriptorTable() { _ = grownDescriptorTable }

  private static let grownDescriptorTable: Void = muninn_grow_descriptor_table(
    CInt(clamping: min(maximumOpenFiles, 4096)))

  /// CPU time of the calling thread.
  package static func threadNanoseconds() -> UInt64 { muninn_thread_cpu_time() }

  /// For a process that stays: memory that operations free goes back to the system.
  ///
  /// Left to itself glibc takes the first large block that is freed as a sign that more of its size
  /// will be wanted, and keeps all up to that size, 32 MiB at most, in heaps of which each thread
  /// may have one. The buffers of an operation live as long as it does, so nothing is gained by
  /// that.
  package static func returnFreedMemory() {
    muninn_return_memory(256 << 10, Int32(clamping: max(2, coreCount)))
  }

  /// Puts the calling thread to sleep; a signal may end that early.
  package static func sleep(nanoseconds: UInt64) {
    var time = timespec(
      tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
    nanosleep(&time, nil)
  }
}
