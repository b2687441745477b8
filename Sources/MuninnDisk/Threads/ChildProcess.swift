import CMuninnSystem
import Glibc

/// A program that this process started. It reads nothing, and says on standard error what it has to
/// say. Belongs to one thread; whoever starts it waits for it.
package final class ChildProcess {
  private let process: CInt
  /// The end of its output that is read here; negative where it is not.
  private let output: CInt
  private var status: CInt?

  /// Starts the program that the first argument names, looked up in PATH; `environment` are
  /// `NAME=VALUE` texts. Its output can be read where `readsOutput`, else it goes to standard
  /// error.
  package init(
    _ arguments: [[UInt8]], environment: [[UInt8]] = [], readsOutput: Bool = false
  ) throws(DiskError) {
    let shown = arguments.first.map { String(decoding: $0, as: UTF8.self) } ?? ""
    guard let name = arguments.first, !name.isEmpty,
      ![arguments, environment].joined().contains(where: { $0.contains(0) })
    else { throw SystemCall.failure(EINVAL, "execute", shown) }
    var readEnd: CInt = -1
    var writeEnd: CInt = -1
    if readsOutput {
      let result = SystemCall.shim { muninn_make_pipe(&readEnd, &writeEnd) }
      try SystemCall.check(result, "pipe", { shown })
    }
    output = readEnd
    defer { if writeEnd >= 0 { close(writeEnd) } }
    var child: CInt = 0
    let result = ChildProcess.withTexts(arguments) { arguments in
      ChildProcess.withTexts(environment) { environment in
        muninn_spawn(arguments, environment, writeEnd, &child)
      }
    }
    process = child
    // There is no process to be waited for.
    if result < 0 { status = 255 }
    try SystemCall.check(result, "execute", { shown })
  }

  deinit {
    if output >= 0 { close(output) }
    if status == nil {
      _ = waitToEnd { true }
    }
  }

  /// Reads what the program writes, until the buffer is full, its output ends, or `isCancelled`.
  package func read(
    into buffer: UnsafeMutableRawBufferPointer, isCancelled: () -> Bool
  ) throws(DiskError) -> Int {
    guard output >= 0 else { return 0 }
    return try FileCalls.readStream(
      output, into: buffer, isCancelled: isCancelled, path: "the command's output")
  }

  /// Waits until the program has ended: its exit status, or 128 and the number of the signal that
  /// ended it. Where `isCancelled` says so meanwhile, it is asked to end.
  package func waitToEnd(isCancelled: () -> Bool) -> CInt {
    var ended: CInt = 0
    var askedAt: UInt64?
    while status == nil {
      let result = SystemCall.shim { muninn_wait_for(process, 0, &ended) }
      if result != 0 {
        status = result < 0 ? 255 : ended
        break
      }
      if let askedAt {
        // Whoever does not listen is not asked for ever.
        if Machine.monotonicNanoseconds() - askedAt > 5_000_000_000 { kill(process, SIGKILL) }
      } else if isCancelled() {
        terminate()
        askedAt = Machine.monotonicNanoseconds()
      }
      Machine.sleep(nanoseconds: 5_000_000)
    }
    return status ?? 255
  }

  /// Asks the program to end.
  package func terminate() { if status == nil { kill(process, SIGTERM) } }

  /// Hands the texts to `body` as C has a list of them.
  private static func withTexts<R>(
    _ texts: [[UInt8]], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> R
  ) -> R {
    var bytes: [CChar] = []
    var starts: [Int] = []
    for text in texts {
      starts.append(bytes.count)
      bytes += text.map { CChar(bitPattern: $0) } + [0]
    }
    bytes.append(0)
    return bytes.withUnsafeBufferPointer { bytes in
      // Each start lies in the bytes, which are not empty.
      var pointers = starts.map { start in bytes.baseAddress.map { $0 + start } }
      pointers.append(nil)
      return pointers.withUnsafeBufferPointer { pointers in
        guard let list = pointers.baseAddress else { preconditionFailure("an empty list of texts") }
        return body(list)
      }
    }
  }
}

extension FileCalls {
  /// Fills the buffer from a pipe or the like; less comes back at its end, or where `isCancelled`
  /// says so, which is asked at least every fifth of a second.
  package static func readStream(
    _ descriptor: CInt, into buffer: UnsafeMutableRawBufferPointer, isCancelled: () -> Bool,
    path: @autoclosure () -> String
  ) throws(DiskError) -> Int {
    guard let base = buffer.baseAddress else { return 0 }
    var filled = 0
    while filled < buffer.count {
      if isCancelled() { throw SystemCall.failure(ECANCELED, "read", path()) }
      let ready = SystemCall.shim { muninn_wait_readable(descriptor, 200) }
      if try SystemCall.check(ready, "poll", path) == 0 { continue }
      let result = SystemCall.libc { Glibc.read(descriptor, base + filled, buffer.count - filled) }
      let got = try SystemCall.check(result, "read", path)
      if got == 0 { break }
      filled += got
    }
    return filled
  }
}
