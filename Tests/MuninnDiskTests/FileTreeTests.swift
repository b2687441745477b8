import Glibc
import MuninnDisk
import MuninnTestSupport
import Testing

@Suite struct FileTreeTests {
  @Test func statusTellsWhatIsThere() throws {
    let directory = try TemporaryDirectory()
    let root = try FileCalls.openDirectory(at: AT_FDCWD, directory.path, path: directory.path)
    let path = directory.path
    try writeFile(directory.file("file"), [1, 2, 3])
    try FileCalls.makeDirectory(at: root.descriptor, "directory", mode: 0o700, path: path)
    try FileCalls.makeSymlink(target: "file", at: root.descriptor, "symlink", path: path)
    for (name, kind) in [("fifo", FileStatus.Kind.fifo), ("socket", .socket)] {
      try FileCalls.makeNode(at: root.descriptor, name, kind: kind, mode: 0o600, path: path)
      #expect(try FileCalls.status(at: root.descriptor, name, path: path).kind == kind)
    }
    try FileCalls.makeHardLink(
      fromDirectory: root.descriptor, "file", toDirectory: root.descriptor, "second", path: path)
    try FileCalls.setMode(at: root.descriptor, "file", mode: 0o6751, path: path)
    let status = try FileCalls.status(at: root.descriptor, "second", path: path)
    #expect(status.kind == .file)
    #expect(status.mode == 0o6751)
    #expect(status.size == 3)
    #expect(status.linkCount == 2)
    #expect(status.userID == geteuid())
    #expect(status.inode != 0)
    let file = try FileCalls.openForReading(at: root.descriptor, "file", path: path)
    var same = try FileCalls.status(of: file.descriptor, path: path)
    same.accessedNanoseconds = status.accessedNanoseconds
    #expect(same == status)
    #expect(try FileCalls.status(at: root.descriptor, "symlink", path: path).kind == .symlink)
    #expect(try FileCalls.status(of: root.descriptor, path: path).kind == .directory)
  }

  @Test func missingAndForbiddenThingsAreNamed() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path
    let root = try FileCalls.openDirectory(at: AT_FDCWD, path, path: path)
    let fd = root.descriptor
    try writeFile(directory.file("file"), [])
    try FileCalls.makeSymlink(target: "file", at: fd, "symlink", path: path)
    try FileCalls.makeDirectory(at: fd, "full", mode: 0o700, path: path)
    try writeFile(directory.file("full/x"), [])
    let calls: [(CInt, () throws -> Void)] = [
      (ENOENT, { _ = try FileCalls.status(at: fd, "absent", path: "p") }),
      (ENOENT, { _ = try FileCalls.openForReading(at: fd, "absent", path: "p") }),
      (ELOOP, { _ = try FileCalls.openForReading(at: fd, "symlink", path: "p") }),
      (ENOTDIR, { _ = try FileCalls.openDirectory(at: fd, "file", path: "p") }),
      (ENOTDIR, { _ = try FileCalls.openDirectory(at: fd, "symlink", path: "p") }),
      (ENOTDIR, { _ = try FileCalls.status(at: fd, "file/x", path: "p") }),
      (EEXIST, { try FileCalls.makeDirectory(at: fd, "file", mode: 0o700, path: "p") }),
      (EEXIST, { try FileCalls.makeSymlink(target: "x", at: fd, "file", path: "p") }),
      (
        EEXIST,
        { try FileCalls.makeNode(at: fd, "file", kind: .fifo, mode: 0o600, path: "p") }
      ),
      (
        EINVAL,
        { try FileCalls.makeNode(at: fd, "new", kind: .directory, mode: 0o600, path: "p") }
      ),
      (EINVAL, { _ = try FileCalls.readLink(at: fd, "file", path: "p") }),
      (EISDIR, { try FileCalls.unlink(at: fd, "full", path: "p") }),
      (ENOTEMPTY, { try FileCalls.unlink(at: fd, "full", isDirectory: true, path: "p") }),
      (EOPNOTSUPP, { try FileCalls.setMode(at: fd, "symlink", mode: 0o600, path: "p") }),
      (
        EEXIST,
        {
          try FileCalls.renameNoReplace(
            fromDirectory: fd, "file", toDirectory: fd, "symlink", path: "p")
        }
      ),
      (
        EEXIST,
        {
          try FileCalls.makeHardLink(
            fromDirectory: fd, "file", toDirectory: fd, "symlink", path: "p")
        }
      ),
    ]
    for (index, (errno, call)) in calls.enumerated() {
      #expect("call \(index)") {
        try call()
      } throws: {
        ($0 as? DiskError)?.errno == errno && ($0 as? DiskError)?.path == "p"
      }
    }
    let longName = String(repeating: "n", count: 256)
    #expect(throws: DiskError(errno: ENAMETOOLONG, operation: "statx", path: "p")) {
      try FileCalls.status(at: fd, longName, path: "p")
    }
  }

  @Test func symlinkTargetsComeBackWhole() throws {
    let directory = try TemporaryDirectory()
    let root = try FileCalls.openDirectory(at: AT_FDCWD, directory.path, path: "p")
    for length in [1, 59, 60, 255, 256, 257, 1023, 4095] {
      let target = (0..<length).map { UInt8($0 % 255) + 1 }
      let name = "link-\(length)"
      try withCName(target) {
        try FileCalls.makeSymlink(target: $0, at: root.descriptor, name, path: "p")
      }
      // Right, too small, too large, unknown and absurd hints.
      for hint: UInt64 in [UInt64(length), 1, 10_000, 0, .max] {
        let found = try FileCalls.readLink(
          at: root.descriptor, name, sizeHint: hint, path: "p")
        #expect(found == target)
      }
    }
  }

  @Test(arguments: [
    0, 1, -1, 999_999_999, -999_999_999, -1_000_000_000, -1_000_000_001,
    1_700_000_000_123_456_789, -1_000_000_000_123_456_789, 4_000_000_000_000_000_001,
  ])
  func timesKeepEveryNanosecond(time: Int64) throws {
    let directory = try TemporaryDirectory()
    let root = try FileCalls.openDirectory(at: AT_FDCWD, directory.path, path: "p")
    try writeFile(directory.file("file"), [1])
    try FileCalls.makeSymlink(target: "file", at: root.descriptor, "symlink", path: "p")
    for name in ["file", "symlink"] {
      try FileCalls.setTimes(
        at: root.descriptor, name, accessed: time, modified: time, path: "p")
      let status = try FileCalls.status(at: root.descriptor, name, path: "p")
      #expect(status.modifiedNanoseconds == time)
      #expect(status.accessedNanoseconds == time)
    }
    let file = try FileCalls.openForReading(at: root.descriptor, "file", path: "p")
    try FileCalls.setTimes(of: file.descriptor, accessed: nil, modified: 5, path: "p")
    let status = try FileCalls.status(of: file.descriptor, path: "p")
    #expect(status.modifiedNanoseconds == 5)
    #expect(status.accessedNanoseconds == time)
  }

  @Test func readingLeavesNoTrace() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("file")
    try writeFile(path, [1, 2, 3])
    // So old that relatime would renew it.
    try FileCalls.setTimes(at: AT_FDCWD, path, accessed: 1, modified: 2, path: path)
    let file = try FileCalls.openForReading(at: AT_FDCWD, path, path: path)
    #expect(try readBytes(file.descriptor, at: 0, count: 3, path: path) == [1, 2, 3])
    #expect(try FileCalls.status(of: file.descriptor, path: path).accessedNanoseconds == 1)
  }

  /// O_NOATIME is for the owner; everybody else reads without it.
  @Test(.enabled(if: geteuid() == 0))
  func othersFilesAreReadable() async {
    await #expect(processExitsWith: .success) {
      let directory = try TemporaryDirectory()
      precondition(chmod(directory.path, 0o755) == 0)
      let path = directory.file("file")
      try writeFile(path, [7])
      precondition(chmod(path, 0o644) == 0)
      precondition(setegid(65534) == 0 && seteuid(65534) == 0)
      let file = try FileCalls.openForReading(at: AT_FDCWD, path, path: path)
      try demand(readBytes(file.descriptor, at: 0, count: 1, path: path) == [7])
      do throws(DiskError) {
        try FileCalls.setOwner(at: AT_FDCWD, path, user: 0, group: 0, path: path)
        preconditionFailure("this is not allowed")
      } catch {
        precondition(error.isAccessDenied)
      }
      precondition(seteuid(0) == 0)
    }
  }

  @Test(.enabled(if: geteuid() == 0))
  func ownersAndDevicesAreSet() throws {
    let directory = try TemporaryDirectory()
    let root = try FileCalls.openDirectory(at: AT_FDCWD, directory.path, path: "p")
    try writeFile(directory.file("file"), [1])
    try FileCalls.makeSymlink(target: "file", at: root.descriptor, "symlink", path: "p")
    try FileCalls.setOwner(
      at: root.descriptor, "symlink", user: 4_000_000_000, group: 12, path: "p")
    let symlink = try FileCalls.status(at: root.descriptor, "symlink", path: "p")
    #expect(symlink.userID == 4_000_000_000 && symlink.groupID == 12)
    #expect(try FileCalls.status(at: root.descriptor, "file", path: "p").userID == 0)
    let file = try FileCalls.openForReading(at: root.descriptor, "file", path: "p")
    try FileCalls.setOwner(of: file.descriptor, user: 5, group: 6, path: "p")
    #expect(try FileCalls.status(of: file.descriptor, path: "p").groupID == 6)
    try FileCalls.makeNode(
      at: root.descriptor, "device", kind: .characterDevice, mode: 0o600, rdevMajor: 300,
      rdevMinor: 70_000, path: "p")
    let device = try FileCalls.status(at: root.descriptor, "device", path: "p")
    #expect(device.kind == .characterDevice)
    #expect(device.rdevMajor == 300 && device.rdevMinor == 70_000)
  }

  @Test func renamingReplacesOrNot() throws {
    let directory = try TemporaryDirectory()
    let root = try FileCalls.openDirectory(at: AT_FDCWD, directory.path, path: "p")
    for name in ["a", "b"] { try writeFile(directory.file(name), Array(name.utf8)) }
    try FileCalls.rename(
      fromDirectory: root.descriptor, "a", toDirectory: root.descriptor, "b", path: "p")
    #expect(try readFile(directory.file("b")) == Array("a".utf8))
    try FileCalls.renameNoReplace(
      fromDirectory: root.descriptor, "b", toDirectory: root.descriptor, "c", path: "p")
    #expect(try names(in: directory.path) == ["c"])
  }
}
