internal import MuninnDisk
internal import MuninnFormat
internal import MuninnStore
internal import Synchronization

/// The extents of a file that several workers chunk at once, put back into order as they come.
///
/// Up to `FormatLimit.extentsPerEntry` stay in the entry; more go to pages of their own while the
/// file is still being read, so that memory is bounded whatever the file's size.
final class LargeFile: Sendable {
  private struct State {
    /// Extents of segments that came before one that is still missing.
    var waiting: [Int: [Extent]] = [:]
    var nextOrdinal = 0
    var pending: [Extent] = []
    var tree = TreeWriter()
    var containers: Set<Identifier> = []
    var byteCount: UInt64 = 0
    var digest = ExtentDigest()
    /// Set when all segments were handed out.
    var segmentCount: Int?
    var result: Result?
  }

  struct Result: Sendable {
    let content: EntryContent
    let byteCount: UInt64
    let digest: UInt64
    /// What the lists of a tree name, but for the containers of its pages.
    let listed: Set<Identifier>
  }

  private let state = Monitor(State())
  private let done = Atomic<Bool>(false)
  private let manifest: ManifestChunks
  private let usage: UsageCounter

  init(manifest: ManifestChunks, usage: UsageCounter) {
    self.manifest = manifest
    self.usage = usage
  }

  /// Takes a segment's extents; completes the file where it was the last.
  func add(_ extents: [Extent], ordinal: Int) throws(StoreError) {
    try locked { (state) throws(StoreError) in
      state.waiting[ordinal] = extents
      while let next = state.waiting.removeValue(forKey: state.nextOrdinal) {
        state.nextOrdinal += 1
        for extent in next {
          state.byteCount += extent.byteCount
          state.digest.add(extent)
          // Neighbouring holes are one.
          if case .hole(let more) = extent, case .hole(let before)? = state.pending.last {
            state.pending[state.pending.count - 1] = .hole(before + more)
            continue
          }
          state.pending.append(extent)
          try closePages(&state, isLast: false)
        }
      }
      try completeIfDone(&state)
    }
  }

  /// Whether every segment was handed out and has come back.
  var isDone: Bool { done.load(ordering: .acquiring) }

  /// Content and size, once the file is done.
  var result: Result? { state.withLock { $0.result } }

  /// All segments are handed out.
  func finish(segmentCount: Int) throws(StoreError) {
    try locked { (state) throws(StoreError) in
      state.segmentCount = segmentCount
      try completeIfDone(&state)
    }
  }

  private func locked(
    _ body: (inout State) throws(StoreError) -> Void
  ) throws(StoreError) {
    var failure: StoreError?
    state.withLock { state in
      do throws(StoreError) { try body(&state) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  /// A page ends where a fingerprint says so, so that an unchanged run of a changed file keeps its
  /// pages.
  private func closePages(_ state: inout State, isLast: Bool) throws(StoreError) {
    guard state.pending.count > FormatLimit.extentsPerEntry || !state.tree.isEmpty else { return }
    var isEnd = isLast
    if case .chunk(let chunk)? = state.pending.last {
      isEnd = isEnd || chunk.identity.fingerprint.low & 127 == 0
    }
    guard
      (isEnd && state.pending.count > FormatLimit.extentsPerEntry / 2)
        || state.pending.count >= 1024 || (isLast && !state.pending.isEmpty)
    else { return }
    for case .chunk(let chunk) in state.pending {
      state.containers.insert(chunk.location.container)
    }
    usage.add(state.pending, inPages: true)
    let page = try manifest.put(ExtentPage.encoded(state.pending))
    state.containers.insert(page.location.container)
    let reference = PageReference(
      firstKey: [], page: page, entryCount: UInt64(state.pending.count),
      byteCount: state.pending.reduce(0) { $0 + $1.byteCount })
    state.pending.removeAll(keepingCapacity: true)
    var containers = state.containers
    try state.tree.append(reference) { (page) throws(StoreError) in
      let stored = try manifest.put(page)
      containers.insert(stored.location.container)
      return stored
    }
    state.containers = containers
  }

  private func completeIfDone(_ state: inout State) throws(StoreError) {
    guard state.segmentCount == state.nextOrdinal, state.result == nil else { return }
    let content: EntryContent
    var listed: Set<Identifier> = []
    if state.tree.isEmpty, state.pending.count <= FormatLimit.extentsPerEntry {
      content = state.pending.isEmpty ? .none : .extents(state.pending)
    } else {
      try closePages(&state, isLast: true)
      var containers = state.containers
      let root = try state.tree.finish { (page) throws(StoreError) in
        let stored = try manifest.put(page)
        containers.insert(stored.location.container)
        return stored
      }
      content = .tree(root, containerLists: try manifest.putContainerLists(containers))
      listed = containers.subtracting(manifest.containers)
    }
    state.result = Result(
      content: content, byteCount: state.byteCount, digest: state.digest.finish(),
      listed: listed)
    done.store(true, ordering: .releasing)
  }
}
