import Foundation
import MuninnTestSupport
import Testing

/// `check` and `repair` as people use them: damage, plan, repair, restore, and the content back.
@Suite struct RepairCommandTests {
  let muninn: MuninnProgram
  let tree: String
  let repository: String

  init() throws {
    muninn = try MuninnProgram()
    tree = try muninn.makeTree()
    repository = muninn.file("repository")
    try muninn.run(["init", repository, "--no-encryption"])
    try muninn.run(["backup", repository, tree])
  }

  /// Flips a bit in the first block of the largest container.
  private func damage() throws {
    let found = try runProgram([
      "find", repository + "/containers", "-type", "f", "-printf", "%s %p\\n",
    ])
    let files = found.output.split(separator: "\n").map { $0.split(separator: " ") }
    let largest = try #require(files.max { Int($0[0]) ?? 0 < Int($1[0]) ?? 0 })
    let path = String(largest[1])
    var bytes = try readFile(path)
    bytes[500] ^= 1
    try writeFile(path, bytes)
  }

  @Test func fromDamageBackToWhole() throws {
    try damage()
    try muninn.run(["check", repository])
    let check = try muninn.json(["check", repository, "--read-data"], expecting: 5)
    let affected = try #require(check["affected"] as? [[String: Any]])
    #expect(affected.map { $0["path"] as? String } == ["b/d/large"])

    let plan = try muninn.run(["repair", repository, "--dry-run"], expecting: 5)
    #expect(plan.output.contains("nothing was changed"))
    #expect(plan.output.contains("would be repaired"))
    #expect(plan.errors.contains("b/d/large"))
    try muninn.run(["check", repository, "--read-data"], expecting: 5)

    let repair = try muninn.json(["repair", repository], expecting: 3)
    let folder = try #require(repair["folder"] as? String)
    #expect(FileManager.default.fileExists(atPath: "\(repository)/\(folder)/containers"))
    let clean = try muninn.run(["check", repository, "--read-data"])
    #expect(clean.output.contains("known "))
    #expect(
      try muninn.run(["repair", repository], expecting: 3).output.contains("nothing") == false)
    let table = try muninn.run(["snapshots", repository]).output
    #expect(table.contains("superseded by") && table.contains("repaired "))

    let target = muninn.file("partial")
    let partial = try muninn.run(
      ["restore", repository, "latest", "--target", target], expecting: 3)
    #expect(partial.errors.contains("b/d/large: bytes 0 to "))
    #expect(try readFile(target + "/b/d/large").count == 300_000)
    #expect(try readFile(target + "/b/c.txt") == Array("gamma".utf8))

    try muninn.run(["backup", repository, tree])
    let old = table.split(separator: "\n").first { $0.contains("superseded") }
    let id = try #require(old?.prefix(8))
    try muninn.run(["restore", repository, String(id), "--target", muninn.file("whole")])
    #expect(try muninn.isSame(tree, muninn.file("whole")))
    try muninn.run(["repair", repository])
    #expect(try muninn.run(["check", repository]).output.contains("known ") == false)
  }

  @Test func budgetsAndShares() throws {
    let all = try muninn.run(["check", repository, "--budget", "1GiB"])
    #expect(all.output.contains("verified 100 %"))
    try muninn.run(["check", repository, "--budget", "10m"])
    try muninn.run(["check", repository, "--read-data", "50%"])
    for wrong in [["5%"], ["--budget", "10x"], ["--read-data", "--budget", "1m"]] {
      try muninn.run(["check", repository] + wrong, expecting: 64)
    }
    #expect(try muninn.run(["repair", repository]).output.contains("nothing to repair"))
  }
}
