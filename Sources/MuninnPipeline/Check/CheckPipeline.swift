package import MuninnDisk
package import MuninnFormat
package import MuninnStore
internal import Synchronization

/// How much of the data a check reads.
package enum CheckData: Sendable, Equatable {
  /// Only what says where everything is.
  case none
  case all
  /// Each block with this probability, from above 0 to 1.
  case sample(fraction: Double)
  /// Whole containers, those first that were read longest ago, until the time or the bytes are used
  /// up.
  case budget(nanoseconds: UInt64?, bytes: UInt64?)
}

/// A path of a snapshot that cannot be restored whole.
package struct AffectedPath: Sendable {
  package let snapshot: Identifier
  package let path: [UInt8]
  package let message: String
}

/// What a check found.
package struct CheckOutcome: Sendable {
  /// An object, or a snapshot and path, and what is wrong there.
  package struct Problem: Sendable {
    package let place: String
    package let message: String
  }

  package var snapshots: UInt64 = 0
  package var containers: UInt64 = 0
  package var chunks: UInt64 = 0
  package var bytesRead: UInt64 = 0
  /// Containers whose data was read.
  package var containersRead: UInt64 = 0
  /// Whether it went on where an interrupted one had ended.
  package var isResumed = false
  package var problems: [Problem] = []
  /// Paths of the problems, by snapshot.
  package var affected: [AffectedPath] = []
  /// Paths that a repair has marked: known, and no new problem.
  package var knownLosses: [AffectedPath] = []
  /// Of all live containers' bytes, those that the ledger knows to have been read whole.
  package var verifiedByteCount: UInt64 = 0
  package var totalByteCount: UInt64 = 0
  /// When the container was read that was read longest ago; nil where one never was.
  package var oldestNanoseconds: Int64?
}

/// Verifies a repository: journal, segments, containers, and that every path of every snapshot can
/// be restored.
package struct CheckPipeline {
  private let store: Store
  private let data: CheckData
  private let keeper: LedgerKeeper
  private let startsOver: Bool
  private let threads: Int
  private let counters: ProgressCounters
  private let cancellation: Cancellation

  /// Without a `ledger` nothing is remembered. `startsOver` forgets an interrupted reading.
  package init(
    store: Store, data: CheckData, ledger: LedgerKeeper? = nil, startsOver: Bool = false,
    threads: Int, progress: ProgressCounters, cancellation: Cancellation
  ) {
    self.store = store
    self.data = data
    keeper =
      ledger
      ?? LedgerKeeper(VerificationLedger(repository: store.header.repository)) { _ in }
    self.startsOver = startsOver
    self.threads = threads
    counters = progress
    self.cancellation = cancellation
  }

  package init(
    store: Store, readData: Bool, threads: Int, progress: ProgressCounters,
    cancellation: Cancellation
  ) {
    self.init(
      store: store, data: readData ? .all : .none, threads: threads, progress: progress,
      cancellation: cancellation)
  }

  /// Blocks; call it from a thread of its own.
  package func run() throws(PipelineError) -> CheckOutcome {
    counters.phase = .checking
    let journal = try fromStore { () throws(StoreError) in try store.verifyJournal() }
    var outcome = CheckOutcome()
    outcome.snapshots = UInt64(journal.snapshots.count)
    outcome.containers = UInt64(journal.containers.count)
    outcome.totalByteCount = journal.containers.values.reduce(0) { $0 + $1.byteCount }
    let keys = try fromStore { () throws(StoreError) in try store.keyProblems() }
    for problem in store.headerProblems(isEmpty: journal.head == 0) + keys + journal.problems {
      outcome.add(problem)
    }
    for (snapshot, missing) in journal.incompleteSets() {
      outcome.problems.append(
        CheckOutcome.Problem(
          place: "snapshot \(snapshot.id.description.prefix(8))",
          message: "needs \(missing.count) containers that the repository does not have"))
    }
    for snapshot in journal.snapshotsWithoutBase() {
      outcome.problems.append(
        CheckOutcome.Problem(
          place: "snapshot \(snapshot.id.description.prefix(8))",
          message: "the snapshot that its container set is a difference to is lost"))
    }
    var damage = readContainers(journal, &outcome)
    outcome.chunks = damage.chunkCount
    outcome.bytesRead = damage.bytesRead
    outcome.containersRead = damage.readCount
    for problem in damage.problems.sorted(by: { $0.description < $1.description }) {
      outcome.add(problem)
    }
    try checkIndex(journal, damage, &outcome)
    damage.sums = [:]
    try checkTrees(journal, damage, &outcome)
    guard !cancellation.isCancelled else { throw PipelineError.cancelled }
    finishLedger(journal, &outcome)
    counters.phase = .done
    return outcome
  }

  // MARK: Containers

  private func readContainers(
    _ journal: JournalState, _ outcome: inout CheckOutcome
  ) -> ContainerDamage {
    let containers = journal.containers.values.sorted { $0.id < $1.id }
    counters.entriesTotal.store(UInt64(containers.count), ordering: .relaxed)
    var check = ContainerCheck(
      store: store, threads: threads, counters: counters, cancellation: cancellation)
    let isSample = if case .sample = data { true } else { false }
    check.onRead = { [keeper] id, isDamaged in
      let now = Machine.nowNanoseconds()
      keeper.update { ledger in
        var entry = ledger.entries[id] ?? VerificationLedger.Entry()
        entry.sampledNanoseconds = now
        if !isSample { entry.readNanoseconds = now }
        if !isSample || isDamaged { entry.isDamaged = isDamaged }
        ledger.entries[id] = entry
      }
    }
    switch data {
    case .none: return check.run(containers) { _ in .directory }
    case .all: return readAll(containers, fraction: 1, check, &outcome)
    case .sample(let fraction):
      return readAll(containers, fraction: fraction, check, &outcome)
    case .budget(let nanoseconds, let bytes):
      let end = nanoseconds.map { Machine.monotonicNanoseconds() &+ $0 }
      check.isOver = { read in
        end.map { Machine.monotonicNanoseconds() >= $0 } ?? false
          || bytes.map { read >= $0 } ?? false
      }
      let ledger = keeper.ledger
      let oldestFirst = containers.sorted {
        let left = ledger.entries[$0.id]?.readNanoseconds ?? 0
        let right = ledger.entries[$1.id]?.readNanoseconds ?? 0
        return left != right ? left < right : $0.id < $1.id
      }
      return check.run(oldestFirst) { _ in .blocks }
    }
  }

  /// Everything, or a sample. What an interrupted run has read already is not read again, unless it
  /// was damaged: then its paths are to be named again.
  private func readAll(
    _ containers: [ContainerRecord], fraction: Double, _ check: ContainerCheck,
    _ outcome: inout CheckOutcome
  ) -> ContainerDamage {
    var run = VerificationLedger.Run(
      fraction: fraction, seed: UInt64(truncatingIfNeeded: Machine.nowNanoseconds()),
      begunNanoseconds: Machine.nowNanoseconds())
    let before = keeper.ledger
    if !startsOver, let earlier = before.run, abs(earlier.fraction - fraction) < 1e-5 {
      run = earlier
      outcome.isResumed = true
    }
    let resumed = run
    keeper.update { $0.run = resumed }
    let done = Set(
      before.entries.filter { _, entry in
        let read = fraction >= 1 ? entry.readNanoseconds : entry.sampledNanoseconds
        return !entry.isDamaged && read >= run.begunNanoseconds
      }.keys)
    let total = containers.reduce(0) { $0 + (done.contains($1.id) ? 0 : $1.byteCount) }
    counters.bytesTotal.store(UInt64(Double(total) * fraction), ordering: .relaxed)
    defer { keeper.saveNow() }
    return check.run(containers) { record in
      if done.contains(record.id) { return .directory }
      return fraction >= 1 ? .blocks : .sample(fraction: fraction, seed: resumed.seed)
    }
  }

  private func finishLedger(_ journal: JournalState, _ outcome: inout CheckOutcome) {
    let live = journal.containers
    keeper.update { ledger in
      ledger.entries = ledger.entries.filter { live[$0.key] != nil }
      switch data {
      case .all, .sample: ledger.run = nil
      case .none, .budget: break
      }
    }
    if data != .none { keeper.saveNow() }
    let entries = keeper.ledger.entries
    var oldest: Int64? = .max
    for record in live.values {
      let read = entries[record.id]?.readNanoseconds ?? 0
      if read > 0 { outcome.verifiedByteCount += record.byteCount } else { oldest = nil }
      oldest = oldest.map { min($0, read) }
    }
    outcome.oldestNanoseconds = oldest == .max ? nil : oldest
  }

  // MARK: Index and manifests

  private func checkIndex(
    _ journal: JournalState, _ damage: ContainerDamage, _ outcome: inout CheckOutcome
  ) throws(PipelineError) {
    if case .budget = data { return }
    guard !cancellation.isCancelled else { throw PipelineError.cancelled }
    let segments = store.segmentProblems(journal, directories: damage.sums)
    for (_, problem) in segments.sorted(by: { $0.key < $1.key }) { outcome.add(problem) }
    // What was adopted and not yet used has no segment until the next backup writes one.
    for id in store.uncoveredContainers(journal) where !journal.upkeep.isFenced(id) {
      outcome.problems.append(
        CheckOutcome.Problem(
          place: ObjectName.container(id), message: "no index segment lists it"))
    }
  }

  /// All snapshots; within a budget only those that need a container which is damaged.
  private func checkTrees(
    _ journal: JournalState, _ damage: ContainerDamage, _ outcome: inout CheckOutcome
  ) throws(PipelineError) {
    let index = try fromStore { () throws(StoreError) in
      try ChunkIndex(store: store, journal: journal.without(damage.containers))
    }
    var tree = TreeCheck(store: store, damage: damage, index: index)
    let superseded = journal.superseded
    var snapshots = journal.snapshots.filter { !superseded.contains($0.id) }
    if case .budget = data {
      let damaged = damage.damaged
      snapshots = damaged.isEmpty ? [] : journal.snapshots(needing: damaged)
    }
    for snapshot in snapshots {
      guard !cancellation.isCancelled else { throw PipelineError.cancelled }
      let name = String(snapshot.id.description.prefix(8))
      for problem in tree.problems(of: snapshot) {
        let affected = AffectedPath(
          snapshot: snapshot.id, path: problem.path, message: problem.message)
        if problem.isKnown {
          outcome.knownLosses.append(affected)
          continue
        }
        outcome.affected.append(affected)
        outcome.problems.append(
          CheckOutcome.Problem(
            place: "snapshot \(name): \(displayPath(problem.path))", message: problem.message))
      }
    }
  }
}

extension CheckOutcome {
  fileprivate mutating func add(_ error: StoreError) {
    problems.append(Problem(place: error.object ?? "repository", message: error.message))
  }
}
