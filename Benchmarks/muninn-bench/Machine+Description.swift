import CMuninn
import Glibc
import MuninnDisk

/// The machine as one line of a report.
struct MachineDescription: Encodable {
  let host: String
  let processor: String
  let cores: Int
  let memoryBytes: UInt64
  let kernel: String
  let chunkKernel: String

  static func current() -> MachineDescription {
    var system = utsname()
    uname(&system)
    let release = withUnsafeBytes(of: &system.release) { bytes in
      String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    let pages = UInt64(max(sysconf(Int32(_SC_PHYS_PAGES)), 0))
    let pageSize = UInt64(max(sysconf(Int32(_SC_PAGESIZE)), 0))
    return MachineDescription(
      host: Machine.hostName(), processor: processorName(), cores: Machine.coreCount,
      memoryBytes: pages * pageSize, kernel: release,
      chunkKernel: String(cString: mn_kernel_name(mn_kernel_best())))
  }

  var line: String {
    "\(processor), \(cores) cores, \(memoryBytes >> 30) GiB, Linux \(kernel), "
      + "\(chunkKernel) chunk kernel"
  }

  private static func processorName() -> String {
    guard let file = fopen("/proc/cpuinfo", "r") else { return "unknown processor" }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 512)
    while fgets(&line, Int32(line.count), file) != nil {
      let bytes = line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
      let text = String(decoding: bytes, as: UTF8.self)
      guard text.hasPrefix("model name"), let colon = text.firstIndex(of: ":") else { continue }
      return text[text.index(after: colon)...].filter { $0 != "\n" }.trimmingSpaces()
    }
    return "unknown processor"
  }
}

extension String {
  func trimmingSpaces() -> String {
    let rest = drop { $0 == " " }
    return String(rest.reversed().drop { $0 == " " }.reversed())
  }
}
