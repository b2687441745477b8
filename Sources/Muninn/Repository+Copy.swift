internal import MuninnDisk
internal import MuninnFormat
internal import MuninnPipeline
internal import MuninnStore
internal import Synchronization

/// What a copy of snapshots to another repository did.
public struct CopyReport: Sendable, Codable {
  /// The snapshots that were copied, and those that the other repository had, by id.
  public let copied: [String]
  public let present: [String]
  public let chunksNew: UInt64
  public let chunksDuplicate: UInt64
  /// Bytes of blocks that were written to the other repository.
  public let bytesStored: UInt64
  public let seconds: Double

  public init(
    copied: [String], present: [String], chunksNew: UInt64, chunksDuplicate: UInt64,
    bytesStored: UInt64, seconds: Double
  ) {
    self.copied = copied
    self.present = present
    self.chunksNew = chunksNew
    self.chunksDuplicate = chunksDuplicate
    self.bytesStored = bytesStored
    self.seconds = seconds
  }
}

extension Repository {
  /// Copies snapshots into another repository, oldest first. Without selectors all of them, but for
  /// partial ones, and for damaged ones that a repaired one stands for. A copy keeps its snapshot's
  /// id, so that what the other repository has already is not copied again; its tags come along, a
  /// hold does not.
  ///
  /// Every chunk is verified, identified anew with the other repository's secrets, and stored
  /// unless that has it. Files that an earlier copy of the same paths has with the same content are
  /// taken over without being read. Throws `damaged` naming the path where a chunk is lost: the
  /// snapshots before that one are copied, that one is not.
  public func copy(
    _ selectors: [SnapshotSelector] = [], to other: Repository, threads: Int? = nil,
    progress: ProgressHandler? = nil
  ) async throws(MuninnError) -> CopyReport {
    try await onOperationThread { [self] (cancellation) throws(MuninnError) in
      let started = Machine.monotonicNanoseconds()
      guard other.id != id else {
        throw MuninnError(
          .invalidInput, "\(other.location) is the same repository: name another one to copy to")
      }
      let counters = ProgressCounters()
      let reporter = ProgressReporter(counters, progress)
      defer { reporter?.finish() }
      let (registration, journal) = try beginReading(.restore)
      defer { registration?.end() }
      var wanted: [SnapshotRecord] = []
      for selector in selectors { wanted.append(try select(selector, in: journal)) }
      if selectors.isEmpty {
        let superseded = journal.superseded
        wanted = journal.snapshots.filter { !$0.isPartial && !superseded.contains($0.id) }
      }
      wanted.sort { $0.completedNanoseconds < $1.completedNanoseconds }
      var there = try other.currentJournal().snapshots
      var copied: [String] = []
      var present: [String] = []
      for snapshot in wanted {
        guard !there.contains(where: { $0.id == snapshot.id }) else {
          present.append(snapshot.id.description)
          continue
        }
        let base = base(for: snapshot, in: journal, there)
        let record = try asMuninn(pipeline: { () throws(PipelineError) in
          try CopyPipeline(
            from: store, to: other.store, threads: Engine.workers(threads),
            progress: counters, cancellation: cancellation
          ).run(snapshot, base: base)
        })
        there.append(record)
        copied.append(record.id.description)
      }
      _ = try? other.readJournal()
      counters.phase = .done
      return CopyReport(
        copied: copied, present: present,
        chunksNew: counters.chunksNew.load(ordering: .relaxed),
        chunksDuplicate: counters.chunksDuplicate.load(ordering: .relaxed),
        bytesStored: counters.bytesStored.load(ordering: .relaxed),
        seconds: Double(Machine.monotonicNanoseconds() - started) / 1e9)
    }
  }

  /// The snapshot that both have and that is most like `snapshot`: its parent, or the newest of the
  /// same host and paths.
  private func base(
    for snapshot: SnapshotRecord, in journal: JournalState, _ there: [SnapshotRecord]
  ) -> CopyPipeline.Base? {
    let both = there.filter { journal.snapshot($0.id) != nil }
    let chosen =
      both.first { $0.id == snapshot.parent }
      ?? both.last { $0.host == snapshot.host && $0.paths == snapshot.paths }
    guard let chosen, let source = journal.snapshot(chosen.id) else { return nil }
    return CopyPipeline.Base(source: source.root, target: chosen)
  }
}
