import Foundation
import MuninnTestSupport
import Testing

/// The commands that look into snapshots, and the ones that restore onto what is there.
@Suite struct LookCommandTests {
  let muninn: MuninnProgram

  init() throws { muninn = try MuninnProgram() }

  private func repository(of tree: String) throws -> String {
    let repository = muninn.file("repository")
    try muninn.run(["init", repository, "--no-encryption"])
    try muninn.run(["backup", repository, tree])
    return repository
  }

  @Test func oneFileComesToStandardOutput() throws {
    let tree = try muninn.makeTree()
    let repository = try repository(of: tree)
    let result = try muninn.run(["cat", repository, "latest", "b/d/large"])
    #expect(Data(result.stdout) == FileManager.default.contents(atPath: tree + "/b/d/large"))
    try muninn.run(["cat", repository, "latest", "missing"], expecting: 4)
    try muninn.run(["cat", repository, "latest", "b"], expecting: 1)
  }

  @Test func anArchiveIsWhatTarMakesATreeOf() throws {
    let tree = try muninn.makeTree()
    let repository = try repository(of: tree)
    let script = #""$0" dump "$1" latest | tar -x -C "$2""#
    try FileManager.default.createDirectory(
      atPath: muninn.file("target"), withIntermediateDirectories: true)
    let result = try runProgram(
      [
        "bash", "-o", "pipefail", "-c", script, MuninnProgram.path, repository,
        muninn.file("target"),
      ],
      environment: muninn.environment)
    #expect(result.status == 0, "\(result.errors)")
    #expect(try muninn.isSame(tree, muninn.file("target")))
    // A reader that goes away is no error.
    let short = try runProgram(
      [
        "bash", "-c", #""$0" dump "$1" latest | head -c 10 >/dev/null; exit ${PIPESTATUS[0]}"#,
        MuninnProgram.path, repository,
      ],
      environment: muninn.environment)
    #expect(short.status == 0, "\(short.errors)")
  }

  @Test func differencesAndSearchesAreShown() throws {
    let tree = try muninn.makeTree()
    let repository = try repository(of: tree)
    try Data("other".utf8).write(to: URL(fileURLWithPath: tree + "/a.txt"))
    try Data("new".utf8).write(to: URL(fileURLWithPath: tree + "/b/new.txt"))
    let before = try muninn.run(["diff", repository, "latest", tree]).output
    #expect(before.contains("M a.txt") && before.contains("+ b/new.txt"), "\(before)")
    let first = try muninn.run(["snapshots", repository, "--json"]).output
    try muninn.run(["backup", repository, tree])
    let id = try #require(
      first.firstRange(of: "\"id\":\"").map { first[$0.upperBound...].prefix(32) })
    let lines = try muninn.run(["diff", repository, String(id), "latest"]).output
      .split(separator: "\n")
    #expect(lines.contains { $0.hasPrefix("M a.txt") })
    #expect(lines.contains("+ b/new.txt"))
    #expect(try muninn.run(["diff", repository, "latest", "latest"]).output.isEmpty)
    let found = try #require(
      try muninn.json(["find", repository, "*.txt"])["found"] as? [[String: Any]])
    #expect(found.count == 5)
  }

  @Test func snapshotsAreCopied() throws {
    let tree = try muninn.makeTree()
    let repository = try repository(of: tree)
    let other = muninn.file("other")
    try muninn.run(["init", other, "--no-encryption"])
    let first = try muninn.json(["copy", repository, other])
    #expect((first["copied"] as? [Any])?.count == 1)
    #expect((try muninn.json(["copy", repository, other])["present"] as? [Any])?.count == 1)
    try muninn.run(["check", other, "--read-data"])
    try muninn.run(["restore", other, "latest", "--target", muninn.file("target")])
    #expect(try muninn.isSame(tree, muninn.file("target")))
    try muninn.run(["copy", repository, repository], expecting: 1)
  }

  @Test func snapshotsAreCopiedBetweenKeys() throws {
    let tree = try muninn.makeTree()
    let (one, two) = (muninn.file("one.txt"), muninn.file("two.txt"))
    try Data("first passphrase".utf8).write(to: URL(fileURLWithPath: one))
    try Data("second passphrase".utf8).write(to: URL(fileURLWithPath: two))
    let (plain, sealed, other) = (
      try repository(of: tree), muninn.file("sealed"), muninn.file("other")
    )
    try muninn.run(["init", sealed, "--passphrase-file", one])
    try muninn.run(["init", other, "--passphrase-file", two])
    // What opens the one is no key of the other.
    try muninn.run(["copy", plain, sealed], expecting: 6)
    try muninn.run(["copy", plain, sealed, "--other-passphrase-file", one])
    try muninn.run(["copy", sealed, other, "--passphrase-file", one], expecting: 6)
    try muninn.run([
      "copy", sealed, other, "--passphrase-file", one, "--other-passphrase-file", two,
    ])
    try muninn.run(["check", other, "--read-data", "--passphrase-file", two])
    // And back to one without a key, where nothing is new.
    let back = try muninn.json(["copy", other, plain, "--passphrase-file", two])
    #expect((back["present"] as? [Any])?.count == 1)
    try muninn.run([
      "restore", other, "latest", "--target", muninn.file("target"), "--passphrase-file", two,
    ])
    #expect(try muninn.isSame(tree, muninn.file("target")))
  }

  @Test func aRestoredTreesFirstBackupReadsNoFile() throws {
    let tree = try muninn.makeTree()
    let repository = try repository(of: tree)
    let target = muninn.file("target")
    try muninn.run(["restore", repository, "latest", "--target", target, "--limit-rate", "500M"])
    let report = try muninn.json(["backup", repository, target])
    let snapshot = try #require(report["snapshot"] as? [String: Any])
    let counts = try #require(snapshot["statistics"] as? [String: Any])
    #expect(counts["bytesRead"] as? Int == 0)
    #expect(counts["filesUnchanged"] as? Int == 5)
    // Seen from outside as well: no regular file of the tree is opened.
    guard try runProgram(["sh", "-c", "command -v strace"]).status == 0 else { return }
    let trace = muninn.file("trace")
    let traced = try runProgram(
      [
        "strace", "-f", "-e", "trace=open,openat,openat2", "-o", trace, MuninnProgram.path,
        "backup", repository, target,
      ],
      environment: muninn.environment)
    #expect(traced.status == 0, "\(traced.errors)")
    let lines = String(
      decoding: try #require(FileManager.default.contents(atPath: trace)), as: UTF8.self)
    for name in ["a.txt", "c.txt", "large"] { #expect(!lines.contains("\"\(name)\"")) }
  }

  @Test func theLayoutOfASnapshotIsTold() throws {
    let tree = try muninn.makeTree()
    let repository = try repository(of: tree)
    let backup = try muninn.json(["backup", repository, tree, "--rewrite-limit", "2"])
    let known = try #require(backup["fragmentation"] as? [String: Any])
    let layout = try muninn.json(["stats", repository, "--fragmentation"])
    #expect(known["containers"] as? Int == layout["containers"] as? Int)
    #expect(known["neededBytes"] as? Int == layout["neededBytes"] as? Int)
    let plan = try #require(layout["plan"] as? [String: Any])
    let restored = try muninn.json([
      "restore", repository, "latest", "--target", muninn.file("target"),
    ])
    #expect(plan["bytesRead"] as? Int == restored["containerBytesRead"] as? Int)
    let text = try muninn.run(["stats", repository, "--fragmentation", "latest"]).output
    #expect(text.contains("speed factor") && text.contains("amplification"), "\(text)")
    try muninn.run(["stats", repository, "latest"], expecting: 64)
    try muninn.run(["backup", repository, tree, "--rewrite-limit", "200"], expecting: 1)
  }

  @Test func aTreeIsBroughtBackToWhatItWas() throws {
    let tree = try muninn.makeTree()
    let repository = try repository(of: tree)
    let target = muninn.file("target")
    try muninn.run(["restore", repository, "latest", "--target", target])
    try Data("changed".utf8).write(to: URL(fileURLWithPath: target + "/a.txt"))
    try Data("more".utf8).write(to: URL(fileURLWithPath: target + "/more"))
    try muninn.run(["restore", repository, "latest", "--target", target], expecting: 1)
    let onto = ["restore", repository, "latest", "--target", target, "--overwrite", "changed"]
    let plan = try muninn.run(onto + ["--delete", "--dry-run"]).output
    #expect(plan.contains("* a.txt") && plan.contains("- more"), "\(plan)")
    #expect(try !muninn.isSame(tree, target))
    try muninn.run(onto + ["--delete", "--verify"])
    #expect(try muninn.isSame(tree, target))
    try muninn.run(
      ["restore", repository, "latest", "--target", target, "--delete"], expecting: 64)
    try muninn.run(
      ["restore", repository, "latest", "--target", target, "--clean"], expecting: 4)
  }
}
