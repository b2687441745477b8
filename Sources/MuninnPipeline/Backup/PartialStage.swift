internal import MuninnDisk
internal import MuninnFormat
internal import MuninnStore

/// Commits what a backup has so far as partial snapshots, from time to time and when it is
/// interrupted. Belongs to the thread that assembles.
///
/// A partial snapshot has every entry up to some path. What the entries refer to is on stable
/// storage before the record: at the time for one all workers close their containers; where the
/// backup is interrupted the snapshot ends at the last place for which that is so.
struct PartialStage {
  private let shared: BackupShared
  private let interval: Int64
  private let draft: @Sendable (SnapshotCounts, ManifestWriter.Result) -> SnapshotRecord
  private var due: Int64
  /// The newest partial snapshot of this backup, and how much of the source it had read.
  private var saved: (id: Identifier, readByteCount: UInt64)?
  /// Places behind which a new container was needed, oldest first: where a backup that is
  /// interrupted may end. The first of them is safe, unless none is.
  private var places: [ManifestWriter.Place] = []

  /// Nil where no partial snapshots are wanted.
  init?(
    _ shared: BackupShared,
    draft: @escaping @Sendable (SnapshotCounts, ManifestWriter.Result) -> SnapshotRecord
  ) {
    guard let interval = shared.options.partialNanoseconds else { return nil }
    self.shared = shared
    self.interval = interval
    self.draft = draft
    due = PartialStage.now + interval
  }

  private static var now: Int64 { Int64(clamping: Machine.monotonicNanoseconds()) }

  /// How long there is until the next one; nil where there would be nothing new in it.
  func nanosecondsLeft(at place: ManifestWriter.Place) -> Int64? {
    isWorthwhile(place) ? max(0, due - PartialStage.now) : nil
  }

  /// Remembers where the manifest is, before a batch that needs a new container.
  mutating func remember(_ writer: ManifestWriter) {
    let unsynced = shared.session.unsyncedContainers
    let safe = places.lastIndex { writer.isSafe($0, unsynced: unsynced) }
    if let safe { places.removeFirst(safe) }
    places.append(writer.place)
  }

  /// Where one could not be committed, the next attempt comes no sooner than this.
  private static let pauseNanoseconds: Int64 = 100_000_000

  /// Commits what there is, unless the backup was given up.
  mutating func save(_ writer: ManifestWriter) throws(PipelineError) {
    let before = saved?.id
    defer {
      let pause = saved?.id == before ? PartialStage.pauseNanoseconds : 0
      due = PartialStage.now + max(interval, pause)
    }
    guard shared.pool.closeContainers() else { return }
    try fromStore { () throws(StoreError) in try commit(writer, at: writer.place) }
  }

  /// Commits as much as can be of a backup that was given up: by the user, or since something
  /// failed. Whatever goes wrong here is no news.
  mutating func saveInterrupted(_ writer: ManifestWriter) {
    shared.pool.waitForWorkers()
    shared.session.drain()
    let unsynced = shared.session.unsyncedContainers
    let place = (places + [writer.place]).last { writer.isSafe($0, unsynced: unsynced) }
    guard let place, isWorthwhile(place) else { return }
    try? commit(writer, at: place)
  }

  private func isWorthwhile(_ place: ManifestWriter.Place) -> Bool {
    place.readByteCount > saved?.readByteCount ?? 0
  }

  private mutating func commit(
    _ writer: ManifestWriter, at place: ManifestWriter.Place
  ) throws(StoreError) {
    let result = try writer.finish(at: place)
    shared.session.drain()
    // A page that equals a chunk which someone is storing now: the next time, then.
    guard result.containers.isDisjoint(with: shared.session.unsyncedContainers) else { return }
    let partial = try shared.session.commitPartial(
      draft(place.counts, result), needed: result.containers,
      dropping: shared.passedPartials(at: place.counts.entries) + (saved.map { [$0.id] } ?? []))
    saved = (partial.id, place.readByteCount)
    places.removeAll { $0.counts.entries <= place.counts.entries }
    shared.noteCommitted(partial.id)
  }
}
