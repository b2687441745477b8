import Glibc
import MuninnDisk
import MuninnTestSupport
import Testing

@Suite struct HostileTreeTests {
  /// Everything that statx and the attributes say, but inodes and what changes by itself.
  private func description(of directory: CInt, _ prefix: String = "") throws -> [String] {
    let listing = try DirectoryListing.read(directory, path: prefix)
    var lines: [String] = []
    for index in 0..<listing.count {
      let name = listing.name(index)
      let path = prefix + "/" + name.map { String($0, radix: 16) }.joined()
      let (status, attributes) = try withCName(name) { name in
        (
          try FileCalls.status(at: directory, name, path: path),
          try FileCalls.extendedAttributes(at: directory, name, path: path)
        )
      }
      lines.append(
        """
        \(path) \(status.kind) \(status.mode) \(status.size) \(status.userID) \(status.linkCount) \
        \(status.modifiedNanoseconds) \(attributes)
        """)
      if status.kind != .directory { continue }
      let child = try withCName(name) {
        try FileCalls.openDirectory(at: directory, $0, path: path)
      }
      lines += try description(of: child.descriptor, path)
    }
    return lines
  }

  @Test func theSameSeedMakesTheSameTree() throws {
    let directory = try TemporaryDirectory()
    var trees: [[String]] = []
    for (name, seed) in [("a", 1), ("b", 1), ("c", 2)] {
      let tree = try HostileTree.make(at: directory.file(name), seed: UInt64(seed))
      let root = try FileCalls.openDirectory(at: AT_FDCWD, tree.path, path: tree.path)
      let lines = try description(of: root.descriptor)
      #expect(lines.count == tree.entryCount)
      if geteuid() == 0 { #expect(tree.features.isSuperset(of: ["owners"])) }
      trees.append(lines)
    }
    #expect(trees[0] == trees[1])
    #expect(trees[0] != trees[2])
    #expect(trees[0].count > 1300)
  }
}

@Suite struct ProgramTests {
  @Test func programsGetInputAndGiveOutput() throws {
    let bytes = [UInt8](repeating: 65, count: 300_000)
    let result = try runProgram(["cat"], stdin: bytes)
    #expect(result.status == 0 && result.stdout == bytes && result.stderr.isEmpty)
    let failed = try runProgram(["sh", "-c", "echo no >&2; exit 3"])
    #expect(failed.status == 3 && failed.errors == "no\n")
    let killed = try runProgram(["sh", "-c", "kill -9 $$"])
    #expect(killed.status == 137)
    let shown = try runProgram(["/bin/sh", "-c", "echo $X"], environment: ["X": "y"])
    #expect(shown.output == "y\n")
    #expect(throws: DiskError.self) { try runProgram(["/no/such/program"]) }
  }
}
