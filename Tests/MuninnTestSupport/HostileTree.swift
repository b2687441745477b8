import Glibc
package import MuninnDisk

/// A tree with every kind of entry and metadata that a backup must keep, as far as this user and
/// file system can have it. The same seed gives the same tree.
package struct HostileTree: Sendable {
  package let path: String
  /// Entries below the root.
  package let entryCount: Int
  /// What could be made here: "devices", "xattrs", "acl", "capability", "owners".
  package let features: Set<String>

  /// Builds the tree in a directory, which is made unless it is there.
  package static func make(at path: String, seed: UInt64) throws(DiskError) -> HostileTree {
    do throws(DiskError) {
      try FileCalls.makeDirectory(at: AT_FDCWD, path, mode: 0o755, path: path)
    } catch {
      if !error.exists { throw error }
    }
    let root = try FileCalls.openDirectory(at: AT_FDCWD, path, path: path)
    let builder = TreeBuilder(seed: seed, path: path)
    try builder.addFiles(root.descriptor)
    try builder.addNames(root.descriptor)
    try builder.addDirectories(root.descriptor)
    try builder.addLinks(root.descriptor)
    try builder.addNodes(root.descriptor)
    try builder.addSparseFiles(root.descriptor)
    try builder.addAttributes(root.descriptor)
    try builder.addOwners(root.descriptor)
    let count = try builder.setTimes(below: root.descriptor)
    return HostileTree(path: path, entryCount: count, features: builder.features)
  }
}

/// Makes the parts of a hostile tree. Used by one thread.
final class TreeBuilder {
  var generator: SeededGenerator
  var features: Set<String> = []
  private let path: String

  init(seed: UInt64, path: String) {
    generator = SeededGenerator(seed: seed)
    self.path = path
  }

  func addFiles(_ root: CInt) throws(DiskError) {
    let directory = try makeDirectory(root, "files")
    for size in [0, 1, 100, 127, 128, 129, 4095, 4096, 4097, 65536, 300_000, 2_000_000] {
      try makeFile(directory.descriptor, "size-\(size)", generator.bytes(size))
    }
    try makeFile(directory.descriptor, "zeros", [UInt8](repeating: 0, count: 500_000))
    let twin = generator.bytes(200_000)
    try makeFile(directory.descriptor, "twin-1", twin)
    try makeFile(directory.descriptor, "twin-2", twin)
    for mode: UInt16 in [0o000, 0o400, 0o222, 0o777, 0o4755, 0o2755, 0o1644, 0o6711, 0o7777] {
      let name = "mode-" + String(mode, radix: 8)
      try makeFile(directory.descriptor, name, generator.bytes(50))
      try FileCalls.setMode(at: directory.descriptor, name, mode: mode, path: path)
    }
  }

  func addNames(_ root: CInt) throws(DiskError) {
    let directory = try makeDirectory(root, "names")
    for byte in UInt8.min...UInt8.max where byte != 0 && byte != UInt8(ascii: "/") {
      try makeFile(directory.descriptor, [byte, byte, byte], [byte])
    }
    let odd: [[UInt8]] = [
      Array("-rf".utf8), Array(" ".utf8), Array("a ".utf8), Array("*".utf8), Array("\n".utf8),
      Array("....".utf8), Array("a\u{301}".utf8), Array("\u{e1}".utf8),
      [0xc3], [0xff, 0xfe], [0xed, 0xa0, 0x80], Array("con".utf8), Array("%2F".utf8),
      Array("a-b".utf8), Array("a b".utf8), Array("a.b".utf8),
      [UInt8](repeating: 0x80, count: 255), [UInt8](repeating: UInt8(ascii: "n"), count: 255),
    ]
    for name in odd { try makeFile(directory.descriptor, name, name) }
    // "a/b" sorts before "a-b" in a walk although '-' is below '/'.
    let nested = try makeDirectory(directory.descriptor, "a")
    try makeFile(nested.descriptor, "b", [1])
  }

  func addDirectories(_ root: CInt) throws(DiskError) {
    let directory = try makeDirectory(root, "directories")
    _ = try makeDirectory(directory.descriptor, "empty")
    for mode: UInt16 in [0o700, 0o500, 0o1777, 0o2775, 0o711] {
      let name = "mode-" + String(mode, radix: 8)
      _ = try makeDirectory(directory.descriptor, name)
      try FileCalls.setMode(at: directory.descriptor, name, mode: mode, path: path)
    }
    let many = try makeDirectory(directory.descriptor, "many")
    for number in 0..<1000 {
      try makeFile(many.descriptor, "file-\(number)", generator.bytes(number % 50))
    }
    let component = [UInt8](repeating: UInt8(ascii: "d"), count: 80)
    var deep = try makeDirectory(directory.descriptor, "deep")
    for _ in 0..<43 {
      let next = try makeDirectory(deep.descriptor, component)
      deep = next
    }
    try makeFile(deep.descriptor, "bottom", generator.bytes(1000))
  }

  func addLinks(_ root: CInt) throws(DiskError) {
    let directory = try makeDirectory(root, "links")
    let other = try makeDirectory(root, "links-elsewhere")
    let targets: [(String, [UInt8])] = [
      ("relative", Array("../files/size-100".utf8)), ("absolute", Array("/etc/passwd".utf8)),
      ("dangling", Array("nowhere".utf8)), ("loop", Array("loop".utf8)),
      ("to-directory", Array("../files".utf8)), ("to-dot", Array(".".utf8)), ("bytes", [0xff, 10]),
      ("long", [UInt8](repeating: UInt8(ascii: "t"), count: 4095)),
    ]
    for (name, target) in targets {
      try withCName(target) { target throws(DiskError) in
        try FileCalls.makeSymlink(target: target, at: directory.descriptor, name, path: path)
      }
    }
    try makeFile(directory.descriptor, "hard-1", generator.bytes(150_000))
    try makeFile(directory.descriptor, "hard-empty-1", [])
    let pairs = [
      ("hard-1", "hard-2"), ("hard-1", "hard-3"), ("hard-empty-1", "hard-empty-2"),
      ("dangling", "dangling-2"),
    ]
    for (from, to) in pairs {
      try FileCalls.makeHardLink(
        fromDirectory: directory.descriptor, from, toDirectory: other.descriptor, to, path: path)
    }
  }

  func addNodes(_ root: CInt) throws(DiskError) {
    let directory = try makeDirectory(root, "nodes")
    let descriptor = directory.descriptor
    try FileCalls.makeNode(at: descriptor, "fifo", kind: .fifo, mode: 0o640, path: path)
    try FileCalls.makeNode(at: descriptor, "socket", kind: .socket, mode: 0o600, path: path)
    try FileCalls.makeHardLink(
      fromDirectory: descriptor, "fifo", toDirectory: descriptor, "fifo-2", path: path)
    try attempt("devices") { () throws(DiskError) in
      try FileCalls.makeNode(
        at: descriptor, "null", kind: .characterDevice, mode: 0o666, rdevMajor: 1, rdevMinor: 3,
        path: path)
      try FileCalls.makeNode(
        at: descriptor, "block", kind: .blockDevice, mode: 0o600, rdevMajor: 240,
        rdevMinor: 70_000, path: path)
    }
  }

  func addSparseFiles(_ root: CInt) throws(DiskError) {
    let directory = try makeDirectory(root, "sparse")
    // Each has its size and the places where 10,000 bytes of data lie.
    let files: [(name: String, size: UInt64, data: [UInt64])] = [
      ("all-hole", 8 << 20, []), ("start", 4 << 20, [0]), ("middle", 6 << 20, [3 << 20]),
      ("end", 5 << 20, [(5 << 20) - 10_000]), ("comb", 4 << 20, (0..<16).map { $0 << 18 }),
      ("far", 1 << 40, [1 << 39]),
    ]
    for (name, size, places) in files {
      let file = try create(directory.descriptor, Array(name.utf8))
      try FileCalls.truncate(file.descriptor, size, path: path)
      for place in places {
        try writeBytes(file.descriptor, at: place, generator.bytes(10_000), path: path)
      }
    }
  }

  func addAttributes(_ root: CInt) throws(DiskError) {
    let directory = try makeDirectory(root, "attributes")
    let file = try create(directory.descriptor, Array("file".utf8))
    try attempt("xattrs") { () throws(DiskError) in
      for (name, count) in [("user.small", 5), ("user.empty", 0), ("user.big", 2000)] {
        try FileCalls.setExtendedAttribute(
          of: file.descriptor, name: Array(name.utf8), value: generator.bytes(count), path: path)
      }
      let odd = Array("user.".utf8) + [0xff, 0x20, 0x0a]
      try FileCalls.setExtendedAttribute(of: file.descriptor, name: odd, value: [0], path: path)
      try FileCalls.setExtendedAttribute(
        of: directory.descriptor, name: Array("user.d".utf8), value: [1, 0, 2], path: path)
    }
    try withCName(Array("target".utf8)) { target throws(DiskError) in
      try FileCalls.makeSymlink(target: target, at: directory.descriptor, "symlink", path: path)
    }
    try attempt("trusted xattrs") { () throws(DiskError) in
      for name in ["symlink", "file"] {
        try FileCalls.setExtendedAttribute(
          at: directory.descriptor, name, name: Array("trusted.t".utf8), value: [7], path: path)
      }
    }
    try makeFile(directory.descriptor, "capable", [1])
    try attempt("capability") { () throws(DiskError) in
      // vfs_cap_data, revision 2, effective: CAP_NET_BIND_SERVICE.
      let capability: [UInt8] = [1, 0, 0, 2, 0, 4] + [UInt8](repeating: 0, count: 14)
      try FileCalls.setExtendedAttribute(
        at: directory.descriptor, "capable", name: Array("security.capability".utf8),
        value: capability, path: path)
    }
    try attempt("flags") { () throws(DiskError) in
      if let flags = try FileCalls.attributeFlags(of: file.descriptor, path: path) {
        try FileCalls.setAttributeFlags(of: file.descriptor, flags.union(.noDump), path: path)
      }
    }
    addAccessLists(path + "/attributes")
  }

  private func addAccessLists(_ directory: String) {
    do throws(DiskError) {
      let file = try runProgram(["setfacl", "-m", "u:12345:rwx,g:23456:r", directory + "/file"])
      let tree = try runProgram(["setfacl", "-m", "d:u:12345:rx,u:1:r", directory])
      if file.status == 0 && tree.status == 0 { features.insert("acl") }
    } catch {
      // There is no setfacl here.
      return
    }
  }

  func addOwners(_ root: CInt) throws(DiskError) {
    let directory = try makeDirectory(root, "owners")
    try makeFile(directory.descriptor, "file", [1])
    try FileCalls.makeSymlink(target: "file", at: directory.descriptor, "symlink", path: path)
    _ = try makeDirectory(directory.descriptor, "directory")
    try attempt("owners") { () throws(DiskError) in
      for (name, identifier) in [("file", 12345), ("symlink", 1), ("directory", 4_000_000_000)] {
        try FileCalls.setOwner(
          at: directory.descriptor, name, user: UInt32(identifier), group: UInt32(identifier / 2),
          path: path)
      }
    }
  }

  /// Gives every entry below a directory its own times, leaves first, and counts them.
  func setTimes(below directory: CInt) throws(DiskError) -> Int {
    let listing = try DirectoryListing.read(directory, path: path)
    var count = listing.count
    for index in 0..<listing.count {
      let name = listing.name(index)
      let status = try withCName(name) { name throws(DiskError) in
        try FileCalls.status(at: directory, name, path: path)
      }
      if status.kind == .directory {
        let child = try withCName(name) { name throws(DiskError) in
          try FileCalls.openDirectory(at: directory, name, path: path)
        }
        count += try setTimes(below: child.descriptor)
      }
      try withCName(name) { name throws(DiskError) in
        try FileCalls.setTimes(
          at: directory, name, accessed: nextTime(), modified: nextTime(), path: path)
      }
    }
    return count
  }

  /// Between 1905 and 2035, odd nanoseconds; now and then whole seconds or the epoch itself.
  private func nextTime() -> Int64 {
    let second: Int64 = 1_000_000_000
    if generator.oneIn(50) { return 0 }
    if generator.oneIn(50) { return -1 }
    let seconds = Int64(generator.next() % 4_100_000_000) - 2_040_000_000
    if generator.oneIn(10) { return seconds * second }
    return seconds * second + Int64(generator.next() % 1_000_000_000)
  }

  /// What not everybody may do, or not everywhere.
  private func attempt(_ feature: String, _ body: () throws(DiskError) -> Void) throws(DiskError) {
    do throws(DiskError) {
      try body()
    } catch {
      guard error.isAccessDenied || [EOPNOTSUPP, EINVAL, ENOTTY].contains(error.errno) else {
        throw error
      }
      return
    }
    features.insert(feature)
  }

  private func makeDirectory(_ parent: CInt, _ name: String) throws(DiskError) -> OpenFile {
    try makeDirectory(parent, Array(name.utf8))
  }

  private func makeDirectory(_ parent: CInt, _ name: [UInt8]) throws(DiskError) -> OpenFile {
    try withCName(name) { name throws(DiskError) in
      try FileCalls.makeDirectory(at: parent, name, mode: 0o755, path: path)
      return try FileCalls.openDirectory(at: parent, name, path: path)
    }
  }

  private func makeFile(_ parent: CInt, _ name: String, _ bytes: [UInt8]) throws(DiskError) {
    try makeFile(parent, Array(name.utf8), bytes)
  }

  private func makeFile(_ parent: CInt, _ name: [UInt8], _ bytes: [UInt8]) throws(DiskError) {
    let file = try create(parent, name)
    try writeBytes(file.descriptor, at: 0, bytes, path: path)
  }

  private func create(_ parent: CInt, _ name: [UInt8]) throws(DiskError) -> OpenFile {
    try withCName(name) { name throws(DiskError) in
      try FileCalls.open(
        at: parent, name, flags: O_RDWR | O_CREAT | O_EXCL, mode: 0o644, path: path)
    }
  }
}
