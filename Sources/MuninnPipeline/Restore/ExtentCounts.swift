/// In how many contiguous runs files lie on disk: the distribution over all that have any.
package struct ExtentCounts: Sendable, Equatable {
  /// Files by their number of extents. Few numbers differ, however many files there are.
  private var filesByCount: [UInt64: UInt64] = [:]

  package init() {}

  package mutating func add(_ extents: UInt64) {
    if extents > 0 { filesByCount[extents, default: 0] += 1 }
  }

  package var files: UInt64 { filesByCount.values.reduce(0, +) }
  package var total: UInt64 { filesByCount.reduce(0) { $0 + $1.key * $1.value } }
  package var maximum: UInt64 { filesByCount.keys.max() ?? 0 }

  /// The least number of extents that `percent` of all files do not exceed (nearest rank); 0 where
  /// there is no file.
  package func percentile(_ percent: UInt64) -> UInt64 {
    let rank = (files * percent + 99) / 100
    var seen: UInt64 = 0
    for (count, files) in filesByCount.sorted(by: { $0.key < $1.key }) {
      seen += files
      if seen >= rank { return count }
    }
    return 0
  }
}
