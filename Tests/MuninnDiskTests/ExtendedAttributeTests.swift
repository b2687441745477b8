import Glibc
import MuninnDisk
import MuninnTestSupport
import Testing

/// Whether the temporary directory's file system keeps attributes of users.
private let hasUserAttributes: Bool = {
  guard let directory = try? TemporaryDirectory(),
    let file = try? FileCalls.openDirectory(at: AT_FDCWD, directory.path, path: "p")
  else { return false }
  return
    (try? FileCalls.setExtendedAttribute(
      of: file.descriptor, name: Array("user.a".utf8), value: [1], path: "p")) != nil
}()

@Suite(.enabled(if: hasUserAttributes)) struct ExtendedAttributeTests {
  @Test func whatIsSetComesBackSorted() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("file")
    try writeFile(path, [1])
    let root = try FileCalls.openDirectory(at: AT_FDCWD, directory.path, path: "p")
    let file = try FileCalls.openForReading(at: root.descriptor, "file", path: path)
    #expect(try FileCalls.extendedAttributes(of: file.descriptor, path: path).isEmpty)
    #expect(try FileCalls.extendedAttributes(at: root.descriptor, "file", path: path).isEmpty)
    var generator = SeededGenerator(seed: 7)
    let expected = [
      ExtendedAttribute(name: Array("user.".utf8) + [0x01], value: []),
      ExtendedAttribute(name: Array("user.a".utf8), value: [0, 1, 0]),
      ExtendedAttribute(name: Array("user.big".utf8), value: generator.bytes(2500)),
      ExtendedAttribute(name: Array("user.z".utf8) + [0xff], value: [9]),
    ]
    for attribute in expected.reversed() {
      try FileCalls.setExtendedAttribute(
        of: file.descriptor, name: attribute.name, value: attribute.value, path: path)
    }
    #expect(try FileCalls.extendedAttributes(of: file.descriptor, path: path) == expected)
    #expect(
      try FileCalls.extendedAttributes(at: root.descriptor, "file", path: path) == expected)
    #expect(try FileCalls.extendedAttributes(at: AT_FDCWD, path, path: path) == expected)
    for attribute in expected {
      try FileCalls.removeExtendedAttribute(
        at: root.descriptor, "file", name: attribute.name, path: path)
      try FileCalls.removeExtendedAttribute(
        of: file.descriptor, name: attribute.name, path: path)
    }
    #expect(try FileCalls.extendedAttributes(of: file.descriptor, path: path).isEmpty)
  }

  /// More names than fit into the room that is tried first.
  @Test func longListsComeWhole() throws {
    let directory = try TemporaryDirectory(
      in: access("/dev/shm", W_OK) == 0 ? "/dev/shm" : nil)
    let path = directory.file("file")
    try writeFile(path, [1])
    let file = try FileCalls.openForReading(at: AT_FDCWD, path, path: path)
    var expected: [ExtendedAttribute] = []
    for number in 0..<40 {
      let name = Array("user.\(100 + number)".utf8) + [UInt8](repeating: 0x78, count: 100)
      do throws(DiskError) {
        try FileCalls.setExtendedAttribute(
          of: file.descriptor, name: name, value: [UInt8(number)], path: path)
      } catch {
        // This file system keeps fewer, or none.
        guard error.isNoSpace || error.errno == EOPNOTSUPP else { throw error }
        break
      }
      expected.append(ExtendedAttribute(name: name, value: [UInt8(number)]))
    }
    #expect(try FileCalls.extendedAttributes(of: file.descriptor, path: path) == expected)
  }

  @Test(.enabled(if: geteuid() == 0))
  func aSymlinkHasItsOwn() throws {
    let directory = try TemporaryDirectory()
    let root = try FileCalls.openDirectory(at: AT_FDCWD, directory.path, path: "p")
    try writeFile(directory.file("file"), [1])
    try FileCalls.makeSymlink(target: "file", at: root.descriptor, "symlink", path: "p")
    try FileCalls.makeNode(at: root.descriptor, "fifo", kind: .fifo, mode: 0o600, path: "p")
    for (index, name) in ["file", "symlink", "fifo"].enumerated() {
      try FileCalls.setExtendedAttribute(
        at: root.descriptor, name, name: Array("trusted.t".utf8), value: [UInt8(index)], path: "p")
    }
    for (index, name) in ["file", "symlink", "fifo"].enumerated() {
      let found = try FileCalls.extendedAttributes(at: root.descriptor, name, path: "p")
      #expect(found == [ExtendedAttribute(name: Array("trusted.t".utf8), value: [UInt8(index)])])
    }
  }

  @Test func badNamesAreRefused() throws {
    let directory = try TemporaryDirectory()
    let root = try FileCalls.openDirectory(at: AT_FDCWD, directory.path, path: "p")
    for name in [[], [0], Array("user.a".utf8) + [0, 1], Array("nonsense".utf8)] {
      #expect(throws: DiskError.self) {
        try FileCalls.setExtendedAttribute(
          of: root.descriptor, name: name, value: [1], path: "p")
      }
    }
  }

  @Test func flagsComeAndGo() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("file")
    try writeFile(path, [1])
    let file = try FileCalls.openForReading(at: AT_FDCWD, path, path: path)
    // Nil where the file system keeps none.
    guard let flags = try FileCalls.attributeFlags(of: file.descriptor, path: path) else { return }
    try FileCalls.setAttributeFlags(of: file.descriptor, flags.union(.noDump), path: path)
    let changed = try #require(try FileCalls.attributeFlags(of: file.descriptor, path: path))
    #expect(changed == flags.union(.noDump))
    guard geteuid() == 0 else { return }
    try FileCalls.setAttributeFlags(of: file.descriptor, flags.union(.immutable), path: path)
    #expect(throws: DiskError.self) { try writeFile(path, [2]) }
    // The directory is removed all the same.
  }
}
