import Foundation
import MuninnTestSupport
import Testing

/// Forgetting, tags, holds and settings, as the program does them.
@Suite struct RetentionCommandTests {
  /// A repository with so many snapshots of one tree; their ids, oldest first.
  private func repository(
    _ program: MuninnProgram, snapshots count: Int
  ) throws -> (path: String, ids: [String]) {
    let tree = try program.makeTree()
    let repository = program.file("repository")
    try program.run(["init", repository, "--no-encryption"])
    let ids = try (0..<count).map { _ in
      let report = try program.json(["backup", repository, tree])
      let snapshot = try #require(report["snapshot"] as? [String: Any])
      return try #require(snapshot["id"] as? String)
    }
    return (repository, ids)
  }

  private func ids(_ program: MuninnProgram, _ repository: String) throws -> [String] {
    let report = try program.json(["snapshots", repository])
    return try #require(report["snapshots"] as? [[String: Any]]).compactMap { $0["id"] as? String }
  }

  @Test func rulesForgetWhatTheyDoNotKeepAndSayWhy() throws {
    let program = try MuninnProgram()
    let (repository, all) = try repository(program, snapshots: 4)
    let rules = ["forget", repository, "--keep-last", "1", "--keep-tag", "release"]
    try program.run(["tag", repository, all[1], "--add", "release"])

    let dry = try program.run(rules + ["--dry-run"]).output
    #expect(dry.contains("tag release"))
    #expect(dry.contains("2 would be forgotten, 2 left"))
    #expect(try ids(program, repository) == all)

    let report = try program.json(rules)
    let forgotten = try #require(report["forgotten"] as? [[String: Any]])
    #expect(forgotten.compactMap { $0["id"] as? String } == [all[0], all[2]])
    #expect(try ids(program, repository) == [all[1], all[3]])
    // What is forgotten is gone for every command, and what is left restores.
    try program.run(
      ["restore", repository, all[0], "--target", program.file("gone")], expecting: 4)
    try program.run(["restore", repository, all[1], "--target", program.file("whole")])
    try program.run(["check", repository, "--read-data"])
  }

  @Test func aHoldProtectsUntilItIsLifted() throws {
    let program = try MuninnProgram()
    let (repository, all) = try repository(program, snapshots: 2)
    try program.run(["hold", repository, String(all[0].prefix(8)), "--reason", "for the audit"])
    #expect(try program.run(["snapshots", repository]).output.contains("(held)"))
    let refused = try program.run(["forget", repository, all[0]], expecting: 1)
    #expect(refused.errors.contains("held"))
    try program.run(["forget", repository, "--keep-last", "1"])
    #expect(try ids(program, repository) == all)
    try program.run(["hold", repository, all[0], "--lift"])
    try program.run(["forget", repository, all[0]])
    #expect(try ids(program, repository) == [all[1]])
  }

  @Test func tagsComeAndGo() throws {
    let program = try MuninnProgram()
    let (repository, all) = try repository(program, snapshots: 1)
    try program.run(["tag", repository, all[0], "--add", "b", "--add", "a", "--add", "b"])
    let report = try program.json(["tag", repository, all[0], "--remove", "b", "--add", "c"])
    let snapshots = try #require(report["snapshots"] as? [[String: Any]])
    #expect(snapshots.first?["tags"] as? [String] == ["a", "c"])
    try program.run(["tag", repository, all[0], "--add", ""], expecting: 1)
    try program.run(["tag", repository, "ffffffff", "--add", "x"], expecting: 4)
  }

  @Test func settingsAreTheRepositorys() throws {
    let program = try MuninnProgram()
    let (repository, _) = try repository(program, snapshots: 1)
    #expect(try program.json(["settings", repository])["minimumAgeSeconds"] as? Int == 0)
    try program.run(["settings", repository, "--minimum-age", "14d"])
    let report = try program.json(["settings", repository])
    #expect(report["minimumAgeSeconds"] as? Int == 14 * 86_400)
    try program.run(["settings", repository, "--minimum-age", "0"])
    #expect(try program.json(["settings", repository])["minimumAgeSeconds"] as? Int == 0)
  }

  @Test(arguments: [
    [], ["--keep-last", "0"], ["--keep-within", "soon"], ["--keep-last", "1", "abcd1234"],
    ["--group-by", "phase-of-the-moon", "--keep-last", "1"],
  ])
  func whatCannotBeMeantIsRefused(_ arguments: [String]) throws {
    let program = try MuninnProgram()
    try program.run(["forget", program.file("none")] + arguments, expecting: 64)
  }
}
