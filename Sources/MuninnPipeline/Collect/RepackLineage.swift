internal import MuninnFormat
internal import MuninnStore

/// What became of containers that were repacked.
///
/// Which container a manifest's hint means depends on when its snapshot was written: before a
/// repacking it means the new containers, after it the old one, which a rescue may have kept. Pages
/// are shared by snapshots of both kinds. So a hint to a container that was ever repacked counts
/// for every place that some snapshot's set may mean by it.
struct RepackLineage {
  /// The live containers that hold what was needed of one, by way of any number of repackings.
  struct Heirs {
    var live: Set<Identifier> = []
    /// Whether every snapshot that ever had it has all of these in its place.
    var isSimple = true
  }

  private let live: [Identifier: ContainerRecord]
  private var repacks: [Identifier: [Repack]] = [:]
  private var known: [Identifier: Heirs] = [:]

  init(_ journal: JournalState) {
    live = journal.containers
    for repack in journal.repacks {
      for id in repack.removed { repacks[id, default: []].append(repack) }
    }
  }

  /// Nil for a container that never was repacked.
  mutating func heirs(of id: Identifier) -> Heirs? {
    if let heirs = known[id] { return heirs }
    guard repacks[id] != nil else { return nil }
    var heirs = Heirs()
    var next = [id]
    var seen: Set<Identifier> = [id]
    while let one = next.popLast() {
      let all = repacks[one] ?? []
      if all.count > 1 { heirs.isSimple = false }
      for heir in all.flatMap(\.added) {
        // One that is live may have been repacked as well, and rescued.
        if live[heir] != nil { heirs.live.insert(heir) }
        if seen.insert(heir).inserted { next.append(heir) }
      }
      if one != id, live[one] != nil, !all.isEmpty { heirs.isSimple = false }
    }
    known[id] = heirs
    return heirs
  }
}
