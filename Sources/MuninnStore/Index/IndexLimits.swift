internal import MuninnDisk

/// How much memory an index may take, and when it works in the background.
package struct IndexLimits: Sendable {
  /// A session's own chunks in memory, at 40 to 80 bytes each; past that they move to a segment.
  /// Those of containers that are not on disk yet come on top.
  package var ownChunks = 1 << 20
  /// Chunks of containers that were hit lately, at the same cost.
  package var loadedChunks = 1 << 20
  /// Bytes that the filters of all segments may take in memory. New segments get filters of as many
  /// bits as fit, from 15.4 bits an entry down to 8.4; whatever does not fit even so is read from
  /// disk where it is asked, one frame of 20 to 32 KiB a lookup.
  package var filterBytes: UInt64
  /// Whether filters are taken into memory at all: not by who looks up next to nothing.
  package var loadsFilters = true
  /// Entries that a commit merges by itself; larger merges run in the background.
  package var commitEntries: UInt64 = 1 << 20

  /// Of a writer: a quarter of the machine's memory for filters, at most 4 GiB.
  package init() { filterBytes = min(4 << 30, Machine.memoryByteCount / 4) }

  /// Of a reader, which asks the index only where a manifest's hint is stale.
  package static var reader: IndexLimits {
    var limits = IndexLimits()
    limits.filterBytes = min(limits.filterBytes, 64 << 20)
    limits.loadedChunks = 1 << 18
    return limits
  }

  /// Of a session that stores chunks where it is told and looks nothing up.
  package static var repacker: IndexLimits {
    var limits = IndexLimits()
    limits.loadsFilters = false
    return limits
  }

  /// The bits beside the bucket that filters of so many entries in all can have.
  func remainderBits(entries: UInt64) -> Int {
    for bits in (6...13).reversed()
    where Double(entries) * (Double(bits) + 2.4) / 8 <= Double(filterBytes) {
      return bits
    }
    return 6
  }
}
