import CMuninnSystem
import Glibc

/// One extended attribute. POSIX ACLs and capabilities are attributes as well
/// (`system.posix_acl_access`, `security.capability`).
package struct ExtendedAttribute: Sendable, Equatable {
  package var name: [UInt8]
  package var value: [UInt8]

  package init(name: [UInt8], value: [UInt8]) {
    self.name = name
    self.value = value
  }
}

extension FileCalls {
  /// XATTR_LIST_MAX and XATTR_SIZE_MAX of Linux.
  private static let maximumAttributeByteCount = 65536
  /// What fits on the stack, and nearly always is enough.
  private static let usualAttributeByteCount = 1024

  /// Sorted by name; empty where there are none or the file system has no such thing. One call
  /// where there are none. Attributes that vanish meanwhile are left out.
  package static func extendedAttributes(
    of descriptor: CInt, path: @autoclosure () -> String
  ) throws(DiskError) -> [ExtendedAttribute] {
    try extendedAttributes(descriptor, nil, path)
  }

  /// The same of a name, for kinds that cannot be opened: of a symlink itself, never its target.
  package static func extendedAttributes(
    at directory: CInt, _ name: UnsafePointer<CChar>, path: @autoclosure () -> String
  ) throws(DiskError) -> [ExtendedAttribute] {
    try extendedAttributes(directory, name, path)
  }

  /// Creates or replaces. ENOTSUP or EPERM where the kind or the file system has no such attribute.
  package static func setExtendedAttribute(
    of descriptor: CInt, name: [UInt8], value: [UInt8], path: @autoclosure () -> String
  ) throws(DiskError) {
    try setExtendedAttribute(descriptor, nil, name, value, path)
  }

  /// The same by name, for kinds that cannot be opened; a symlink itself is meant.
  package static func setExtendedAttribute(
    at directory: CInt, _ fileName: UnsafePointer<CChar>, name: [UInt8], value: [UInt8],
    path: @autoclosure () -> String
  ) throws(DiskError) {
    try setExtendedAttribute(directory, fileName, name, value, path)
  }

  /// Absent is not an error.
  package static func removeExtendedAttribute(
    of descriptor: CInt, name: [UInt8], path: @autoclosure () -> String
  ) throws(DiskError) {
    try removeExtendedAttribute(descriptor, nil, name, path)
  }

  /// Absent is not an error; a symlink itself is meant.
  package static func removeExtendedAttribute(
    at directory: CInt, _ fileName: UnsafePointer<CChar>, name: [UInt8],
    path: @autoclosure () -> String
  ) throws(DiskError) {
    try removeExtendedAttribute(directory, fileName, name, path)
  }

  private static func setExtendedAttribute(
    _ directory: CInt, _ fileName: UnsafePointer<CChar>?, _ name: [UInt8], _ value: [UInt8],
    _ path: () -> String
  ) throws(DiskError) {
    let name = try attributeName(name, path)
    let result = SystemCall.shim {
      muninn_set_xattr_at(directory, fileName, name, value, value.count)
    }
    try SystemCall.check(result, "setxattr", path)
  }

  private static func removeExtendedAttribute(
    _ directory: CInt, _ fileName: UnsafePointer<CChar>?, _ name: [UInt8], _ path: () -> String
  ) throws(DiskError) {
    let name = try attributeName(name, path)
    let result = SystemCall.shim { muninn_remove_xattr_at(directory, fileName, name) }
    if result != -ENODATA { try SystemCall.check(result, "removexattr", path) }
  }

  private static func extendedAttributes(
    _ directory: CInt, _ fileName: UnsafePointer<CChar>?, _ path: () -> String
  ) throws(DiskError) -> [ExtendedAttribute] {
    let (listed, names) = filled { list, capacity in
      SystemCall.shim { muninn_list_xattr_at(directory, fileName, list, capacity) }
    }
    if listed == 0 || listed == -Int(EOPNOTSUPP) { return [] }
    try SystemCall.check(listed, "listxattr", path)
    var attributes: [ExtendedAttribute] = []
    for name in names.split(separator: 0) {
      let text = name.map { CChar(bitPattern: $0) } + [0]
      let (got, value) = filled { value, capacity in
        SystemCall.shim { muninn_get_xattr_at(directory, fileName, text, value, capacity) }
      }
      if got == -Int(ENODATA) || got == -Int(EOPNOTSUPP) { continue }
      try SystemCall.check(got, "getxattr", path)
      attributes.append(ExtendedAttribute(name: [UInt8](name), value: value))
    }
    attributes.sort { $0.name.lexicographicallyPrecedes($1.name) }
    return attributes
  }

  /// The name with its NUL; EINVAL where it is empty or holds one already.
  private static func attributeName(
    _ name: [UInt8], _ path: () -> String
  ) throws(DiskError) -> [CChar] {
    guard !name.isEmpty, !name.contains(0) else {
      throw SystemCall.failure(EINVAL, "setxattr", path())
    }
    return name.map { CChar(bitPattern: $0) } + [0]
  }

  /// Runs a call with the usual room, and once more with the most that Linux allows.
  private static func filled(
    _ call: (UnsafeMutablePointer<CChar>, Int) -> Int
  ) -> (result: Int, bytes: [UInt8]) {
    for capacity in [usualAttributeByteCount, maximumAttributeByteCount] {
      let (result, bytes) = withUnsafeTemporaryAllocation(of: CChar.self, capacity: capacity) {
        buffer -> (Int, [UInt8]) in
        guard let base = buffer.baseAddress else { return (-Int(ENOMEM), []) }
        let result = call(base, capacity)
        guard result > 0 else { return (result, []) }
        return (result, [UInt8](UnsafeRawBufferPointer(start: base, count: result)))
      }
      if result != -Int(ERANGE) { return (result, bytes) }
    }
    return (-Int(ERANGE), [])
  }
}
