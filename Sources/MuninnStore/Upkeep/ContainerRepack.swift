package import MuninnDisk
package import MuninnFormat

/// What is copied out of some containers, and in what order it is to lie.
package struct RepackPlan: Sendable {
  package struct Source: Sendable {
    package let container: ContainerRecord
    /// What the needed chunks add up to, by those who need them.
    package let sum: EntrySum

    package init(container: ContainerRecord, sum: EntrySum) {
      self.container = container
      self.sum = sum
    }
  }

  package struct Chunk: Sendable {
    package let source: UInt32
    package let slot: UInt32

    package init(source: UInt32, slot: UInt32) {
      self.source = source
      self.slot = slot
    }
  }

  /// Chunks that go into containers of their own, in this order.
  package struct Stream: Sendable {
    package let chunks: [Chunk]
    package let isManifest: Bool

    package init(chunks: [Chunk], isManifest: Bool) {
      self.chunks = chunks
      self.isManifest = isManifest
    }
  }

  package var sources: [Source] = []
  package var streams: [Stream] = []

  package init() {}
}

/// What a repacking did.
package struct RepackResult: Sendable {
  /// The old containers that were condemned.
  package var removed: Set<Identifier> = []
  /// Bytes of chunks that were copied, and of the new containers.
  package var rawByteCount: UInt64 = 0
  package var storedByteCount: UInt64 = 0
  /// Old containers that stay as they are, since something of them could not be read.
  package var problems: [StoreError] = []
}

/// Copies chunks of live containers into new ones, verified on the way, and commits the move.
///
/// One session: before its commit nothing has happened but that a session stored something, after
/// it the new containers stand for the old ones.
package struct ContainerRepack {
  private let store: Store
  private let level: Int
  private let threads: Int
  private let cancellation: Cancellation
  /// Holds the reading of so many bytes back until they are granted.
  private let grant: @Sendable (UInt64) -> Void
  /// Told of bytes of chunks that were copied.
  private let progress: @Sendable (UInt64) -> Void

  package init(
    store: Store, level: Int, threads: Int, cancellation: Cancellation,
    grant: @escaping @Sendable (UInt64) -> Void, progress: @escaping @Sendable (UInt64) -> Void
  ) {
    self.store = store
    self.level = level
    self.threads = threads
    self.cancellation = cancellation
    self.grant = grant
    self.progress = progress
  }

  /// `seen` are the snapshots that were asked what they need. Blocks. Whatever it throws, nothing
  /// was committed.
  package func run(
    _ plan: RepackPlan, seen: Set<Identifier>
  ) throws(StoreError) -> RepackResult {
    let session = try WriteSession(store: store, limits: .repacker, work: .repack)
    defer { session.end() }
    let work = RepackWork(plan: plan, store: store)
    let failure = Monitor<StoreError?>(nil)
    let slices = slices(of: plan)
    let workers = min(threads, max(1, slices.count))
    WorkerThreads.deal(slices.count, to: workers, name: "muninn-repack") { next in
      while failure.withLock({ $0 == nil }), let at = next() {
        do throws(StoreError) { try copy(slices[at], work, session) } catch {
          failure.withLock { $0 = $0 ?? error }
        }
      }
    }
    if let failure = failure.withLock({ $0 }) { throw failure }
    try copySeconds(work, session)
    let copied = work.state.withLock { $0 }
    var commit = RepackCommit(seen: seen)
    for (ordinal, source) in plan.sources.enumerated() where !copied.failed.contains(ordinal) {
      commit.holders[source.container.id] = copied.holders[ordinal] ?? []
    }
    var result = RepackResult()
    result.problems = copied.problems
    result.rawByteCount = copied.byteCount
    if commit.holders.isEmpty { return result }
    result.removed = try session.commit(commit)
    result.storedByteCount = try session.storedContainers().reduce(0) { $0 + $1.byteCount }
    return result
  }

  private struct Slice {
    let chunks: ArraySlice<RepackPlan.Chunk>
    let isManifest: Bool
  }

  /// Contiguous parts, so that what is to lie together does. Little work is for one thread: each
  /// leaves a container that is not full.
  private func slices(of plan: RepackPlan) -> [Slice] {
    let bytes = plan.sources.reduce(0) { $0 + $1.container.rawByteCount }
    let wanted = UInt64(max(1, threads))
    let count = Int(max(1, min(wanted, bytes / (4 * ContainerWriter.containerByteCount))))
    var slices: [Slice] = []
    for stream in plan.streams {
      let chunks = stream.chunks
      let size = max(1, (chunks.count + count - 1) / count)
      for start in stride(from: 0, to: chunks.count, by: size) {
        slices.append(
          Slice(
            chunks: chunks[start..<min(start + size, chunks.count)],
            isManifest: stream.isManifest))
      }
    }
    return slices
  }

  private func copy(
    _ slice: Slice, _ work: RepackWork, _ session: WriteSession
  ) throws(StoreError) {
    try copy(slice.chunks.lazy.filter { !work.isSecond($0) }, slice.isManifest, work, session)
  }

  /// Of what several sources have, the first was copied, and its copy stands for all. Where that
  /// could not be read the next one is copied.
  private func copySeconds(_ work: RepackWork, _ session: WriteSession) throws(StoreError) {
    for isManifest in [false, true] {
      let left = work.seconds.filter { second in
        guard second.kind.isManifest == isManifest, work.container(Int(second.chunk.source)) != nil
        else { return false }
        guard let holder = work.holder(of: second.kind) else { return true }
        work.note(Int(second.chunk.source), in: holder)
        progress(second.length)
        return false
      }
      if !left.isEmpty { try copy(left.map(\.chunk), isManifest, work, session) }
    }
  }

  private func copy(
    _ chunks: some Sequence<RepackPlan.Chunk>, _ isManifest: Bool, _ work: RepackWork,
    _ session: WriteSession
  ) throws(StoreError) {
    let writer = session.makeContainerWriter(isManifest: isManifest, level: level)
    let blocks = RepackBlocks(store: store)
    do throws(StoreError) {
      for chunk in chunks {
        if cancellation.isCancelled {
          throw StoreError(.cancelled, "the repacking was cancelled; what was committed stays")
        }
        try copy(chunk, isManifest: isManifest, work, blocks, writer)
      }
      try writer.finish()
    } catch {
      writer.discard()
      throw error
    }
  }

  private func copy(
    _ chunk: RepackPlan.Chunk, isManifest: Bool, _ work: RepackWork, _ blocks: RepackBlocks,
    _ writer: ContainerWriter
  ) throws(StoreError) {
    let source = Int(chunk.source)
    guard let container = work.container(source) else { return }
    let bytes: UnsafeRawBufferPointer
    do throws(StoreError) {
      bytes = try blocks.chunk(container, chunk.slot, grant)
    } catch {
      // Its damage is a check's and a repair's matter: it stays where it is.
      guard [.damaged, .notFound, .inputOutput].contains(error.code) else { throw error }
      work.fail(source, error)
      return
    }
    let place = try writer.nextLocation()
    let identity = container.directory.identities[Int(chunk.slot)]
    try writer.append(bytes, identity: identity)
    work.note(source, in: place.container)
    work.noteCopy(
      of: RepackWork.Kind(identity: identity, isManifest: isManifest), in: place.container,
      bytes.count)
    progress(UInt64(bytes.count))
  }
}
