internal import Glibc

/// Which process this is, so that another on the same machine can say whether it still runs.
package struct ProcessIdentity: Sendable, Equatable {
  package var host = ""
  /// The machine's own id, the same after a restart; empty where it has none.
  package var machine = ""
  /// The kernel's id of this start of the machine; empty where it tells none.
  package var boot = ""
  /// The namespace in which the process has its number.
  package var namespace = ""
  package var process: Int32 = 0
  /// When the process began, in the kernel's ticks since the machine's start.
  package var began = ""

  package init() {}

  package static func current() -> ProcessIdentity {
    var identity = ProcessIdentity()
    identity.host = Machine.hostName()
    identity.machine = firstLine("/etc/machine-id")
    identity.boot = firstLine("/proc/sys/kernel/random/boot_id")
    identity.namespace = link("/proc/self/ns/pid")
    identity.process = getpid()
    identity.began = beginning(of: identity.process) ?? ""
    return identity
  }

  /// Whether the process is over: nil where that cannot be seen from here.
  package func isOver() -> Bool? {
    let here = ProcessIdentity.current()
    guard !boot.isEmpty, !here.boot.isEmpty, process > 0 else { return nil }
    if boot == here.boot {
      guard namespace == here.namespace, !began.isEmpty else { return nil }
      let now = ProcessIdentity.beginning(of: process)
      // Where other users' processes are hidden (hidepid, systemd's ProtectProc) only a signal that
      // is none tells whether there is one.
      if now == nil, kill(process, 0) == 0 || errno == EPERM { return nil }
      return now != began
    }
    // The same machine, started anew since.
    let isSameMachine = !machine.isEmpty && machine == here.machine && host == here.host
    return isSameMachine ? true : nil
  }

  /// Field 22 of `/proc/PID/stat`, after the name, which may hold anything; nil where the process
  /// is not there, or hidden. Empty for a zombie, which is over too: it writes nothing more.
  private static func beginning(of process: Int32) -> String? {
    let line = firstLine("/proc/\(process)/stat")
    if line.isEmpty { return nil }
    guard let end = line.lastIndex(of: ")") else { return "" }
    let fields = line[line.index(after: end)...].split(separator: " ")
    guard fields.count > 19, fields[0] != "Z", fields[0] != "X" else { return "" }
    return String(fields[19])
  }

  private static func firstLine(_ path: String) -> String {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
    guard count > 0 else { return "" }
    return String(decoding: bytes[..<count].prefix { $0 != 0x0A }, as: UTF8.self)
  }

  private static func link(_ path: String) -> String {
    var bytes = [CChar](repeating: 0, count: 256)
    let count = readlink(path, &bytes, bytes.count)
    guard count > 0 else { return "" }
    return String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
