import Foundation
import MuninnTestSupport
import Testing

/// Signals, and the server as a process.
@Suite struct InterruptionTests {
  let muninn: MuninnProgram

  init() throws { muninn = try MuninnProgram() }

  private func bash(_ script: String, _ arguments: [String]) throws -> ProgramResult {
    try runProgram(
      ["bash", "-c", script, MuninnProgram.path] + arguments, environment: muninn.environment)
  }

  /// A signal ends a backup with 130, or comes too late; either way the repository is whole and the
  /// next backup works.
  @Test(arguments: ["INT", "TERM"], [0.1, 0.3, 0.8])
  func aSignalStopsABackupCleanly(_ signal: String, _ delay: Double) throws {
    let tree = try muninn.makeTree()
    let repository = muninn.file("repository")
    let fill = try bash(
      #"head -c 60000000 /dev/urandom | split -a 4 -b 40000 - "$1/part-""#, [tree])
    #expect(fill.status == 0)
    try muninn.run(["init", repository, "--no-encryption"])
    let result = try bash(
      #""$0" backup "$1" "$2" & p=$!; sleep "$3"; kill -"$4" $p; wait $p"#,
      [repository, tree, "\(delay)", signal])
    // 143: it came before the program had begun.
    #expect([0, 130, 143].contains(result.status), "\(result.status): \(result.errors)")
    if result.status == 130 {
      #expect(result.errors.hasPrefix("muninn: "))
      #expect(result.output.isEmpty)
    }
    try muninn.run(["check", repository, "--read-data"])
    let left = try kinds(in: repository)
    #expect(left.isEmpty || left == [result.status == 0 ? "full" : "partial"])
    if left == ["partial"] {
      #expect(result.errors.contains("partial snapshot"))
      // Who does not name it does not get it.
      try muninn.run(
        ["restore", repository, "latest", "--target", muninn.file("none")], expecting: 4)
      let id = try #require(try snapshots(of: repository).first?["id"] as? String)
      try muninn.run(["restore", repository, id, "--target", muninn.file("part")])
      try muninn.run(["forget", repository, "--keep-last", "1"])
      #expect(try kinds(in: repository) == ["partial"])
    }
    let report = try muninn.json(["backup", repository, tree])
    #expect((report["continued"] as? [String])?.count == (left == ["partial"] ? 1 : 0))
    #expect(try !kinds(in: repository).contains("partial"))
    try muninn.run(["restore", repository, "latest", "--target", muninn.file("target")])
    #expect(try muninn.isSame(tree, muninn.file("target")))
  }

  private func snapshots(of repository: String) throws -> [[String: Any]] {
    try #require(try muninn.json(["snapshots", repository])["snapshots"] as? [[String: Any]])
  }

  private func kinds(in repository: String) throws -> [String] {
    try snapshots(of: repository).compactMap { $0["kind"] as? String }
  }

  /// Starts a server, runs `script` with its URL in `$url` and its process in `$p`, and stops it.
  private func serve(_ script: String, _ arguments: [String] = []) throws -> ProgramResult {
    try bash(
      """
      base=$1; shift
      start() {
        "$0" serve --base "$base" --listen 127.0.0.1:0 >"$base.log" 2>&1 & p=$!
        for i in $(seq 200); do
          url=$(sed -n 's/^listening on //p' "$base.log"); [[ -z $url ]] || break; sleep 0.05
        done
        [[ -n $url ]] || { cat "$base.log"; exit 70; }
      }
      status() { curl -s --noproxy '*' "$url/fs/A/config?name=Raven/Backup/Status"; }
      send() { curl -s -o /dev/null -w '%{http_code}' --noproxy '*' "$@"; }
      start
      \(script)
      """, [muninn.file("base")] + arguments)
  }

  @Test func theServerStopsOnSIGTERM() throws {
    let result = try serve("send $url/health; kill -TERM $p; wait $p")
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    #expect(result.output == "200")
  }

  @Test(arguments: [0.0, 0.2, 0.6])
  func nothingSaysRunningAfterTheServerIsKilled(_ delay: Double) throws {
    let tree = try muninn.makeTree()
    let fill = try bash(
      #"head -c 60000000 /dev/urandom | split -a 4 -b 40000 - "$1/part-""#, [tree])
    #expect(fill.status == 0)
    let script = #"""
      send -X PUT $url/admin/fs/A -d "{'Settings':{'Raven/FileSystem/DataDir':'$1'}}"
      send $url/fs/A/admin/backup -d "{'BackupLocation':'~/b'}"
      sleep $2; kill -9 $p; wait $p 2>/dev/null
      start
      status | grep -q '"IsRunning":false' && echo ' ended'
      send $url/fs/A/admin/backup?incremental=true -d "{'BackupLocation':'~/b'}"
      while status | grep -q '"IsRunning":true'; do sleep 0.05; done
      status | grep -o '"Success":[a-z]*'
      "$0" check "$base/b" --read-data >/dev/null && echo clean
      kill -TERM $p; wait $p
      """#
    let result = try serve(script, [tree, "\(delay)"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(
      result.output == "201201 ended\n201\"Success\":true\nclean\n", "\(result.output)")
  }
}
