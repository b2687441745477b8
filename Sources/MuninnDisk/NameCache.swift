import Glibc

/// Names of users and groups, looked up once each: the databases may be files or far away.
/// Thread-safe. A lookup that finds nothing is remembered as well.
package enum NameCache {
  private struct Table: Sendable {
    var names: [UInt32: [UInt8]] = [:]
    var identifiers: [[UInt8]: UInt32?] = [:]
  }
  private static let users = Monitor(Table())
  private static let groups = Monitor(Table())

  /// The user's name, empty where it has none.
  package static func userName(_ identifier: UInt32) -> [UInt8] {
    if let known = users.withLock({ $0.names[identifier] }) { return known }
    let name = findUser(identifier)
    users.withLock { $0.names[identifier] = name }
    return name
  }

  /// The group's name, empty where it has none.
  package static func groupName(_ identifier: UInt32) -> [UInt8] {
    if let known = groups.withLock({ $0.names[identifier] }) { return known }
    let name = findGroup(identifier)
    groups.withLock { $0.names[identifier] = name }
    return name
  }

  /// The user of that name, nil where there is none.
  package static func userID(_ name: [UInt8]) -> UInt32? {
    if let known = users.withLock({ $0.identifiers[name] }) { return known }
    let identifier = findUser(named: name)
    users.withLock { $0.identifiers[name] = .some(identifier) }
    return identifier
  }

  /// The group of that name, nil where there is none.
  package static func groupID(_ name: [UInt8]) -> UInt32? {
    if let known = groups.withLock({ $0.identifiers[name] }) { return known }
    let identifier = findGroup(named: name)
    groups.withLock { $0.identifiers[name] = .some(identifier) }
    return identifier
  }

  private static func findUser(_ identifier: UInt32) -> [UInt8] {
    var entry = passwd()
    let found = withGrowingBuffer {
      getpwuid_r(identifier, &entry, $0, $1, $2)
    } then: {
      bytes(of: entry.pw_name)
    }
    return found ?? []
  }

  private static func findGroup(_ identifier: UInt32) -> [UInt8] {
    var entry = group()
    let found = withGrowingBuffer {
      getgrgid_r(identifier, &entry, $0, $1, $2)
    } then: {
      bytes(of: entry.gr_name)
    }
    return found ?? []
  }

  private static func findUser(named name: [UInt8]) -> UInt32? {
    guard !name.contains(0) else { return nil }
    let text = name.map { CChar(bitPattern: $0) } + [0]
    var entry = passwd()
    return withGrowingBuffer {
      getpwnam_r(text, &entry, $0, $1, $2)
    } then: {
      entry.pw_uid
    }
  }

  private static func findGroup(named name: [UInt8]) -> UInt32? {
    guard !name.contains(0) else { return nil }
    let text = name.map { CChar(bitPattern: $0) } + [0]
    var entry = group()
    return withGrowingBuffer {
      getgrnam_r(text, &entry, $0, $1, $2)
    } then: {
      entry.gr_gid
    }
  }

  private static func bytes(of text: UnsafePointer<CChar>?) -> [UInt8] {
    guard let text else { return [] }
    return UnsafeRawBufferPointer(start: text, count: strlen(text)).map { $0 }
  }

  /// Calls a `get…_r` function with more and more room (large groups need it), and reads its result
  /// while the buffer that it points into still lives.
  private static func withGrowingBuffer<Record, Result>(
    _ call: (UnsafeMutablePointer<CChar>, Int, UnsafeMutablePointer<UnsafeMutablePointer<Record>?>)
      -> CInt,
    then body: () -> Result
  ) -> Result? {
    var capacity = 1024
    while capacity <= 16 << 20 {
      let buffer = UnsafeMutablePointer<CChar>.allocate(capacity: capacity)
      defer { buffer.deallocate() }
      var found: UnsafeMutablePointer<Record>?
      let status = call(buffer, capacity, &found)
      if status == 0 { return found == nil ? nil : body() }
      if status != ERANGE && status != EINTR { return nil }
      if status == ERANGE { capacity *= 4 }
    }
    return nil
  }
}
