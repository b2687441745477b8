import Foundation
import MuninnTestSupport
import Testing

/// What options of `backup` do, from the command line.
@Suite struct BackupOptionTests {
  let muninn: MuninnProgram
  let repository: String

  init() throws {
    muninn = try MuninnProgram()
    repository = muninn.file("repository")
    try muninn.run(["init", repository, "--no-encryption"])
  }

  private func paths(_ snapshot: String = "latest") throws -> [String] {
    let object = try muninn.json(["ls", repository, snapshot])
    let entries = try #require(object["entries"] as? [[String: Any]])
    return entries.compactMap { $0["path"] as? String }.filter { !$0.isEmpty }
  }

  private var snapshotCount: Int {
    get throws {
      let object = try muninn.json(["snapshots", repository])
      return (object["snapshots"] as? [Any])?.count ?? -1
    }
  }

  @Test func verifiedDuplicatesAndSHA256() throws {
    let tree = try muninn.makeTree()
    let strong = muninn.file("strong")
    let refused = try muninn.run(
      ["init", strong, "--no-encryption", "--fingerprint", "md5"], expecting: 64)
    #expect(refused.errors.contains("sha256"))
    let made = try muninn.json(
      ["init", strong, "--no-encryption", "--fingerprint", "sha256"])
    #expect(made["fingerprint"] as? String == "sha256")
    for place in [repository, strong] {
      try muninn.run(["backup", place, tree])
      let again = try muninn.json(["backup", place, tree, "--full", "--verify-duplicates"])
      #expect(again["refusedDuplicates"] as? Int == 0)
      try muninn.run(["check", place, "--read-data"])
      let target = muninn.file("target-\(place.hasSuffix("strong"))")
      try muninn.run(["restore", place, "latest", "--target", target])
      #expect(try muninn.isSame(tree, target))
    }
  }

  @Test func whatIsTaken() throws {
    let tree = try muninn.makeTree()
    let patterns = muninn.file("patterns")
    try Data("# comment\n*.txt\n".utf8).write(to: URL(fileURLWithPath: patterns))
    try muninn.run(["backup", repository, tree, "--exclude-from", patterns])
    #expect(try paths() == ["b", "b/d", "b/d/empty", "b/d/large", "new\nline"])
    try muninn.run(["backup", repository, tree, "--include-from", patterns])
    #expect(try paths() == ["a.txt", "b", "b/c.txt"])
    try muninn.run(["backup", repository, tree, "--include", "/b/d"])
    #expect(try paths() == ["b", "b/d", "b/d/empty", "b/d/large"])
    try muninn.run(["backup", repository, tree, "--max-size", "0.1M", "--min-size", "4"])
    #expect(try paths() == ["a.txt", "b", "b/c.txt", "b/d"])
    try muninn.run(["backup", repository, tree, "--type", "l,p"])
    #expect(try paths() == ["b", "b/d"])
    try muninn.run(["backup", repository, tree, "--exclude-if-present", "c.txt:gam", "-x"])
    #expect(try paths() == ["a.txt", "b", "b/c.txt", "new\nline"])
    for arguments in [
      ["--max-size", "much"], ["--type", "q"], ["--max-size", "5X"],
    ] {
      let result = try muninn.run(
        ["backup", repository, tree] + arguments, expecting: 64)
      #expect(result.errors.contains(arguments[1]))
    }
    for arguments in [
      ["--exclude-if-present", "a/b"], ["--min-size", "2K", "--max-size", "1K"],
      ["--limit-cpu", "0"], ["--readers", "0"], ["--limit-read", "0"],
    ] {
      try muninn.run(["backup", repository, tree] + arguments, expecting: 1)
    }
    try muninn.run(
      ["backup", repository, tree, "--exclude-from", muninn.file("absent")], expecting: 4)
  }

  @Test func howHardItIsCompressed() throws {
    let tree = muninn.file("tree")
    try FileManager.default.createDirectory(atPath: tree, withIntermediateDirectories: true)
    // Words in an order of their own: the longer the search, the longer the matches.
    var generator = SeededGenerator(seed: 7)
    let words = (0..<500).map { _ in String(generator.next() % 1_000_000, radix: 36) }
    let text = (0..<60_000).map { _ in words[Int(generator.next() % 500)] }
    try Data(text.joined(separator: " ").utf8).write(to: URL(fileURLWithPath: tree + "/text"))
    var stored: [Int] = []
    for level in ["0", "1", "9"] {
      let own = muninn.file("repository-\(level)")
      try muninn.run(["init", own, "--no-encryption"])
      let report = try muninn.json(["backup", own, tree, "--level", level])
      let snapshot = try #require(report["snapshot"] as? [String: Any])
      let statistics = try #require(snapshot["statistics"] as? [String: Any])
      stored.append(try #require(statistics["bytesStored"] as? Int))
      try muninn.run(["restore", own, "latest", "--target", muninn.file("out-\(level)")])
      #expect(try muninn.isSame(tree, muninn.file("out-\(level)")))
    }
    #expect(stored[0] > stored[1] && stored[1] > stored[2], "\(stored)")
    let refused = try muninn.run(
      ["backup", repository, tree, "--level", "13"], expecting: 1)
    #expect(refused.errors.contains("13"))
  }

  @Test func aListOfPathsFromAFile() throws {
    let tree = try muninn.makeTree()
    let list = muninn.file("list")
    try Data("\(tree)/new\nline\0\(tree)/b/d\0".utf8).write(to: URL(fileURLWithPath: list))
    try muninn.run(["backup", repository, "--files-from0", list])
    let below = String(tree.dropFirst()) + "/"
    let inside = try paths().filter { $0.hasPrefix(below) }.map {
      String($0.dropFirst(below.count))
    }
    #expect(inside == ["b", "b/d", "b/d/empty", "b/d/large", "new\nline"])
    let result = try muninn.json(["backup", repository, "--files-from0", list])
    let snapshot = try #require(result["snapshot"] as? [String: Any])
    #expect(snapshot["kind"] as? String == "incremental")
    #expect(snapshot["paths"] as? [String] == [list])
    try Data("\(tree)/a.txt\n\n\(tree)/absent\n".utf8).write(to: URL(fileURLWithPath: list))
    let partial = try muninn.run(
      ["backup", repository, "--files-from", list], expecting: 3)
    #expect(partial.errors.contains("absent") && partial.errors.contains("ENOENT"))
  }

  @Test func streams() throws {
    let bytes = [UInt8]((0..<200_000).map { UInt8(truncatingIfNeeded: $0 * $0 >> 5) })
    let piped = try runProgram(
      [MuninnProgram.path, "backup", repository, "--stdin", "--stdin-name", "d/data"],
      stdin: bytes, environment: muninn.environment)
    #expect(piped.status == 0, "\(piped.errors)")
    try muninn.run(["restore", repository, "latest", "--target", muninn.file("out")])
    #expect(try Array(Data(contentsOf: URL(fileURLWithPath: muninn.file("out/d/data")))) == bytes)
    try muninn.run([
      "backup", repository, "--stdin-from-command", "--stdin-name", "said", "--", "printf", "--%s",
      "word",
    ])
    try muninn.run(["restore", repository, "latest", "--target", muninn.file("said")])
    #expect(
      try String(contentsOfFile: muninn.file("said/said"), encoding: .utf8) == "--word")
    #expect(try snapshotCount == 2)
    let failed = try muninn.run(
      ["backup", repository, "--stdin-from-command", "--", "sh", "-c", "echo half; exit 9"],
      expecting: 1)
    #expect(failed.errors.contains("status 9"))
    #expect(try snapshotCount == 2)
    for arguments in [
      ["--stdin", "path"], ["--stdin", "--stdin-from-command", "--", "x"],
      ["--stdin-from-command"],
    ] {
      try muninn.run(["backup", repository] + arguments, expecting: 64)
    }
  }

  @Test func commandsBeforeAndAfter() throws {
    let tree = try muninn.makeTree()
    let log = muninn.file("log")
    let after = "echo \"$MUNINN_RESULT $MUNINN_SNAPSHOT $MUNINN_REPOSITORY\" >>'\(log)'"
    try muninn.run([
      "backup", repository, tree, "--before", "echo made >'\(tree)/made'", "--after", after,
    ])
    #expect(try paths().contains("made"))
    let failed = try muninn.run(
      ["backup", repository, tree, "--before", "exit 5", "--after", after], expecting: 1)
    #expect(failed.errors.contains("exit 5") && failed.errors.contains("status 5"))
    try muninn.run(
      ["backup", repository, muninn.file("absent"), "--after", after], expecting: 4)
    let late = try muninn.run(
      ["backup", repository, tree, "--after", "kill -9 $$"], expecting: 3)
    #expect(late.errors.contains("signal 9"))
    #expect(try snapshotCount == 2)
    let lines = try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 2)
    #expect(lines[0].hasPrefix("success ") && lines[0].hasSuffix(repository))
    #expect(lines[1] == "failure  \(repository)")
  }

  @Test func aDryRunWritesNothing() throws {
    let tree = try muninn.makeTree()
    let result = try muninn.json(["backup", repository, tree, "--dry-run"])
    let counts = try #require(result["statistics"] as? [String: Any])
    #expect(counts["filesNew"] as? Int == 5)
    #expect(counts["bytesRead"] as? Int == counts["bytes"] as? Int)
    #expect(try snapshotCount == 0)
    let text = try muninn.run(["backup", repository, tree, "--dry-run"]).output
    #expect(text.hasPrefix("nothing was written"))
    try muninn.run(["backup", repository, "--stdin", "--dry-run"], expecting: 1)
  }

  @Test func aDiskThatIsAllButFullIsRefused() throws {
    let tree = try muninn.makeTree()
    let result = try muninn.run(
      ["backup", repository, tree, "--min-free", "8000P"], expecting: 1)
    #expect(result.errors.contains("no space") && result.errors.contains("--min-free"))
    #expect(try snapshotCount == 0)
  }

  @Test func progressAsLinesOfJSON() throws {
    let tree = try muninn.makeTree()
    let list = muninn.file("list")
    try Data("\(tree)\n\(muninn.file("absent"))\n".utf8).write(to: URL(fileURLWithPath: list))
    let result = try muninn.run(
      ["backup", repository, "--files-from", list, "--json-lines"], expecting: 3)
    let objects = try result.output.split(separator: "\n").map { line in
      try #require(
        try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: [String: Any]])
    }
    #expect(objects.allSatisfy { $0.count == 1 })
    let problems = objects.compactMap { $0["problem"]?["path"] as? String }
    #expect(problems == [String(muninn.file("absent").dropFirst())])
    #expect(objects.last?["report"]?["bytesPerSecond"] is Double)
    let progress = objects.compactMap { $0["progress"] }
    #expect(progress.last?["phase"] as? String == "done")
    #expect(progress.last?["filesDone"] as? Int ?? 0 > 8)
  }
}
