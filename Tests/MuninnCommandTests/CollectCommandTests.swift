import Foundation
import MuninnTestSupport
import Testing

/// Prunes that rewrite, and defragmentation, as the program does them.
@Suite struct CollectCommandTests {
  /// A repository with three snapshots of a tree that changes, the oldest forgotten.
  private func repository(_ program: MuninnProgram) throws -> (path: String, tree: String) {
    var generator = SeededGenerator(seed: 3)
    let tree = try program.makeTree()
    let repository = program.file("repository")
    try program.run(["init", repository, "--no-encryption"])
    var ids: [String] = []
    for turn in 0..<3 {
      for number in 0..<6 where turn == 0 || number % 3 == turn {
        try writeFile(tree + "/part-\(number)", generator.bytes(80_000))
      }
      let report = try program.json(["backup", repository, tree])
      let snapshot = try #require(report["snapshot"] as? [String: Any])
      ids.append(try #require(snapshot["id"] as? String))
    }
    try program.run(["forget", repository, ids[0]])
    return (repository, tree)
  }

  private func expectRestored(_ program: MuninnProgram, _ repository: String, _ tree: String) throws
  {
    try program.run(["check", repository, "--read-data"])
    let target = program.file("target-\(UUID().uuidString)")
    try program.run(["restore", repository, "latest", "--target", target])
    #expect(try program.isSame(tree, target))
  }

  @Test func pruneRewritesWithinItsLimits() throws {
    let program = try MuninnProgram()
    let (repository, tree) = try repository(program)
    let lazy = try program.json(["prune", repository, "--max-unused", "unlimited"])
    #expect(lazy["containersRewritten"] as? Int == 0)
    let dry = try program.json(["prune", repository, "--max-unused", "0", "--dry-run"])
    let foreseen = try #require(dry["containersRewritten"] as? Int)
    #expect(foreseen > 0)
    let done = try program.json(
      ["prune", repository, "--max-unused", "0", "--limit-rate", "100MiB"])
    #expect(done["containersRewritten"] as? Int == foreseen)
    #expect(done["bytesUnused"] as? Int == 0)
    #expect(try #require(done["bytesFreed"] as? Int) > 100_000)
    try expectRestored(program, repository, tree)
    let again = try program.run(["prune", repository]).output
    #expect(again.contains("0 B of it unneeded"))
  }

  @Test func defragRewritesOnce() throws {
    let program = try MuninnProgram()
    let (repository, tree) = try repository(program)
    let text = try program.run(["defrag", repository]).output
    #expect(text.contains("rewritten") && text.contains("after"))
    try expectRestored(program, repository, tree)
    let again = try program.json(["defrag", repository])
    #expect(again["containersRewritten"] as? Int == 0)
  }
}
