import Glibc
import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnStore
import MuninnTestSupport
import Testing

/// Which entries of a source a walk takes, and that it holds out in large and deep trees.
@Suite struct WalkRulesTests {
  private func names(
    _ scene: BackupScene, _ adjust: (inout BackupOptions) -> Void
  ) throws -> Set<String> {
    let outcome = try scene.backUp(adjust)
    #expect(outcome.failures.isEmpty)
    return Set(try scene.entries(of: outcome.snapshot).keys).subtracting([""])
  }

  @Test func whatIsIncludedBringsItsDirectories() throws {
    let scene = try BackupScene()
    for name in ["a", "a/b", "a/empty", "c", "c/docs", "c/docs/deep", "d"] {
      try scene.makeDirectory(name)
    }
    for name in ["a/x.txt", "a/b/y.txt", "a/b/z.o", "c/docs/deep/k.o", "c/n.o", "d/m.o", "r.txt"] {
      try scene.write(name, [1])
    }
    #expect(
      try names(scene) { $0.rules.includes = PathPatterns(["*.txt", "/c/docs/"]) }
        == [
          "a", "a/b", "a/b/y.txt", "a/x.txt", "c", "c/docs", "c/docs/deep", "c/docs/deep/k.o",
          "r.txt",
        ])
    #expect(
      try names(scene) {
        $0.rules.includes = PathPatterns(["*.txt"])
        $0.rules.excludes = PathPatterns(["/a/b"])
      } == ["a", "a/x.txt", "r.txt"])
    #expect(try names(scene) { $0.rules.includes = PathPatterns(["/nothing"]) } == [])
  }

  @Test func markedDirectoriesAreLeftOutButForTheirMarker() throws {
    let scene = try BackupScene()
    for name in ["cache", "cache/sub", "fake", "skip", "plain"] { try scene.makeDirectory(name) }
    let signature = Array("Signature: 8a477f597d28d172789f06886806bc55\n# more".utf8)
    try scene.write("cache/CACHEDIR.TAG", signature)
    try scene.write("cache/sub/data", [1])
    try scene.write("fake/CACHEDIR.TAG", [1, 2, 3])
    try scene.write("skip/.nobackup", [])
    for name in ["cache", "fake", "skip", "plain"] { try scene.write(name + "/file", [2]) }
    let all = try names(scene) { _ in }
    #expect(
      try names(scene) { $0.rules.leavesCachesOut = true }
        == all.subtracting(["cache/sub", "cache/sub/data", "cache/file"]))
    #expect(
      try names(scene) { $0.rules.markers = [DirectoryMarker(name: Array(".nobackup".utf8))] }
        == all.subtracting(["skip/file"]))
    #expect(
      try names(scene) {
        $0.rules.markers = [
          DirectoryMarker(name: Array("CACHEDIR.TAG".utf8), beginning: [1, 2]),
          DirectoryMarker(name: Array("absent".utf8)),
        ]
      } == all.subtracting(["fake/file"]))
  }

  @Test func sizesAndKinds() throws {
    let scene = try BackupScene()
    try scene.makeDirectory("d")
    for (name, size) in [("d/0", 0), ("d/9", 9), ("d/10", 10), ("d/20", 20), ("d/21", 21)] {
      try scene.write(name, [UInt8](repeating: 1, count: size))
    }
    let link = scene.source + "/link"
    try FileCalls.makeSymlink(target: "d", at: AT_FDCWD, link, path: link)
    let fifo = scene.source + "/fifo"
    try FileCalls.makeNode(at: AT_FDCWD, fifo, kind: .fifo, mode: 0o600, path: fifo)
    #expect(
      try names(scene) { $0.rules.fileSizes = 10...20 } == ["d", "d/10", "d/20", "fifo", "link"])
    #expect(
      try names(scene) { $0.rules.kinds = [.symlink, .fifo] } == ["d", "fifo", "link"])
  }

  @Test func whatIsNotToBeDumped() throws {
    let scene = try BackupScene()
    try scene.write("kept", [1])
    try scene.write("left", [1])
    do {
      let path = scene.source + "/left"
      let file = try FileCalls.open(at: AT_FDCWD, path, flags: O_RDONLY, path: path)
      guard let flags = try FileCalls.attributeFlags(of: file.descriptor, path: path) else {
        return
      }
      try FileCalls.setAttributeFlags(of: file.descriptor, flags.union(.noDump), path: path)
    }
    #expect(try names(scene) { _ in } == ["kept", "left"])
    #expect(try names(scene) { $0.rules.leavesNoDumpOut = true } == ["kept"])
  }

  @Test func aListOfPaths() throws {
    let scene = try BackupScene()
    try scene.makeSmallTree(seed: 7)
    let root = scene.source
    let wanted = ["/b/c", "/a/file-3", "/a/file-1", "/b/c/file-2", "/a/lost", "/a/file-3/no"]
    let outcome = try scene.backUp {
      $0.sources = []
      $0.listedSources = wanted.map { Array((root + $0).utf8) }
    }
    #expect(
      outcome.failures.map { displayPath($0.path) }
        == [String(root.dropFirst()) + "/a/lost"])
    let prefix = String(root.dropFirst()) + "/"
    let inside = Set(try scene.entries(of: outcome.snapshot).keys.filter { $0.hasPrefix(prefix) })
    let files = (0..<8).map { "b/c/file-\($0)" }
    #expect(
      inside
        == Set((["a", "a/file-1", "a/file-3", "b", "b/c"] + files).map { prefix + $0 }))
    try scene.expectRestored(outcome.snapshot, below: root + "/b/c", as: root + "/b/c")
  }

  /// A source below a symlink is where that leads.
  @Test func aSourceBelowALinkIsFound() throws {
    let scene = try BackupScene()
    try scene.makeSmallTree(seed: 8)
    let link = scene.directory.file("link")
    try FileCalls.makeSymlink(target: scene.source, at: AT_FDCWD, link, path: link)
    let outcome = try scene.backUp {
      $0.sources = ["/a/file-1", "/b"].map { Array((link + $0).utf8) }
    }
    #expect(outcome.failures.isEmpty)
    #expect(outcome.snapshot.counts.files == 9)
    try scene.expectRestored(
      outcome.snapshot, below: scene.source + "/b", as: scene.source + "/b")
  }

  /// A directory of several runs comes in order, and its parent's pages are met.
  @Test(arguments: [1, 3]) func aHugeDirectory(threads: Int) throws {
    let scene = try BackupScene()
    try scene.makeDirectory("many")
    for number in 0..<9500 { try scene.write("many/\(number * 7919 % 9500)", []) }
    try scene.makeDirectory("many/5-")
    try scene.write("many/5-/below", [1])
    let first = try scene.backUp(threads: threads).snapshot
    #expect(first.counts.entries == 9504)
    let second = try scene.backUp(parent: first, threads: threads).snapshot
    #expect(second.root == first.root && second.counts.bytesRead == 0)
    try scene.expectRestored(second)
  }

  /// More directories wait than may be open, and paths are longer than the system takes.
  @Test func wideAndDeep() throws {
    let scene = try BackupScene()
    for number in 0..<2500 {
      try scene.makeDirectory("d-\(number)")
      try scene.write("d-\(number)/file", [UInt8](repeating: UInt8(number % 251), count: 200))
    }
    let name = String(repeating: "n", count: 200)
    var above = try FileCalls.openDirectory(at: AT_FDCWD, scene.source, path: scene.source)
    for level in 0..<60 {
      try FileCalls.makeDirectory(at: above.descriptor, name, mode: 0o755, path: name)
      let next = try FileCalls.openDirectory(at: above.descriptor, name, path: name)
      let file = try FileCalls.open(
        at: next.descriptor, "zzz", flags: O_RDWR | O_CREAT, mode: 0o600, path: name)
      try writeBytes(
        file.descriptor, at: 0, [UInt8](repeating: UInt8(level), count: 300), path: name)
      above = next
    }
    let first = try scene.backUp(threads: 2)
    #expect(first.failures.isEmpty)
    #expect(first.snapshot.counts.entries == 5000 + 120 + 1)
    #expect(try scene.restore(first.snapshot, to: "target").failures.isEmpty)
    let target = scene.directory.file("target")
    #expect(try describeTree(scene.source) == describeTree(target))
    let second = try scene.backUp(parent: first.snapshot).snapshot
    #expect(second.counts.bytesRead == 0)
  }
}
