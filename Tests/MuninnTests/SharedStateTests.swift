import Foundation
import Muninn
import MuninnTestSupport
import Synchronization
import Testing

/// Several at work on one repository from one machine, which share what the machine remembers.
@Suite struct SharedStateTests {
  private final class End: Sendable {
    let isOver = Atomic(false)
  }

  /// One reads the journal, another commits and remembers it, and the first holds its older reading
  /// against that: no older state was put back.
  @Test func aRecordThatCameMeanwhileIsNoRollback() async throws {
    let scratch = try TemporaryDirectory()
    let tree = scratch.file("tree")
    let location = scratch.file("repository")
    let options = OpenOptions(stateDirectory: scratch.file("state"))
    try FileManager.default.createDirectory(atPath: tree, withIntermediateDirectories: true)
    try writeFile(tree + "/file", [UInt8](repeating: 7, count: 500))
    _ = try await Repository.create(at: location, open: options)
    let end = End()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<3 {
        group.addTask {
          while !end.isOver.load(ordering: .relaxed) {
            _ = try await Repository.open(at: location, options: options).snapshots()
          }
        }
      }
      group.addTask {
        defer { end.isOver.store(true, ordering: .relaxed) }
        let repository = try await Repository.open(at: location, options: options)
        for _ in 0..<40 { _ = try await repository.backup(BackupRequest(paths: [tree])) }
      }
      try await group.waitForAll()
    }
    #expect(try await Repository.open(at: location, options: options).snapshots().count == 40)
  }

  /// What is remembered already is not written, and synced, once more: not of an empty repository
  /// either.
  @Test func anUnchangedRepositoryIsRememberedOnce() async throws {
    let scratch = try TemporaryDirectory()
    let location = scratch.file("repository")
    let state = scratch.file("state")
    let options = OpenOptions(stateDirectory: state)
    _ = try await Repository.create(at: location, open: options)
    func remembered() throws -> [String: Int] {
      let directory = state + "/repositories"
      var inodes: [String: Int] = [:]
      for name in try FileManager.default.contentsOfDirectory(atPath: directory) {
        let attributes = try FileManager.default.attributesOfItem(atPath: directory + "/" + name)
        inodes[name] = attributes[.systemFileNumber] as? Int
      }
      return inodes
    }
    _ = try await Repository.open(at: location, options: options).snapshots()
    let first = try remembered()
    #expect(first.count == 1)
    _ = try await Repository.open(at: location, options: options).snapshots()
    #expect(try remembered() == first)
  }
}
