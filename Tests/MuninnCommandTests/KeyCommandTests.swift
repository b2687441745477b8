import Foundation
import MuninnTestSupport
import Testing

/// Encrypted repositories from the command line. Key files for the most part: a passphrase takes
/// its time each time.
@Suite struct KeyCommandTests {
  let muninn: MuninnProgram

  init() throws { muninn = try MuninnProgram() }

  private func keyFile(_ name: String) throws -> String {
    try muninn.run(["key", "generate", muninn.file(name)])
    return muninn.file(name)
  }

  private func bash(_ script: String, _ arguments: [String]) throws -> ProgramResult {
    try runProgram(
      ["bash", "-c", script, MuninnProgram.path] + arguments, environment: muninn.environment)
  }

  /// The modes of all files and directories below a directory.
  private func modes(_ path: String) throws -> Set<String> {
    let result = try runProgram(["find", path, "-printf", "%y%m\\n"])
    return Set(result.output.split(separator: "\n").map(String.init))
  }

  @Test func withoutAPassphraseAndATerminalInitSaysTheWaysOut() throws {
    let repository = muninn.file("repository")
    let result = try muninn.run(["init", repository], expecting: 6)
    for way in ["MUNINN_PASSPHRASE", "--passphrase-file", "--key-file", "--no-encryption"] {
      #expect(result.errors.contains(way))
    }
    #expect(!FileManager.default.fileExists(atPath: repository))
    let key = try keyFile("key")
    try muninn.run(["init", repository, "--key-file", key, "--no-encryption"], expecting: 64)
    try muninn.run(
      ["init", repository, "--key-file", key, "--passphrase-file", key], expecting: 64)
  }

  @Test func aKeyFileOpensEverythingAndNothingElseDoes() throws {
    let tree = try muninn.makeTree()
    let repository = muninn.file("repository")
    let (key, other) = (try keyFile("key"), try keyFile("other"))
    #expect(
      try muninn.json(["init", repository, "--key-file", key])["isEncrypted"] as? Bool == true)
    try muninn.run(["backup", repository, tree, "--key-file", key])
    for command in [["snapshots"], ["check"], ["stats"], ["key", "list"]] {
      try muninn.run(command + [repository, "--key-file", key])
      let missing = try muninn.run(command + [repository], expecting: 6)
      #expect(missing.errors.contains("MUNINN_PASSPHRASE"))
      try muninn.run(command + [repository, "--key-file", other], expecting: 6)
    }
    try muninn.run(["backup", repository, tree, "--key-file", other], expecting: 6)
    try muninn.run(
      ["restore", repository, "latest", "--target", muninn.file("t"), "--key-file", key])
    #expect(try muninn.isSame(tree, muninn.file("t")))
    // Text of the tree shows nowhere.
    let found = try runProgram(["grep", "-rlaE", "alpha|gamma|a\\.txt|new.line", repository])
    #expect(found.output == "")

    let plain = muninn.file("plain")
    try muninn.run(["init", plain, "--no-encryption"])
    let needless = try muninn.run(["snapshots", plain, "--key-file", key], expecting: 6)
    #expect(needless.errors.contains("not encrypted"))
  }

  @Test func onlyTheOwnerReadsWhatIsMade() throws {
    let tree = try muninn.makeTree()
    let repository = muninn.file("repository")
    let script = """
      umask 000; "$0" key generate "$3" >/dev/null && "$0" init "$1" --key-file "$3" >/dev/null &&
      "$0" backup "$1" "$2" --key-file "$3" >/dev/null &&
      "$0" restore "$1" latest --target "$4" --key-file "$3" >/dev/null
      """
    let result = try bash(
      script, [repository, tree, muninn.file("key"), muninn.file("target")])
    #expect(result.status == 0, "\(result.errors)")
    #expect(try modes(repository) == ["f600", "d700"])
    #expect(try modes(muninn.file("key")) == ["f600"])
    #expect(try modes(muninn.file("state") + "/muninn") == ["f600", "d700"])
    let again = try muninn.run(["key", "generate", muninn.file("key")], expecting: 1)
    #expect(again.errors.contains("never overwritten"))
  }

  @Test func keysAreAddedRemovedAndRotated() throws {
    let repository = muninn.file("repository")
    let tree = try muninn.makeTree()
    let keys = try ["a", "b", "c"].map { try keyFile($0) }
    try muninn.run(["init", repository, "--key-file", keys[0]])
    try muninn.run(["backup", repository, tree, "--key-file", keys[0]])
    let added = try muninn.json([
      "key", "add", repository, "--key-file", keys[0], "--new-key-file", keys[1], "--label", "B",
    ])
    let id = try #require(added["key"] as? String)
    let list = try muninn.run(["key", "list", repository, "--key-file", keys[1]]).output
    #expect(list.split(separator: "\n").count == 3 && list.contains(id.prefix(8)))
    try muninn.run(["key", "remove", repository, String(id.prefix(8)), "--key-file", keys[0]])
    try muninn.run(["snapshots", repository, "--key-file", keys[1]], expecting: 6)
    let rest = try muninn.json(["key", "list", repository, "--key-file", keys[0]])
    let last = try #require((rest["keys"] as? [[String: Any]])?.first?["id"] as? String)
    let refused = try muninn.run(
      ["key", "remove", repository, last, "--key-file", keys[0]], expecting: 1)
    #expect(refused.errors.contains("add one first"))
    let without = try muninn.run(
      ["key", "add", repository, "--key-file", keys[0]], expecting: 6)
    #expect(without.errors.contains("--new-passphrase-file"))

    let rotated = try muninn.json([
      "key", "rotate", repository, "--key-file", keys[0], "--new-key-file", keys[2],
    ])
    #expect((rotated["removed"] as? [Any])?.count == 1)
    let old = try muninn.run(["snapshots", repository, "--key-file", keys[0]], expecting: 6)
    #expect(!old.errors.isEmpty)
    try muninn.run(["backup", repository, tree, "--key-file", keys[2]])
    // The same key under a new master key.
    try muninn.run(["key", "rotate", repository, "--key-file", keys[2]])
    try muninn.run(["check", repository, "--read-data", "--key-file", keys[2]])
    try muninn.run(
      ["restore", repository, "latest", "--target", muninn.file("t"), "--key-file", keys[2]])
    #expect(try muninn.isSame(tree, muninn.file("t")))
  }

  @Test func passphrasesComeFromTheEnvironmentOrAFile() throws {
    let repository = muninn.file("repository")
    let passphrase = "a passphrase that nobody is to see"
    let file = muninn.file("passphrase")
    try Data((passphrase + "\n").utf8).write(to: URL(fileURLWithPath: file))
    let made = try bash(#"MUNINN_PASSPHRASE="$2" "$0" init "$1""#, [repository, passphrase])
    #expect(made.status == 0, "\(made.errors)")
    let opened = try muninn.run(["stats", repository, "--passphrase-file", file])
    let wrong = try bash(#"MUNINN_PASSPHRASE="$2 " "$0" stats "$1""#, [repository, passphrase])
    #expect(wrong.status == 6)
    for result in [made, opened, wrong] {
      #expect(!result.output.contains("nobody") && !result.errors.contains("nobody"))
    }
    for (content, status) in [("", 1), ("two\nlines\n", 1)] as [(String, Int32)] {
      try Data(content.utf8).write(to: URL(fileURLWithPath: file))
      try muninn.run(["stats", repository, "--passphrase-file", file], expecting: status)
    }
    try muninn.run(["stats", repository, "--passphrase-file", muninn.file("no")], expecting: 4)
    try muninn.run(["stats", repository, "--key-file", file], expecting: 1)
  }

  /// `script` gives the program a terminal.
  @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/script")))
  func aTerminalIsAskedWithoutEcho() throws {
    let repository = muninn.file("repository")
    func typed(_ lines: [String], _ command: String) throws -> ProgramResult {
      let type = lines.map { "sleep 1; printf '\($0)\\n'" }.joined(separator: "; ")
      return try bash(
        "(sleep 1; \(type)) | script -qec \"'$0' \(command)\" /dev/null", [repository])
    }
    let different = try typed(["hush hush", "hush"], "init '\(repository)'")
    #expect(different.status != 0 && different.output.contains("not the same"))
    #expect(!FileManager.default.fileExists(atPath: repository + "/repository"))
    let made = try typed(["hush hush", "hush hush"], "init '\(repository)'")
    #expect(made.status == 0, "\(made.output)")
    let opened = try typed(["hush hush"], "stats '\(repository)'")
    #expect(opened.status == 0 && opened.output.contains("encrypted"), "\(opened.output)")
    for result in [different, made, opened] { #expect(!result.output.contains("hush")) }
  }

  @Test func anOlderStateIsAcceptedOnDemand() throws {
    let repository = muninn.file("repository")
    let tree = try muninn.makeTree()
    try muninn.run(["init", repository, "--no-encryption"])
    try muninn.run(["backup", repository, tree])
    let copied = try runProgram(["cp", "-a", repository, muninn.file("copy")])
    #expect(copied.status == 0)
    try muninn.run(["backup", repository, tree])
    try FileManager.default.removeItem(atPath: repository)
    let back = try runProgram(["mv", muninn.file("copy"), repository])
    #expect(back.status == 0)
    let refused = try muninn.run(["snapshots", repository], expecting: 5)
    #expect(refused.errors.contains("--accept-rollback"))
    try muninn.run(["backup", repository, tree], expecting: 5)
    try muninn.run(["snapshots", repository, "--accept-rollback"])
    try muninn.run(["backup", repository, tree])
    try muninn.run(["check", repository])
  }
}
