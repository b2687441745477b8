import CMuninnSystem
import Glibc

/// How calls report failure, in one place: libc's -1 and `errno`, or this package's C functions'
/// negative error number. A call interrupted by a signal is made again.
enum SystemCall {
  /// Makes a libc call until a signal does not interrupt it; returns its result or -errno.
  @inline(__always)
  static func libc<Result: FixedWidthInteger & SignedInteger>(_ call: () -> Result) -> Result {
    while true {
      let result = call()
      if result >= 0 { return result }
      let error = errno
      if error != EINTR { return Result(-error) }
    }
  }

  /// Makes a call that returns -errno until a signal does not interrupt it.
  @inline(__always)
  static func shim<Result: FixedWidthInteger & SignedInteger>(_ call: () -> Result) -> Result {
    while true {
      let result = call()
      if result != Result(-EINTR) { return result }
    }
  }

  /// Throws where `result` is a negative error number, else hands it back.
  @inline(__always)
  @discardableResult
  static func check<Result: FixedWidthInteger & SignedInteger>(
    _ result: Result, _ operation: StaticString, _ path: () -> String
  ) throws(DiskError) -> Result {
    if result < 0 { throw failure(CInt(truncatingIfNeeded: -result), operation, path()) }
    return result
  }

  @inline(never)
  static func failure(_ error: CInt, _ operation: StaticString, _ path: String) -> DiskError {
    DiskError(errno: error, operation: operation.description, path: path)
  }
}

/// One of the extra open flags that Swift does not see.
struct ExtraOpenFlags: OptionSet {
  let rawValue: CInt
  static let path = Self(muninn_open_path)
  static let noAccessTime = Self(muninn_open_noatime)
  static let temporary = Self(muninn_open_temporary)
  static let direct = Self(muninn_open_direct)

  init(rawValue: CInt) { self.rawValue = rawValue }
  private init(_ flag: muninn_open_flag) { self.init(rawValue: CInt(flag.rawValue)) }
}
