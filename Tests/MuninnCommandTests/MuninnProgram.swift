import Foundation
import MuninnTestSupport
import Testing

/// The `muninn` program that was built beside these tests, in a scratch directory of its own.
struct MuninnProgram {
  let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  /// Where SwiftPM puts every product of this build.
  static var path: String {
    let tests = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return (tests as NSString).deletingLastPathComponent + "/muninn"
  }

  func file(_ name: String) -> String { directory.file(name) }

  /// What it needs of the environment; its state stays in the scratch directory.
  var environment: [String: String] {
    [
      "HOME": directory.path, "XDG_STATE_HOME": directory.path + "/state", "TZ": "UTC",
      "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin", "LANG": "C.UTF-8",
    ]
  }

  /// Runs a command to its end and expects its exit code.
  @discardableResult
  func run(
    _ arguments: [String], expecting status: Int32 = 0,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> ProgramResult {
    let result = try runProgram([Self.path] + arguments, environment: environment)
    #expect(
      result.status == status, "\(arguments): \(result.output)\(result.errors)",
      sourceLocation: sourceLocation)
    return result
  }

  /// The JSON object that a command prints with `--json`.
  func json(
    _ arguments: [String], expecting status: Int32 = 0,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> [String: Any] {
    let result = try run(
      arguments + ["--json"], expecting: status, sourceLocation: sourceLocation)
    let value = try JSONSerialization.jsonObject(with: Data(result.stdout))
    return try #require(value as? [String: Any], sourceLocation: sourceLocation)
  }

  /// Writes a small tree and returns its path.
  func makeTree(_ name: String = "tree") throws -> String {
    let root = file(name)
    let files = [
      "a.txt": Data("alpha".utf8), "b/c.txt": Data("gamma".utf8), "b/d/empty": Data(),
      "b/d/large": Data((0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 3) }),
      "new\nline": Data("odd".utf8),
    ]
    for (path, bytes) in files {
      let whole = root + "/" + path
      try FileManager.default.createDirectory(
        atPath: (whole as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
      try bytes.write(to: URL(fileURLWithPath: whole))
    }
    return root
  }

  /// Whether `diff` sees no difference between two trees.
  func isSame(_ left: String, _ right: String) throws -> Bool {
    try runProgram(["diff", "-r", "--no-dereference", left, right]).status == 0
  }
}
