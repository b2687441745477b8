import HTTPTypes
package import Logging
package import Muninn
import ServiceLifecycle

/// What runs, and what may not run beside it: one backup at a time per file system, one restore at
/// a time per server, a name for one file system only.
///
/// A claim is taken before a request is looked at further, so of two requests at the same time
/// exactly one goes on. A claim that an operation takes over is let go when the operation is over
/// and its end is written down. Whoever saw the end may come sooner, and then waits for that.
package actor Operations {
  struct Running {
    var record: OperationRecord
    var status: BackupStatus?
    let progress: LiveProgress
    /// What is cancelled.
    var work: Task<OperationEnd, Never>?
    /// Ends once the operation's end is written down and its claims are let go. Never cancelled:
    /// writing stops where its task is.
    var supervision: Task<Void, Never>?
    /// Whether its end could not be written down at once.
    var isStuck = false
  }

  let database: StateDatabase
  let logger: Logger
  private var running: [Int64: Running] = [:]
  /// File systems that a backup, an update or a removal holds, by id, with what holds them.
  private var held: [String: String] = [:]
  /// Names, as keys, that a registration or a restore under way will use.
  private var names: Set<String> = []
  /// Repositories that are not shared and that a backup under way writes to, with the file system's
  /// id and name.
  private var writers: [String: (id: String, name: String)] = [:]
  /// Repositories that a prune or a defragmentation under way works on.
  private var tended: Set<String> = []
  var gate = RestoreGate()
  private(set) var isStopping = false
  /// How many operations may run at the same time.
  private var limit: Int
  /// Operations whose record is being written.
  private var starting = 0

  package init(database: StateDatabase, logger: Logger, limit: Int = 16) {
    self.database = database
    self.logger = logger
    self.limit = limit
  }

  package func setLimit(_ limit: Int) { self.limit = limit }
}

// MARK: - Claims

extension Operations {
  /// Holds a file system for `purpose`; 409 where something else holds it.
  package func hold(
    _ fileSystem: FileSystemRecord, for purpose: String
  ) async throws(Refusal) {
    await settle()
    try refuseWhileStopping()
    if let other = held[fileSystem.id] {
      throw Refusal(
        .conflict,
        "\(other) of file system '\(fileSystem.name)' is already running; try again later.")
    }
    held[fileSystem.id] = purpose
  }

  package func release(_ fileSystemID: String) { held[fileSystemID] = nil }

  func hold(name: String) async throws(Refusal) {
    await settle()
    guard names.insert(FileSystemRecord.key(name)).inserted else {
      throw Refusal(.conflict, "A file system named '\(name)' is being made or restored right now.")
    }
  }

  func release(name: String) { names.remove(FileSystemRecord.key(name)) }

  /// Notes that a file system's backup is about to write to a repository of its own; 409 naming the
  /// other one that does so at this moment.
  func hold(repository: String, for fileSystem: FileSystemRecord) throws(Refusal) {
    if let writer = writers[repository], writer.id != fileSystem.id {
      throw BackupPlan.owned(by: writer.name)
    }
    writers[repository] = (fileSystem.id, fileSystem.name)
  }

  func release(repository: String) { writers[repository] = nil }

  /// Holds a repository for upkeep, of which one at a time is enough; 409 where one is under way.
  package func hold(upkeepOf repository: Repository) async throws(Refusal) {
    await settle()
    guard tended.insert(repository.id).inserted else {
      throw Refusal(
        .conflict,
        "A prune or defragmentation of '\(repository.location)' is already running; try later.")
    }
  }

  package func release(upkeepOf repository: Repository) { tended.remove(repository.id) }

  /// Waits until every operation whose end can be seen has let go of what it held. One whose end
  /// cannot be written down keeps nobody.
  func settle() async {
    while let ending = running.values.first(where: { $0.record.outcome != .running && !$0.isStuck })
    {
      await ending.supervision?.value
    }
  }

  func refuseWhileStopping() throws(Refusal) {
    if isStopping { throw Refusal(.serviceUnavailable, "The server is shutting down.") }
  }
}

// MARK: - Running

extension Operations {
  /// Writes the operation down and starts `work` on a task of its own. When this returns, the
  /// status exists.
  package func start(
    _ new: NewOperation, status: BackupStatus? = nil,
    work: @escaping @Sendable (LiveProgress) async -> OperationEnd,
    release: @escaping @Sendable (Operations) async -> Void
  ) async throws -> Int64 {
    try refuseWhileStopping()
    guard running.count + starting < limit else {
      throw Refusal(
        .serviceUnavailable,
        "\(limit) operations are running, as many as this server allows; try again later.",
        headers: [.retryAfter: "10"])
    }
    starting += 1
    defer { starting -= 1 }
    // On a task of its own: a client that goes away must not leave a record that nobody supervises.
    let database = database
    let record = try await Task { try await database.begin(new, status: status?.json) }.value
    let progress = LiveProgress()
    running[record.id] = Running(record: record, status: status, progress: progress)
    let task = Task { await Self.perform(work, progress) }
    let supervision = Task {
      await self.finish(record.id, await task.value)
      await release(self)
      self.forget(record.id)
    }
    running[record.id]?.work = task
    running[record.id]?.supervision = supervision
    // Stopping may have begun while the record was written.
    if isStopping { task.cancel() }
    logger.info(
      "operation started",
      metadata: [
        "operation": "\(record.id)", "kind": "\(record.kind.rawValue)",
        "fileSystem": "\(record.fileSystemName)",
      ])
    return record.id
  }

  /// Leaves the actor, so that nothing the work does between its awaits holds up requests.
  @concurrent private static func perform(
    _ work: @Sendable (LiveProgress) async -> OperationEnd, _ progress: LiveProgress
  ) async -> OperationEnd {
    await work(progress)
  }

  private func finish(_ id: Int64, _ end: OperationEnd) async {
    guard var entry = running[id] else { return }
    let now = Timestamp.now
    entry.record.completed = now
    entry.record.outcome = end.outcome
    entry.record.error = end.error
    entry.record.hasLeftovers = end.hasLeftovers
    entry.record.messages = end.messages.map(\.text)
    entry.record.progress = entry.progress.json
    var change = end.change
    if var status = entry.status {
      status.completed = now
      status.success = end.outcome == .completed
      status.messages += end.messages
      status.progress = entry.record.progress
      entry.status = status
      change.items[BackupStatus.itemName] = status.json
    }
    // From here on requests see the end, even while it cannot be written down.
    running[id] = entry
    while true {
      do {
        try await database.finish(entry.record, change)
        break
      } catch {
        logger.error("an operation's end could not be recorded: \(error)")
        running[id]?.isStuck = true
        if isStopping { break }
        try? await Task.sleep(for: .seconds(5))
      }
    }
    OperationMetrics.count(entry.record)
    logger.info(
      "operation ended",
      metadata: [
        "operation": "\(id)", "outcome": "\(end.outcome.rawValue)",
        "error": "\(end.error ?? "none")",
      ])
  }

  private func forget(_ id: Int64) { running[id] = nil }

  /// Cancels an operation. False where it is over, or there never was one.
  func cancel(_ id: Int64) -> Bool {
    guard let entry = running[id], entry.record.outcome == .running else { return false }
    entry.work?.cancel()
    return true
  }
}

// MARK: - Views

extension Operations {
  /// The operation as it stands, from memory while it runs and from the database afterwards.
  func record(_ id: Int64) async throws -> OperationRecord? {
    if let entry = running[id] { return current(entry) }
    return try await database.operation(id: id)
  }

  func current(of record: OperationRecord) -> OperationRecord {
    running[record.id].map(current) ?? record
  }

  private func current(_ entry: Running) -> OperationRecord {
    var record = entry.record
    if record.outcome == .running { record.progress = entry.progress.json }
    return record
  }

  /// The backup status of a file system while its backup runs.
  func liveStatus(of fileSystemID: String) -> LiveStatus? {
    for entry in running.values where entry.record.fileSystemID == fileSystemID {
      if let status = entry.status { return LiveStatus(status, entry.progress) }
    }
    return nil
  }

  /// Whether a backup of a file system runs, or its end is not written down yet.
  func isBackupUnderWay(of fileSystemID: String) async -> Bool {
    await settle()
    return liveStatus(of: fileSystemID) != nil
  }

  /// How many of each kind run.
  var counts: [OperationRecord.Kind: Int] {
    running.values.reduce(into: [:]) { $0[$1.record.kind, default: 0] += 1 }
  }

  /// Whether every end is written down.
  package var isIdle: Bool { running.isEmpty }

  func runningIDs(of fileSystemID: String) -> [Int64] {
    running.values.map(\.record)
      .filter { $0.fileSystemID == fileSystemID && $0.outcome == .running }
      .map(\.id).sorted()
  }
}

// MARK: - Service

extension Operations: Service {
  /// Waits for the server's end, then cancels what runs and waits until every end is written down.
  package func run() async throws {
    try? await gracefulShutdown()
    await stop()
  }

  package func stop() async {
    isStopping = true
    gate.refuseAll()
    for entry in running.values { entry.work?.cancel() }
    for entry in Array(running.values) { await entry.supervision?.value }
  }
}
