internal import MuninnFormat
internal import MuninnStore

/// In what order the chunks of containers that are rewritten are to lie: those of the newest
/// snapshot of each source as its paths come, the others by who uses them.
///
/// The groups follow GCCDF (EuroSys '25): what the same snapshots use lies together. A chunk is
/// used from some snapshot on up to another, with few gaps, so the newest and the oldest of its
/// users stand for all of them, as the categories of MFDedup (FAST '21) do.
final class ChunkOrder {
  /// Snapshots in the order in which they are to be walked: the newest of each source first.
  struct Snapshots {
    let all: [SnapshotRecord]
    /// How many of them are the newest of their source.
    let newestCount: Int

    init(_ journal: JournalState) {
      let superseded = journal.superseded
      var newest: [SnapshotRecord] = []
      var others: [SnapshotRecord] = []
      var sources: Set<[[UInt8]]> = []
      for snapshot in journal.snapshots.reversed() {
        let source =
          snapshot.fileSystem.map { [Array($0.description.utf8)] }
          ?? [snapshot.host] + snapshot.paths
        if !superseded.contains(snapshot.id), sources.insert(source).inserted {
          newest.append(snapshot)
        } else {
          others.append(snapshot)
        }
      }
      all = newest + others
      newestCount = newest.count
    }
  }

  private let firstChunk: [Int: Int]
  private var ranks: [UInt32]
  private var lastUsers: [UInt32]
  private var nextRank: UInt32 = 0
  /// The rank at which each snapshot's own chunks begin.
  private var starts: [UInt32] = []
  private let newestCount: Int

  /// `items` are ordinals of containers, with the chunks that each has.
  init(_ items: [(item: Int, chunkCount: Int)], newestCount: Int) {
    var first: [Int: Int] = [:]
    var count = 0
    for (item, chunkCount) in items {
      first[item] = count
      count += chunkCount
    }
    firstChunk = first
    ranks = [UInt32](repeating: .max, count: count)
    lastUsers = [UInt32](repeating: 0, count: count)
    self.newestCount = newestCount
  }

  /// The next snapshot is walked from here on.
  func beginSnapshot() { starts.append(nextRank) }

  /// `lastUser` is the oldest snapshot that has the page which the chunk was met in.
  func note(_ item: Int, _ slot: UInt32, lastUser: UInt32) {
    guard let first = firstChunk[item] else { return }
    let at = first + Int(slot)
    if ranks[at] == .max {
      ranks[at] = nextRank
      nextRank = min(nextRank + 1, .max - 1)
    }
    lastUsers[at] = max(lastUsers[at], lastUser)
  }

  /// Chunks with smaller keys lie before those with larger ones; nil for one that nobody uses.
  func key(_ item: Int, _ slot: UInt32) -> (group: UInt64, rank: UInt32)? {
    guard let first = firstChunk[item] else { return nil }
    let at = first + Int(slot)
    guard ranks[at] != .max else { return nil }
    let newest = newestUser(ofRank: ranks[at])
    if newest < newestCount { return (0, ranks[at]) }
    return (UInt64(newest + 1) << 32 | UInt64(lastUsers[at]), ranks[at])
  }

  private func newestUser(ofRank rank: UInt32) -> Int {
    var low = 0
    var high = starts.count
    while high - low > 1 {
      let middle = (low + high) / 2
      if starts[middle] <= rank { low = middle } else { high = middle }
    }
    return low
  }
}
