import Foundation
import MuninnTestSupport
import Testing

/// Who is at work, and what those leave that were stopped.
@Suite struct SessionCommandTests {
  private let muninn: MuninnProgram

  init() throws { muninn = try MuninnProgram() }

  private func sessions(_ repository: String) throws -> [[String: Any]] {
    try #require(try muninn.json(["sessions", repository])["sessions"] as? [[String: Any]])
  }

  @Test func workersAreListedWhileTheyLive() throws {
    let tree = try muninn.makeTree()
    let repository = muninn.file("repository")
    try muninn.run(["init", repository, "--no-encryption"])
    #expect(try sessions(repository).isEmpty)
    #expect(try muninn.run(["sessions", repository]).output == "nobody is at work\n")
    // It reads from a pipe that gives nothing, until its note was seen; then it is killed.
    let script = #"""
      mkfifo "$3"; exec 9<>"$3"
      "$0" backup "$1" --stdin <&9 >/dev/null 2>&1 & p=$!
      for i in $(seq 200); do
        [[ $("$0" sessions "$1" --json) != *working* ]] || break; sleep 0.05
      done
      "$0" sessions "$1" --json | tr -d ' \n'; echo " $p"
      kill -9 $p; wait $p 2>/dev/null
      "$0" sessions "$1" --json | tr -d ' \n'; echo
      "$0" backup "$1" "$2" >/dev/null && "$0" sessions "$1"
      """#
    let result = try runProgram(
      ["bash", "-c", script, MuninnProgram.path, repository, tree, muninn.file("pipe")],
      environment: muninn.environment)
    #expect(result.status == 0, "\(result.errors)")
    let lines = result.output.split(separator: "\n")
    try #require(lines.count == 3, "\(result.output)")
    let process = try #require(lines[0].split(separator: " ").last)
    #expect(lines[0].contains(#""state":"working""#) && lines[0].contains(#""work":"backup""#))
    #expect(lines[0].contains("\"process\":\(process)"))
    #expect(lines[1].contains(#""state":"dead""#))
    #expect(lines[2] == "nobody is at work", "the next backup fences the dead")
  }
}
