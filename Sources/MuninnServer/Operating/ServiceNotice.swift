import Glibc
import Logging
import MuninnDisk
import ServiceLifecycle
import Synchronization
import UnixSignals

/// What a service says to systemd (sd_notify(3)): datagrams to the socket that it named in the
/// environment. Where nobody asked, nothing is said.
enum ServiceNotice {
  static func send(_ text: String) {
    guard let path = getenv("NOTIFY_SOCKET").map({ String(cString: $0) }),
      path.hasPrefix("/") || path.hasPrefix("@")
    else { return }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    var bytes = Array(path.utf8)
    let capacity = MemoryLayout.size(ofValue: address.sun_path)
    guard bytes.count < capacity else { return }
    // An abstract name begins with a zero byte, written as @.
    if bytes[0] == UInt8(ascii: "@") { bytes[0] = 0 }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let length = MemoryLayout<sa_family_t>.size + bytes.count + (bytes[0] == 0 ? 0 : 1)
    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    let message = Array(text.utf8)
    withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        _ = sendto(
          descriptor, message, message.count, Int32(MSG_NOSIGNAL), $0, socklen_t(length))
      }
    }
  }

  /// Half of what systemd waits for a sign of life, nil where it waits for none.
  static var watchdogInterval: Duration? {
    guard let text = getenv("WATCHDOG_USEC").map({ String(cString: $0) }),
      let microseconds = Int64(text), microseconds > 0
    else { return nil }
    return .microseconds(microseconds / 2)
  }
}

/// Reads the settings again on SIGHUP, and tells systemd that the server lives.
struct Upkeep: Service {
  let reload: @Sendable () async -> Void

  func run() async throws {
    await withTaskGroup { group in
      group.addTask {
        let signals = await UnixSignalsSequence(trapping: .sighup)
        for await _ in signals.cancelOnGracefulShutdown() {
          let time = Machine.monotonicNanoseconds() / 1000
          ServiceNotice.send("RELOADING=1\nMONOTONIC_USEC=\(time)")
          await reload()
          ServiceNotice.send("READY=1")
        }
      }
      if let interval = ServiceNotice.watchdogInterval {
        group.addTask {
          while !Task.isShuttingDownGracefully {
            ServiceNotice.send("WATCHDOG=1")
            guard (try? await Task.sleep(for: interval)) != nil else { return }
          }
        }
      }
      group.addTask {
        try? await gracefulShutdown()
        ServiceNotice.send("STOPPING=1")
      }
      _ = await group.next()
      group.cancelAll()
    }
  }
}
