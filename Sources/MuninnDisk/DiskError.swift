import CMuninnSystem
package import SystemPackage

/// What the operating system refused: which call, on what, and why.
package struct DiskError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The raw error number, e.g. 28 for ENOSPC.
  package let errno: CInt
  /// The call in its usual name: "open", "statx", "write".
  package let operation: String
  /// For people to read; names that are not UTF-8 may be shown lossily.
  package let path: String

  package init(errno: CInt, operation: String, path: String) {
    self.errno = errno
    self.operation = operation
    self.path = path
  }

  package init(_ code: Errno, operation: String, path: String) {
    self.init(errno: code.rawValue, operation: operation, path: path)
  }

  /// The error number as a named constant.
  package var code: Errno { Errno(rawValue: errno) }

  package var isNotFound: Bool { code == .noSuchFileOrDirectory }
  package var isNoSpace: Bool { code == .noSpace || code == .diskQuotaExceeded }
  package var isAccessDenied: Bool { code == .permissionDenied || code == .notPermitted }
  package var exists: Bool { code == .fileExists }

  /// "No space left on device"
  package var reason: String { code.description }

  /// "write /repository/x: No space left on device (ENOSPC)"
  package var description: String {
    let name = muninn_error_name(errno).map { String(cString: $0) } ?? "errno \(errno)"
    return "\(operation) \(path): \(code.description) (\(name))"
  }
}
