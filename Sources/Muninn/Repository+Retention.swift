internal import MuninnDisk
internal import MuninnFormat
internal import MuninnStore

/// Which snapshots to forget: those that are named, or those that a policy does not keep.
public struct ForgetRequest: Sendable {
  /// Ids, or unambiguous beginnings of them. The policy is not asked where there are any.
  public var ids: [String] = []
  public var policy = RetentionPolicy()
  public var grouping = RetentionGrouping.source
  /// The policy looks at the snapshots of this host alone.
  public var host: String?
  /// The policy looks at the snapshots of this file system alone.
  public var fileSystemID: String?
  /// Say what would be forgotten, and forget nothing.
  public var isDryRun = false

  public init() {}
}

/// What was forgotten, or would be.
public struct ForgetReport: Sendable, Codable {
  public let isDryRun: Bool
  /// What the policy decided; empty where snapshots were named.
  public let groups: [RetentionGroup]
  public let forgotten: [Snapshot]
  /// How many snapshots the repository has left.
  public let snapshotsLeft: Int
}

extension Repository {
  /// Forgets snapshots. What they alone needed stays on the disk until `prune`.
  ///
  /// Throws `invalidInput` where neither ids nor rules are given and where a named snapshot is
  /// held, `notFound` for an unknown id.
  public func forget(_ request: ForgetRequest) async throws(MuninnError) -> ForgetReport {
    guard !request.ids.isEmpty || !request.policy.isEmpty else {
      throw MuninnError(
        .invalidInput, "nothing says what to keep: give rules, or the ids of what to forget")
    }
    return try await onEngineThread { [self] (_) throws(MuninnError) in
      // Decided anew on top of each state that a commit is tried on: what another backed up, held
      // or forgot meanwhile counts.
      var groups: [RetentionGroup] = []
      var chosen: [Snapshot] = []
      func choose(_ journal: JournalState) throws(MuninnError) -> [Identifier] {
        (groups, chosen) = try decide(request, journal)
        let ids = Set(chosen.map(\.id))
        return journal.snapshots.map(\.id).filter { ids.contains($0.description) }
      }
      var journal = try currentJournal()
      if request.isDryRun {
        let count = try choose(journal).count
        return ForgetReport(
          isDryRun: true, groups: groups, forgotten: chosen,
          snapshotsLeft: journal.snapshots.count - count)
      }
      try change(&journal) { (journal) throws(MuninnError) in
        let ids = try choose(journal)
        return ids.isEmpty ? [] : [.forgotten(ids)]
      }
      return ForgetReport(
        isDryRun: false, groups: groups, forgotten: chosen,
        snapshotsLeft: journal.snapshots.count)
    }
  }

  private func decide(
    _ request: ForgetRequest, _ journal: JournalState
  ) throws(MuninnError) -> ([RetentionGroup], [Snapshot]) {
    guard request.ids.isEmpty else {
      var chosen: [Snapshot] = []
      for id in request.ids {
        let snapshot = Snapshot(try select(.id(id), in: journal), journal)
        guard !snapshot.isHeld else {
          throw MuninnError(
            .invalidInput, "snapshot \(snapshot.shortID) is held: lift the hold first")
        }
        if !chosen.contains(snapshot) { chosen.append(snapshot) }
      }
      return ([], chosen)
    }
    // A partial one goes when it is named, or when its backup is made again.
    let snapshots = journal.snapshots.filter { !$0.isPartial }.map { Snapshot($0, journal) }
      .filter { request.host == nil || $0.host == request.host }
      .filter { request.fileSystemID == nil || $0.fileSystemID == request.fileSystemID }
    let groups = request.policy.plan(for: snapshots, grouping: request.grouping)
    return (groups, groups.flatMap { $0.decisions.filter { !$0.isKept }.map(\.snapshot) })
  }

  /// Commits what `prepare` says on top of the newest state; nothing where it says nothing.
  func change(
    _ journal: inout JournalState,
    _ prepare: (JournalState) throws(MuninnError) -> [JournalOperation]
  ) throws(MuninnError) {
    var refusal: MuninnError?
    do throws(StoreError) {
      try store.change(&journal) { (state) throws(StoreError) in
        do throws(MuninnError) { return try prepare(state) } catch {
          refusal = error
          return []
        }
      }
      try? state.notice(journal, of: store)
    } catch {
      throw MuninnError(error)
    }
    if let refusal { throw refusal }
  }
}
