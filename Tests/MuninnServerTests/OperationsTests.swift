import HTTPTypes
import HummingbirdTesting
import MuninnServer
import Testing

/// What runs beside what, and what becomes of it; with work that ends when a test says so.
@Suite struct OperationsTests {
  /// An operation that runs until it is cancelled, or `latch` is opened.
  private func start(
    _ kind: OperationRecord.Kind, on server: ServerUnderTest, name: String, latch: Latch
  ) async throws -> Int64 {
    let record = try await server.server.core.database.fileSystem(named: name)
    let new = NewOperation(
      kind: kind, fileSystemID: record?.id ?? "none", fileSystemName: name, location: "/nowhere",
      started: .now, progress: .object([:]))
    let status = kind == .backup ? BackupStatus(started: .now, progress: .object([:])) : nil
    return try await server.server.core.operations.start(new, status: status) { _ in
      do {
        try await latch.wait()
        return OperationEnd(.completed)
      } catch {
        return OperationEnd(error)
      }
    } release: { _ in
    }
  }

  @Test func runningOperationsAreShownAndEnd() async throws {
    try await withServer(.inside) { server in
      try await server.register("A", over: try server.makeTree())
      let latch = Latch()
      let id = try await start(.backup, on: server, name: "A", latch: latch)
      #expect(id == 1)
      let running = try await server.send(.get, "/operation/status?id=1", expecting: 200)
      #expect(running["Completed"] == .bool(false))
      #expect(running["Faulted"] == .bool(false))
      #expect(running["Canceled"] == .bool(false))
      #expect(running.body.contains(#""Exception":null"#))
      let status = try await server.send(
        .get, "/fs/A/config?name=Raven%2FBackup%2FStatus", expecting: 200)
      #expect(status["IsRunning"] == .bool(true))
      #expect(status.body.contains(#""Success":null"#))
      #expect(status.body.contains(#""Completed":null"#))
      #expect(status.headers[.cacheControl] == "no-cache")
      #expect(
        try await server.send(.get, "/fs/A/stats")["RunningOperations"] == .array([.integer(1)]))
      try await server.send(.delete, "/fs/A/config?name=Raven/Backup/Status", expecting: 409)
      await latch.open()
      #expect(try await server.finalStatus(of: "A")["Success"] == .bool(true))
      #expect(try await server.finalStatus(operation: 1)["Faulted"] == .bool(false))
      try await server.send(.delete, "/fs/A/config?name=Raven/Backup/Status", expecting: 204)
    }
  }

  @Test func killCancels() async throws {
    try await withServer(.inside) { server in
      try await server.register("A", over: try server.makeTree())
      let id = try await start(.backup, on: server, name: "A", latch: Latch())
      #expect(try await server.send(.post, "/operation/kill?id=\(id)", expecting: 200).body == "")
      let status = try await server.finalStatus(of: "A")
      #expect(status["Success"] == .bool(false))
      let operation = try await server.finalStatus(operation: id)
      #expect(operation["Canceled"] == .bool(true))
      // It is written down as well, not only known to this process.
      try await until { await server.server.core.operations.isIdle }
      let kept = try await server.server.core.database.operation(id: id)
      #expect(kept?.outcome == .canceled)
      // What is over cannot be cancelled, and stays as it ended.
      try await server.send(.get, "/operation/kill?id=\(id)", expecting: 200)
      #expect(try await server.finalStatus(operation: id)["Canceled"] == .bool(true))
    }
  }

  @Test func oneBackupAtATimeForAFileSystem() async throws {
    try await withServer(.inside) { server in
      let tree = try server.makeTree()
      try await server.register("A", over: tree)
      let core = server.server.core
      let record = try #require(try await core.database.fileSystem(named: "A"))
      try await core.operations.hold(record, for: "A backup")
      let body = "{'BackupLocation':'\(server.scratch)/backup'}"
      try await server.send(.post, "/fs/A/admin/backup", body, expecting: 409)
      try await server.send(.delete, "/admin/fs/A", expecting: 409)
      try await server.send(.put, "/admin/fs/A?update=true", "{}", expecting: 409)
      await core.operations.release(record.id)
    }
  }

  /// The end is seen while claims are still let go: the next one waits for that, and is not refused.
  @Test func whoSawTheEndMayStartTheNext() async throws {
    try await withServer(.inside) { server in
      try await server.register("A", over: try server.makeTree())
      let core = server.server.core
      let record = try #require(try await core.database.fileSystem(named: "A"))
      for _ in 0..<20 {
        try await core.operations.hold(record, for: "A backup")
        let new = NewOperation(
          kind: .backup, fileSystemID: record.id, fileSystemName: "A", location: "/nowhere",
          started: .now, progress: .object([:]))
        _ = try await core.operations.start(
          new, status: BackupStatus(started: .now, progress: .object([:]))
        ) { _ in
          OperationEnd(.completed)
        } release: { operations in
          try? await Task.sleep(for: .milliseconds(30))
          await operations.release(record.id)
        }
        #expect(try await server.finalStatus(of: "A")["Success"] == .bool(true))
      }
      try await core.operations.hold(record, for: "An update")
      await core.operations.release(record.id)
      try await server.send(.delete, "/fs/A/config?name=Raven/Backup/Status", expecting: 204)
    }
  }

  @Test func aRestoreWaitsItsTimeForAnotherOne() async throws {
    try await withServer(.inside) { server in
      let operations = server.server.core.operations
      try await operations.takeRestoreGate(waiting: nil)
      let refused = await #expect(throws: Refusal.self) {
        try await operations.takeRestoreGate(waiting: nil)
      }
      #expect(refused?.status == .serviceUnavailable)
      let late = await #expect(throws: Refusal.self) {
        try await operations.takeRestoreGate(waiting: 0.05)
      }
      #expect(late?.status == .serviceUnavailable)
      async let waiting: Void = operations.takeRestoreGate(waiting: 60)
      try await Task.sleep(for: .milliseconds(20))
      await operations.releaseRestoreGate()
      try await waiting
      await operations.releaseRestoreGate()
    }
  }

  @Test func stoppingCancelsAndWritesDownTheEnd() async throws {
    try await withScratch { scratch in
      try await withServer(in: scratch, .inside) { server in
        try await server.register("A", over: try server.makeTree())
        _ = try await start(.backup, on: server, name: "A", latch: Latch())
      }
      try await withServer(in: scratch, .inside) { server in
        let status = try await server.send(
          .get, "/fs/A/config?name=Raven/Backup/Status", expecting: 200)
        #expect(status["IsRunning"] == .bool(false))
        #expect(status["Success"] == .bool(false))
        #expect(try await server.finalStatus(operation: 1)["Canceled"] == .bool(true))
      }
    }
  }

  /// What a process that is killed leaves in the database, and what the next one makes of it.
  @Test func nothingSaysRunningAfterACrash() async throws {
    try await withScratch { scratch in
      try await withServer(in: scratch, .inside) { server in
        try await server.register("A", over: try server.makeTree())
        let database = server.server.core.database
        let record = try #require(try await database.fileSystem(named: "A"))
        let status = BackupStatus(started: .now, progress: .object([:]))
        _ = try await database.begin(
          NewOperation(
            kind: .backup, fileSystemID: record.id, fileSystemName: "A", location: "/x",
            started: .now, progress: .object([:])), status: status.json)
        _ = try await database.begin(
          NewOperation(
            kind: .restore, fileSystemID: "0", fileSystemName: "B", location: "/x",
            started: .now, target: "/y", snapshot: "s", progress: .object([:])), status: nil)
      }
      try await withServer(in: scratch, .inside) { server in
        let status = try await server.send(
          .get, "/fs/A/config?name=Raven/Backup/Status", expecting: 200)
        #expect(status["IsRunning"] == .bool(false))
        #expect(status["Success"] == .bool(false))
        #expect(status["Completed"] != nil)
        #expect(status.body.contains("interrupted by a restart"))
        for id in 1...2 {
          let operation = try await server.finalStatus(operation: Int64(id))
          #expect(operation["Faulted"] == .bool(true))
          #expect(operation.body.contains("interrupted by a restart"))
        }
        let restore = try await server.send(
          .get, "/docs/Raven/FileSystem/Restore/Status/b", expecting: 200)
        #expect(restore["State"] == .string("Faulted"))
        #expect(restore.body.contains("Nothing was restored"))
        // Ids go on where they were.
        #expect(try await start(.backup, on: server, name: "A", latch: Latch()) == 3)
      }
    }
  }

  @Test func operationsAreListedNewestFirst() async throws {
    try await withServer(.inside) { server in
      try await server.register("A", over: try server.makeTree())
      let latch = Latch()
      await latch.open()
      for _ in 1...3 {
        let id = try await start(.backup, on: server, name: "A", latch: latch)
        _ = try await server.finalStatus(operation: id)
      }
      func ids(_ uri: String) async throws -> [JSONValue?] {
        guard case .array(let list) = try await server.send(.get, uri).json else { return [] }
        return list.map { $0.object?["Id"] }
      }
      #expect(try await ids("/operations") == [.integer(3), .integer(2), .integer(1)])
      #expect(try await ids("/operations?start=1&pageSize=1") == [.integer(2)])
    }
  }
}

private func until(_ condition: () async -> Bool) async throws {
  for _ in 0..<500 {
    if await condition() { return }
    try await Task.sleep(for: .milliseconds(20))
  }
  throw TestFailure(text: "gave up waiting")
}

/// Holds a task until it is opened or the task is cancelled.
actor Latch {
  private var isOpen = false

  func open() { isOpen = true }

  func wait() async throws {
    while !isOpen { try await Task.sleep(for: .milliseconds(5)) }
  }
}
