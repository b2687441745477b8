internal import MuninnFormat
internal import MuninnStore
internal import Synchronization

/// What a backup writes again although the repository has it: chunks in containers of which the
/// parent needed little, so that a restore of this snapshot does not read those for so little.
///
/// The copies lie beside what else is new, in path order, and entries name them from now on. The
/// old containers stay for the snapshots that name them, and go with those.
final class Rewriting: Sendable {
  private let sparse: Set<Identifier>
  private let budget: UInt64
  private let byteCount = Atomic<UInt64>(0)
  private let chunkCount = Atomic<UInt64>(0)

  /// Nothing is rewritten where what the parent needs is not known.
  init(_ options: BackupOptions, journal: JournalState) {
    guard let parent = options.parent, let usage = options.parentUsage,
      usage.snapshot == parent.id, options.rewriteLimit > 0
    else {
      sparse = []
      budget = 0
      return
    }
    let whole = Double(parent.counts.bytes) * min(options.rewriteLimit, 1)
    budget = UInt64(max(0, whole))
    sparse = usage.sparse(in: journal, budget: budget)
  }

  /// The containers whose chunks are not to be built on; none once the budget is used up.
  var avoided: Set<Identifier> {
    byteCount.load(ordering: .relaxed) < budget ? sparse : []
  }

  /// Whether a chunk there is to be written again.
  func wants(_ container: Identifier) -> Bool {
    !sparse.isEmpty && byteCount.load(ordering: .relaxed) < budget && sparse.contains(container)
  }

  func wants(_ extents: [Extent]) -> Bool {
    guard !sparse.isEmpty else { return false }
    return extents.contains { extent in
      if case .chunk(let chunk) = extent { wants(chunk.location.container) } else { false }
    }
  }

  func note(chunks: UInt64, bytes: UInt64) {
    guard chunks > 0 else { return }
    chunkCount.add(chunks, ordering: .relaxed)
    byteCount.add(bytes, ordering: .relaxed)
  }

  var done: (chunks: UInt64, bytes: UInt64) {
    (chunkCount.load(ordering: .relaxed), byteCount.load(ordering: .relaxed))
  }

  /// Whether there is anything to rewrite at all.
  var isEmpty: Bool { sparse.isEmpty }
}
