import Foundation
import Muninn
import MuninnTestSupport
import Testing

/// What a program sees of a repository whose journal has lost a record.
@Suite struct DamagedJournalTests {
  /// A repository with two snapshots of a tree, and the tree.
  private struct Fixture {
    let scratch: TemporaryDirectory
    let tree: String
    let location: String
    let options: OpenOptions

    init() async throws {
      scratch = try TemporaryDirectory()
      tree = scratch.file("tree")
      location = scratch.file("repository")
      options = OpenOptions(stateDirectory: scratch.file("state"))
      try FileManager.default.createDirectory(
        atPath: tree, withIntermediateDirectories: true)
      try writeFile(tree + "/first", [UInt8](repeating: 7, count: 5000))
      let repository = try await Repository.create(at: location, open: options)
      _ = try await repository.backup(BackupRequest(paths: [tree]))
      try writeFile(tree + "/second", [UInt8](repeating: 8, count: 5000))
      _ = try await repository.backup(BackupRequest(paths: [tree]))
    }

    func removeRecord(_ number: Int) throws {
      let name = String(repeating: "0", count: 15) + "\(number)"
      try FileManager.default.removeItem(atPath: "\(location)/journal/\(name)")
    }
  }

  @Test func aSnapshotRestoresWithoutTheRecordsOfOlderOnes() async throws {
    let fixture = try await Fixture()
    try fixture.removeRecord(1)
    let repository = try await Repository.open(at: fixture.location, options: fixture.options)
    #expect(repository.damage.map(\.path) == ["journal/0000000000000001"])
    #expect(try await repository.snapshots().count == 1)

    let target = fixture.scratch.file("target")
    let report = try await repository.restore(
      RestoreRequest(snapshot: .latest(), target: target))
    #expect(report.problems == [])
    for name in ["first", "second"] {
      let source = try Data(contentsOf: URL(filePath: fixture.tree + "/" + name))
      #expect(try Data(contentsOf: URL(filePath: target + "/" + name)) == source)
    }
  }

  @Test func nothingIsCommittedOnADamagedJournal() async throws {
    let fixture = try await Fixture()
    try fixture.removeRecord(1)
    let repository = try await Repository.open(at: fixture.location, options: fixture.options)
    let error = await #expect(throws: MuninnError.self) {
      try await repository.backup(BackupRequest(paths: [fixture.tree]))
    }
    #expect(error?.code == .damaged)
    #expect(error?.message.contains("journal/0000000000000001") == true)
    #expect(try await repository.snapshots().count == 1)
  }

  @Test func anOlderStatePutBackIsNoticed() async throws {
    let fixture = try await Fixture()
    try fixture.removeRecord(2)
    let error = await #expect(throws: MuninnError.self) {
      try await Repository.open(at: fixture.location, options: fixture.options)
    }
    #expect(error?.code == .rolledBack)
    #expect(error?.message.contains("older state") == true)

    // Accepted, the older state is what this machine has seen from then on.
    var accepting = fixture.options
    accepting.acceptsRollback = true
    _ = try await Repository.open(at: fixture.location, options: accepting)
    let older = try await Repository.open(at: fixture.location, options: fixture.options)
    #expect(try await older.snapshots().count == 1)

    // A machine that has not seen the newer record takes the state as it is.
    let elsewhere = OpenOptions(stateDirectory: fixture.scratch.file("elsewhere"))
    let repository = try await Repository.open(at: fixture.location, options: elsewhere)
    #expect(try await repository.snapshots().count == 1)
  }

  /// An older state that was put back, and that another machine has gone on from since, is longer
  /// than what this one has seen, and still not the same repository.
  @Test func aForkOfThePastIsNoticed() async throws {
    let fixture = try await Fixture()
    try fixture.removeRecord(2)
    let elsewhere = OpenOptions(stateDirectory: fixture.scratch.file("elsewhere"))
    let repository = try await Repository.open(at: fixture.location, options: elsewhere)
    for _ in 0..<2 { _ = try await repository.backup(BackupRequest(paths: [fixture.tree])) }
    let error = await #expect(throws: MuninnError.self) {
      try await Repository.open(at: fixture.location, options: fixture.options)
    }
    #expect(error?.code == .rolledBack)
    #expect(error?.message.contains("record 2 is not the one") == true)
  }
}
