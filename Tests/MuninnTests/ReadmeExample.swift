import Foundation
import Muninn
import MuninnTestSupport
import Testing

// README.md shows the lines between the two marks, letter by letter.
// README: begin
func keepAndBringBack(
  _ tree: String, repository: String, state: String, target: String
) async throws -> RestoreReport {
  let options = OpenOptions(stateDirectory: state)
  let repository = try await Repository.create(at: repository, open: options)
  let backup = try await repository.backup(BackupRequest(paths: [tree])) { progress in
    print("\(progress.filesDone) files, at \(progress.currentPath)")
  }
  for problem in backup.problems { print("not read: \(problem.path): \(problem.message)") }
  let request = RestoreRequest(snapshot: .id(backup.snapshot.id), target: target)
  return try await repository.restore(request)
}
// README: end

@Suite struct ReadmeExample {
  private static let root = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

  @Test func theReadmeShowsTheCodeThatRunsHere() throws {
    let source = try String(contentsOf: URL(filePath: #filePath), encoding: .utf8)
    // Written apart, so that these lines are no marks themselves.
    let begin = try #require(source.range(of: "// README: " + "begin\n"))
    let end = try #require(source.range(of: "// README: " + "end\n"))
    let code = "```swift\nimport Muninn\n\n" + source[begin.upperBound..<end.lowerBound] + "```\n"
    let readme = try String(
      contentsOf: Self.root.appending(path: "README.md"), encoding: .utf8)
    #expect(readme.contains(code))
  }

  @Test func itBringsBackWhatItKept() async throws {
    let scratch = try TemporaryDirectory()
    let tree = URL(filePath: scratch.file("tree"))
    let folder = tree.appending(path: "folder")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let contents = [
      "small": Data("a few bytes".utf8), "folder/empty": Data(),
      "folder/large": Data((0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 7) }),
    ]
    for (name, bytes) in contents { try bytes.write(to: tree.appending(path: name)) }

    let target = scratch.file("target")
    let report = try await keepAndBringBack(
      tree.path(percentEncoded: false), repository: scratch.file("repository"),
      state: scratch.file("state"), target: target)

    #expect(report.problems == [])
    #expect(report.files == UInt64(contents.count))
    for (name, bytes) in contents {
      let restored = try Data(contentsOf: URL(filePath: target).appending(path: name))
      #expect(restored == bytes)
    }
  }
}
