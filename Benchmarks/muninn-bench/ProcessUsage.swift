import Glibc
import MuninnDisk

/// What this process has used so far, and what the machine did besides.
struct ProcessUsage {
  /// User and system time of all threads.
  let processorSeconds: Double
  /// Busy time of all cores, every program and the kernel included; 0 where it is not known.
  let machineBusySeconds: Double
  let wallNanoseconds: UInt64

  static func now() -> ProcessUsage {
    ProcessUsage(
      processorSeconds: Double(Timing.Clock.process.nanoseconds()) / 1e9,
      machineBusySeconds: machineBusy(), wallNanoseconds: Machine.monotonicNanoseconds())
  }

  private static func machineBusy() -> Double {
    let ticks = Double(max(sysconf(Int32(_SC_CLK_TCK)), 1))
    guard let line = firstLine(of: "/proc/stat", beginning: "cpu ") else { return 0 }
    let numbers = line.split(separator: " ").dropFirst().compactMap { Double($0) }
    // user, nice, system, idle, waiting for disks, interrupts (2), stolen by the host.
    guard numbers.count >= 8 else { return 0 }
    return (numbers[0] + numbers[1] + numbers[2] + numbers[5] + numbers[6] + numbers[7]) / ticks
  }

  /// Resident bytes now.
  static var residentBytes: UInt64 { status("VmRSS:") }

  /// The most resident bytes since the start or the last `resetPeak`.
  static var peakResidentBytes: UInt64 { status("VmHWM:") }

  /// Starts a new peak; where the kernel refuses, the peak is the process's own.
  static func resetPeak() {
    let descriptor = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    var digit = UInt8(ascii: "5")
    write(descriptor, &digit, 1)
    close(descriptor)
  }

  private static func status(_ key: String) -> UInt64 {
    guard let line = firstLine(of: "/proc/self/status", beginning: key) else { return 0 }
    let digits = line.filter { $0 >= "0" && $0 <= "9" }
    return (UInt64(digits) ?? 0) << 10
  }

  private static func firstLine(of path: String, beginning: String) -> String? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 512)
    while fgets(&line, Int32(line.count), file) != nil {
      let bytes = line.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }
      let text = String(decoding: bytes, as: UTF8.self)
      if text.hasPrefix(beginning) {
        return text.split(whereSeparator: { $0 == " " || $0 == "\t" }).joined(separator: " ")
      }
    }
    return nil
  }
}
