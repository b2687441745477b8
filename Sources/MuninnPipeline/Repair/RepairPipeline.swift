package import MuninnDisk
package import MuninnFormat
package import MuninnStore
internal import Synchronization

/// What a repair is to do.
package struct RepairOptions: Sendable {
  /// Say what would be done, and change nothing.
  package var isDryRun = false
  /// Read every block to find the damaged ones, not only those of `suspects`.
  package var readData = false
  /// Containers that were found damaged when they were last read.
  package var suspects: Set<Identifier> = []
  package var threads: Int

  package init(threads: Int) { self.threads = threads }
}

/// What a repair did, or would do.
package struct RepairOutcome: Sendable {
  package struct Step: Sendable {
    /// The object that it is about, or the snapshot.
    package let place: String
    /// What is wrong, and what is done about it.
    package let message: String
  }

  package struct Repaired: Sendable {
    package let original: Identifier
    /// Nil in a dry run.
    package let snapshot: Identifier?
    package let lostPaths: UInt64
    /// Paths that were marked as lost and are whole again.
    package let healedPaths: UInt64
  }

  package var steps: [Step] = []
  package var repaired: [Repaired] = []
  package var lost: [AffectedPath] = []
  /// What could not be repaired.
  package var unrepaired: [Step] = []
  package var chunksSalvaged: UInt64 = 0
  package var bytesRead: UInt64 = 0
  /// Where below the repository the damaged objects are now.
  package var folder: String?
  /// Temporary files of crashed writers that were removed.
  package var abandonedFiles: UInt64 = 0
}

/// Makes a damaged repository whole again as far as its bytes allow, in this order:
///
/// ```
/// header       from its copy, or the copy from it
/// keys         damaged slots moved aside, the newest key's marker made anew
/// journal      unreadable records given up, unnamed containers adopted
/// containers   readable blocks of damaged ones into new ones          -> SalvageStage
/// manifests    what cannot be had is marked, in snapshots of their own -> ManifestRepair
/// segments     made again from directories
/// commit       one record; then damaged objects are moved aside
/// ```
///
/// Stopped or crashed anywhere, the repository is as damaged as it was, or repaired; nothing that
/// is damaged is deleted.
package struct RepairPipeline {
  private let store: Store
  private let options: RepairOptions
  private let counters: ProgressCounters
  private let cancellation: Cancellation

  package init(
    store: Store, options: RepairOptions, progress: ProgressCounters, cancellation: Cancellation
  ) {
    self.store = store
    self.options = options
    counters = progress
    self.cancellation = cancellation
  }

  /// Blocks; call it from a thread of its own.
  package func run() throws(PipelineError) -> RepairOutcome {
    counters.phase = .checking
    var outcome = RepairOutcome()
    let folder = Store.damagedFolder()
    try repairHeader(folder, &outcome)
    try repairKeys(folder, &outcome)
    let journal = try repairJournal(folder, &outcome)
    let damage = try findDamage(journal, &outcome)
    let findings = try survey(journal, damage, &outcome)
    guard !options.isDryRun else { return outcome }
    for name in try commit(journal, findings, folder, &outcome) {
      moveAside(name, folder, &outcome)
    }
    if let local = store.storage as? LocalStorage {
      let day: Int64 = 86_400_000_000_000
      let count = try fromDisk { () throws(DiskError) in
        try local.deleteAbandonedFiles(olderThanNanoseconds: day)
      }
      outcome.abandonedFiles = UInt64(count)
    }
    counters.phase = .done
    return outcome
  }

  // MARK: Header and journal

  private func repairHeader(
    _ folder: String, _ outcome: inout RepairOutcome
  ) throws(PipelineError) {
    let problems = store.headerProblems()
    for problem in problems {
      outcome.add(problem, "the other one of header and copy takes its place")
    }
    guard !problems.isEmpty, !options.isDryRun else { return }
    outcome.folder = folder
    try fromStore { () throws(StoreError) in try store.repairHeader(folder: folder) }
  }

  private func repairKeys(
    _ folder: String, _ outcome: inout RepairOutcome
  ) throws(PipelineError) {
    let problems = try fromStore { () throws(StoreError) in try store.keyProblems() }
    for problem in problems {
      let isSlot = problem.object?.hasPrefix(ObjectName.keyPrefix) ?? false
      outcome.add(
        problem,
        isSlot
          ? "it opens nothing and is moved aside: make another with key add"
          : "the marker of the newest master key is written anew")
    }
    guard !problems.isEmpty, !options.isDryRun else { return }
    outcome.folder = folder
    try fromStore { () throws(StoreError) in try store.repairKeys(folder: folder) }
  }

  private func repairJournal(
    _ folder: String, _ outcome: inout RepairOutcome
  ) throws(PipelineError) -> JournalState {
    let verified = try fromStore { () throws(StoreError) in try store.verifyJournal() }
    let plan = try fromStore { () throws(StoreError) in
      try store.planJournalRepair(verified)
    }
    if plan.isEmpty { return try loadJournal() }
    for gap in plan.gaps {
      outcome.add(
        gap.problem,
        "given up: snapshots that it alone named are lost, containers are taken in again")
    }
    for stray in plan.strays {
      outcome.steps.append(
        RepairOutcome.Step(place: stray, message: "no writer made this record: moved aside"))
    }
    for name in plan.checkpoints {
      outcome.steps.append(
        RepairOutcome.Step(
          place: name, message: "the checkpoint is damaged: moved aside, and a new one is made"))
    }
    for record in plan.adopted {
      outcome.steps.append(
        RepairOutcome.Step(
          place: ObjectName.container(record.id),
          message: "complete, and named by no readable record: taken in"))
    }
    if options.isDryRun {
      return try fromStore { () throws(StoreError) in try store.loadJournal() }
    }
    outcome.folder = folder
    try fromStore { () throws(StoreError) in
      try store.repairJournal(plan, folder: folder)
    }
    return try loadJournal()
  }

  /// The journal, which is whole by now. What cannot be read of it all the same must not pass for a
  /// repository that has less in it.
  private func loadJournal() throws(PipelineError) -> JournalState {
    let journal = try fromStore { () throws(StoreError) in try store.loadJournal() }
    if let problem = journal.problems.first { throw PipelineError(problem) }
    return journal
  }

  // MARK: What is damaged

  private func findDamage(
    _ journal: JournalState, _ outcome: inout RepairOutcome
  ) throws(PipelineError) -> ContainerDamage {
    let containers = journal.containers.values.sorted { $0.id < $1.id }
    counters.entriesTotal.store(UInt64(containers.count), ordering: .relaxed)
    let options = options
    let damage = ContainerCheck(
      store: store, threads: options.threads, counters: counters, cancellation: cancellation
    ).run(containers) { record in
      options.readData || options.suspects.contains(record.id) ? .blocks : .directory
    }
    guard !cancellation.isCancelled else { throw PipelineError.cancelled }
    for problem in damage.problems.sorted(by: { $0.description < $1.description }) {
      switch problem.code {
      // No damage, and nothing to be repaired.
      case .accessDenied, .unsupportedFormat, .wrongKey: throw PipelineError(problem)
      default: break
      }
      let isMissing = problem.code == .notFound
      outcome.add(
        problem,
        isMissing
          ? "it leaves the repository: its chunks are stored again when a backup sees them"
          : "what can be read goes into a new container, and it is moved aside")
    }
    outcome.bytesRead = damage.bytesRead
    return damage
  }

  private struct Findings {
    var damage: ContainerDamage
    var lostSegments: Set<Identifier> = []
    var isIndexIncomplete = false
    var manifests: [ManifestRepair.Finding] = []
    var marking: ManifestRepair?

    var isEmpty: Bool {
      damage.damaged.isEmpty && lostSegments.isEmpty && !isIndexIncomplete && manifests.isEmpty
    }
  }

  /// Segments, and every snapshot that damage may touch or that a repair has marked.
  private func survey(
    _ journal: JournalState, _ damage: ContainerDamage, _ outcome: inout RepairOutcome
  ) throws(PipelineError) -> Findings {
    var findings = Findings(damage: damage)
    for (id, problem) in store.segmentProblems(journal, directories: damage.sums) {
      findings.lostSegments.insert(id)
      outcome.add(problem, "made again from the containers' directories")
    }
    let uncovered = Set(store.uncoveredContainers(journal)).subtracting(damage.damaged)
    findings.isIndexIncomplete = !uncovered.isEmpty
    if !uncovered.isEmpty {
      outcome.steps.append(
        RepairOutcome.Step(
          place: ObjectName.segmentPrefix,
          message: "\(uncovered.count) containers are in no segment: a new one lists them"))
    }
    var gone: Set<Identifier> = damage.damaged
    for (_, missing) in journal.incompleteSets() { gone.formUnion(missing) }
    var affected = gone.isEmpty ? [] : journal.snapshots(needing: gone)
    let known = Set(affected.map(\.id))
    let superseded = journal.superseded
    let withoutBase = Set(journal.snapshotsWithoutBase().map(\.id))
    affected += journal.snapshots.filter {
      ($0.repairs != nil || withoutBase.contains($0.id)) && !known.contains($0.id)
        && !superseded.contains($0.id)
    }
    let index = try fromStore { () throws(StoreError) in
      try ChunkIndex(store: store, journal: journal.without(damage.containers))
    }
    var repair = ManifestRepair(store: store, damage: damage, index: index)
    for snapshot in affected {
      guard !cancellation.isCancelled else { throw PipelineError.cancelled }
      var finding = repair.survey(snapshot)
      finding.isWithoutBase = withoutBase.contains(snapshot.id)
      outcome.lost += finding.lost.map {
        AffectedPath(snapshot: snapshot.id, path: $0.path, message: $0.message)
      }
      if let reason = finding.wholeLoss {
        outcome.unrepaired.append(
          RepairOutcome.Step(
            place: "snapshot \(snapshot.id.description.prefix(8))",
            message: "nothing of it can be listed: \(reason)"))
      } else if finding.isChanged {
        findings.manifests.append(finding)
        if options.isDryRun { outcome.repaired.append(finding.repaired(as: nil)) }
      }
    }
    findings.marking = repair
    return findings
  }

  // MARK: Changes

  /// Salvages, rewrites manifests and commits. Returns what may be moved aside now.
  private func commit(
    _ journal: JournalState, _ findings: Findings, _ folder: String,
    _ outcome: inout RepairOutcome
  ) throws(PipelineError) -> [String] {
    guard !findings.isEmpty else { return [] }
    let damaged = findings.damage.damaged
    let session = try fromStore { () throws(StoreError) in
      try WriteSession(store: store, without: damaged)
    }
    defer { session.end() }
    var repair = RepairCommit()
    repair.lostSegments = findings.lostSegments
    var salvage = SalvageStage(store: store, session: session)
    for id in damaged.sorted() {
      guard !cancellation.isCancelled else { throw PipelineError.cancelled }
      let isManifest = journal.containers[id]?.isManifest ?? false
      let holders = try fromStore { () throws(StoreError) in
        try salvage.salvage(id, isManifest: isManifest)
      }
      repair.repacked.append(RepairCommit.Repacked(removed: id, holders: holders))
    }
    try fromStore { () throws(StoreError) in try salvage.finish() }
    outcome.chunksSalvaged = salvage.chunkCount
    let manifest = ManifestChunks(session: session, identifying: store.identifying)
    do throws(PipelineError) {
      for finding in findings.manifests {
        guard !cancellation.isCancelled else { throw PipelineError.cancelled }
        guard let marking = findings.marking else { continue }
        let record = try fromStore { () throws(StoreError) in
          try ManifestRewrite(store: store, repair: marking, manifest: manifest).run(finding)
        }
        repair.snapshots.append(record)
        if finding.isWithoutBase { repair.withoutBase.insert(finding.snapshot.id) }
        outcome.repaired.append(finding.repaired(as: record.id))
      }
      try fromStore { () throws(StoreError) in try manifest.finish() }
    } catch {
      manifest.discard()
      throw error
    }
    counters.phase = .committing
    let final = repair
    _ = try fromStore { () throws(StoreError) in try session.commit(final) }
    outcome.folder = folder
    return damaged.map { ObjectName.container($0) }
      + findings.lostSegments.map { ObjectName.segment($0) }
  }

  private func moveAside(_ name: String, _ folder: String, _ outcome: inout RepairOutcome) {
    do throws(StoreError) { try store.moveAside(name, folder: folder) } catch {
      outcome.unrepaired.append(
        RepairOutcome.Step(
          place: name,
          message: "cannot be copied below damaged/ and stays, unused: \(error.message)"))
    }
  }
}

extension RepairOutcome {
  fileprivate mutating func add(_ problem: StoreError, _ remedy: String) {
    steps.append(
      Step(place: problem.object ?? "repository", message: "\(problem.message): \(remedy)"))
  }
}
