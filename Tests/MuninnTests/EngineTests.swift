import Foundation
import Glibc
import Muninn
import MuninnTestSupport
import Synchronization
import Testing

/// Of the calling thread: on Linux each has its own.
private func niceness() -> Int32 { getpriority(Int32(PRIO_PROCESS.rawValue), 0) }

/// How operations share the machine with the rest of the process.
@Suite(.serialized) struct EngineTests {
  private final class Seen: Sendable {
    let values = Mutex([(niceness: Int32, operations: Int)]())
  }

  /// The handler of a backup's progress is called on the engine's threads.
  @Test func operationsAreNicerThanTheProcess() async throws {
    let scratch = try TemporaryDirectory()
    let tree = scratch.file("tree")
    try FileManager.default.createDirectory(atPath: tree, withIntermediateDirectories: true)
    try writeFile(tree + "/file", [UInt8](repeating: 7, count: 500))
    let options = OpenOptions(stateDirectory: scratch.file("state"))
    let repository = try await Repository.create(
      at: scratch.file("repository"), open: options)
    let seen = Seen()
    let before = niceness()
    Engine.niceness = 4
    defer { Engine.niceness = 0 }
    _ = try await repository.backup(BackupRequest(paths: [tree])) { _ in
      let values = (niceness(), Engine.operationCount)
      seen.values.withLock { $0.append(values) }
    }
    let all = seen.values.withLock { $0 }
    #expect(!all.isEmpty)
    #expect(all.allSatisfy { $0.niceness == min(before + 4, 19) && $0.operations >= 1 })
    #expect(niceness() == before)
  }

  @Test func nicenessIsWhatTheSystemKnows() {
    let before = Engine.niceness
    defer { Engine.niceness = before }
    Engine.niceness = 99
    #expect(Engine.niceness == 19)
    Engine.niceness = -5
    #expect(Engine.niceness == 0)
  }
}
