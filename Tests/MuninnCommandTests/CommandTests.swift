import Foundation
import Glibc
import MuninnTestSupport
import Testing

/// The command line from end to end: what it prints, where, and with which exit code.
@Suite struct CommandTests {
  let muninn: MuninnProgram

  init() throws { muninn = try MuninnProgram() }

  @Test func helpAndVersionGoToStandardOutput() throws {
    for arguments in [["--help"], ["backup", "--help"], ["--version"]] {
      let result = try muninn.run(arguments)
      #expect(!result.output.isEmpty && result.errors.isEmpty)
    }
    let help = try muninn.run(["--help"]).output
    for code in ["0 ", "1 ", "3 ", "4 ", "5 ", "6 ", "64 ", "130 "] {
      #expect(help.contains("\n  " + code), "exit code \(code)")
    }
  }

  @Test(arguments: [
    ["nonsense"], ["backup"], ["backup", "r"], ["restore", "r", "latest"], ["init"],
    ["snapshots", "r", "--bogus"], ["backup", "r", "p", "--threads", "0"],
    ["init", "r", "--average-chunk-size", "x"], ["serve", "--listen", "127.0.0.1:x"],
    ["serve", "--log-level", "loud"],
  ])
  func usageErrorsEndWith64(_ arguments: [String]) throws {
    let result = try muninn.run(arguments, expecting: 64)
    #expect(result.output.isEmpty)
    #expect(result.errors.hasPrefix("muninn: "))
  }

  @Test func aTreeComesBackAsItWas() throws {
    let tree = try muninn.makeTree()
    let repository = muninn.file("repository")
    try muninn.run(["init", repository, "--no-encryption"])
    let first = try muninn.run(["backup", repository, tree, "--tag", "one", "--tag", "two"])
    // No progress where standard error is no terminal.
    #expect(first.errors.isEmpty)
    #expect(first.output.hasPrefix("snapshot "))
    try muninn.run(["restore", repository, "latest", "--target", muninn.file("first")])
    #expect(try muninn.isSame(tree, muninn.file("first")))

    try Data("changed".utf8).write(to: URL(fileURLWithPath: tree + "/a.txt"))
    try muninn.run(["backup", repository, tree])
    try muninn.run(
      ["restore", repository, "latest", "--target", muninn.file("second"), "--defrag"])
    #expect(try muninn.isSame(tree, muninn.file("second")))

    let table = try muninn.run(["snapshots", repository]).output.split(separator: "\n")
    #expect(table.count == 3)
    #expect(table.first?.hasPrefix("ID") == true)
    #expect(table.dropFirst().first?.hasSuffix("one,two") == true)
    try muninn.run(["check", repository])
    try muninn.run(["check", repository, "--read-data"])
    try muninn.run(["stats", repository])
  }

  @Test func everyReportIsOneJSONObject() throws {
    let tree = try muninn.makeTree()
    let repository = muninn.file("repository")
    let made = try muninn.json(["init", repository, "--no-shared", "--no-encryption"])
    #expect(made["isShared"] as? Bool == false)
    let backup = try muninn.json(["backup", repository, tree])
    let snapshot = try #require(backup["snapshot"] as? [String: Any])
    let id = try #require(snapshot["id"] as? String)
    #expect(id.count == 32)
    let list = try #require(try muninn.json(["snapshots", repository])["snapshots"] as? [Any])
    #expect(list.count == 1)
    let entries = try #require(
      try muninn.json(["ls", repository, String(id.prefix(8))])["entries"] as? [[String: Any]])
    let names = Set(entries.compactMap { $0["path"] as? String })
    #expect(names.isSuperset(of: ["a.txt", "b", "b/c.txt", "b/d/large", "new\nline"]), "\(names)")
    let restored = try muninn.json(
      ["restore", repository, "latest", "--target", muninn.file("target")])
    #expect(restored["problemCount"] as? Int == 0)
    #expect((try muninn.json(["check", repository])["problems"] as? [Any])?.isEmpty == true)
    #expect(try muninn.json(["stats", repository])["snapshots"] as? Int == 1)
  }

  @Test func listingsHaveOneLineAnEntry() throws {
    let tree = try muninn.makeTree()
    let repository = muninn.file("repository")
    try muninn.run(["init", repository, "--no-encryption"])
    try muninn.run(["backup", repository, tree])
    let all = try muninn.run(["ls", repository, "latest"]).output
    #expect(all.contains("new\\u{A}line"))
    #expect(all.split(separator: "\n").allSatisfy { $0.hasPrefix("-r") || $0.hasPrefix("dr") })
    let below = try muninn.run(["ls", repository, "latest", "b/d"]).output
    #expect(below.contains("b/d/large") && !below.contains("c.txt"))
    try muninn.run(["ls", repository, "latest", "missing"], expecting: 4)
  }

  @Test func relativePathsAreBelowTheWorkingDirectory() throws {
    let tree = try muninn.makeTree()
    let script = """
      cd "$1" && "$0" init --no-encryption ../r >/dev/null && "$0" backup ../r . >/dev/null \
      && cd b && "$0" restore ./../../r latest --target ../../t --path b >/dev/null
      """
    let result = try runProgram(
      ["bash", "-c", script, MuninnProgram.path, tree], environment: muninn.environment)
    #expect(result.status == 0, "\(result.errors)")
    #expect(try muninn.isSame(tree + "/b", muninn.file("t") + "/b"))
    #expect(!FileManager.default.fileExists(atPath: muninn.file("t") + "/a.txt"))
  }

  @Test func namesThatAreNotUTF8AreArgumentsToo() throws {
    let script = #"""
      cd "$1"; odd=$'od\xffd \\ \xf0name'; mkdir "$odd"; echo x >"$odd/"$'f\xfe'
      "$0" init --no-encryption r >/dev/null && "$0" backup r "$odd" >/dev/null &&
      "$0" restore r latest --target $'\xfetarget' >/dev/null &&
      diff -r "$odd" $'\xfetarget' && "$0" ls r latest
      """#
    let result = try runProgram(
      ["bash", "-c", script, MuninnProgram.path, muninn.directory.path],
      environment: muninn.environment)
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains(#"f\xFE"#), "\(result.output)")
  }

  @Test func excludedNamesAreLeftOut() throws {
    let tree = try muninn.makeTree()
    let repository = muninn.file("repository")
    try muninn.run(["init", repository, "--no-encryption"])
    try muninn.run(["backup", repository, tree, "--exclude", "*.txt", "--exclude", "/b/d"])
    let list = try muninn.run(["ls", repository, "latest"]).output
    #expect(!list.contains("a.txt") && !list.contains("large") && list.contains("line"))
  }

  @Test func whatIsNoRepositoryEndsWith4() throws {
    let tree = try muninn.makeTree()
    for arguments in [
      ["snapshots", tree], ["check", muninn.file("absent")], ["stats", tree],
      ["backup", tree, tree], ["restore", tree, "latest", "--target", muninn.file("t")],
    ] {
      let result = try muninn.run(arguments, expecting: 4)
      #expect(result.errors.hasPrefix("muninn: ") && result.output.isEmpty)
    }
    let repository = muninn.file("repository")
    try muninn.run(["init", repository, "--no-encryption"])
    try muninn.run(["ls", repository, "latest"], expecting: 4)
    try muninn.run(["ls", repository, "ffffffff"], expecting: 4)
  }

  @Test func aDirectoryInUseIsNotOverwritten() throws {
    let tree = try muninn.makeTree()
    let repository = muninn.file("repository")
    try muninn.run(["init", repository, "--no-encryption"])
    try muninn.run(["init", repository, "--no-encryption"], expecting: 1)
    try muninn.run(["init", tree, "--no-encryption"], expecting: 1)
    try muninn.run(["backup", repository, tree])
    try muninn.run(["restore", repository, "latest", "--target", tree], expecting: 1)
    #expect(FileManager.default.fileExists(atPath: tree + "/a.txt"))
  }

  @Test func damageEndsWith5AndNamesWhatIsDamaged() throws {
    let tree = try muninn.makeTree()
    let repository = muninn.file("repository")
    try muninn.run(["init", repository, "--no-encryption"])
    try muninn.run(["backup", repository, tree])
    // The largest object is a container with file content.
    var largest = (path: "", size: 0)
    let names = try #require(FileManager.default.enumerator(atPath: repository))
    while let name = names.nextObject() as? String {
      let attributes = try FileManager.default.attributesOfItem(atPath: repository + "/" + name)
      guard attributes[.type] as? FileAttributeType == .typeRegular else { continue }
      let size = (attributes[.size] as? Int) ?? 0
      if size > largest.size { largest = (repository + "/" + name, size) }
    }
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: largest.path)
    let handle = try FileHandle(forUpdating: URL(fileURLWithPath: largest.path))
    try handle.seek(toOffset: UInt64(largest.size / 3))
    let byte = try #require(try handle.read(upToCount: 1)?.first)
    try handle.seek(toOffset: UInt64(largest.size / 3))
    try handle.write(contentsOf: Data([byte ^ 0x10]))
    try handle.close()
    let result = try muninn.run(["check", repository, "--read-data"], expecting: 5)
    let object = (largest.path as NSString).lastPathComponent
    #expect(result.errors.contains(object) || result.output.contains(object), "\(result.errors)")
    let problems = try muninn.json(["check", repository, "--read-data"], expecting: 5)["problems"]
    #expect((problems as? [Any])?.isEmpty == false)
  }

  @Test func unreadableSourcesEndWith3AndTheRestIsStored() throws {
    let tree = try muninn.makeTree()
    let repository = muninn.file("repository")
    try muninn.run(["init", repository, "--no-encryption"])
    if getuid() != 0 {
      chmod(tree + "/a.txt", 0)
      let result = try muninn.run(["backup", repository, tree], expecting: 3)
      #expect(result.errors.contains("a.txt"))
      #expect(try muninn.run(["ls", repository, "latest"]).output.contains("c.txt"))
    }
    let both = try muninn.run(
      ["backup", repository, tree, muninn.file("missing")], expecting: 3)
    #expect(both.errors.contains("missing"))
    #expect(try muninn.run(["ls", repository, "latest"]).output.contains("c.txt"))
  }
}
