package import MuninnDisk
package import MuninnFormat
internal import Synchronization

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
    let next = Atomic<Int>(0)
    WorkerThreads.run(count: min(threads, max(1, slices.count)), name: "muninn-repack") { _ in
      while failure.withLock({ $0 == nil }) {
        let at = next.add(1, ordering: .relaxed).oldValue
        guard at < slices.count else { return }
        do throws(StoreError) { try copy(slices[at], work, session) } catch {
          failure.withLock { $0 = $0 ?? error }
        }
      }
    }
    if let failure = failure.withLock({ $0 }) { throw failure }
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
    let writer = session.makeContainerWriter(isManifest: slice.isManifest, level: level)
    let blocks = RepackBlocks(store: store)
    do throws(StoreError) {
      for chunk in slice.chunks {
        if cancellation.isCancelled {
          throw StoreError(.cancelled, "the repacking was cancelled; what was committed stays")
        }
        try copy(chunk, isManifest: slice.isManifest, work, blocks, writer)
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
    let identity = container.directory.identities[Int(chunk.slot)]
    // What several sources have is copied once, and that copy stands for all.
    if let holder = work.holder(of: identity, isManifest: isManifest) {
      work.note(source, in: holder)
      return progress(UInt64(container.directory.lengths[Int(chunk.slot)]))
    }
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
    try writer.append(bytes, identity: identity)
    work.note(source, in: place.container)
    work.noteCopy(of: identity, isManifest: isManifest, in: place.container, bytes.count)
    progress(UInt64(bytes.count))
  }
}

/// What the threads of one repacking have in common.
private final class RepackWork: Sendable {
  /// Pages of manifests lie in containers of their own.
  struct Copy: Hashable {
    let identity: ChunkIdentity
    let isManifest: Bool
  }

  struct State {
    /// Where each chunk that was copied is now.
    var copies: [Copy: Identifier] = [:]
    var opened: [Int: OpenContainer] = [:]
    var holders: [Int: Set<Identifier>] = [:]
    var failed: Set<Int> = []
    var problems: [StoreError] = []
    var byteCount: UInt64 = 0
  }

  let state = Monitor(State())
  private let plan: RepackPlan
  private let store: Store

  /// Opens every source, and holds its directory against what is said to be needed of it.
  init(plan: RepackPlan, store: Store) {
    self.plan = plan
    self.store = store
    var sums = [EntrySum](repeating: EntrySum(), count: plan.sources.count)
    var opened: [Int: OpenContainer] = [:]
    for (ordinal, source) in plan.sources.enumerated() {
      do throws(StoreError) {
        opened[ordinal] = try store.openContainer(source.container.id)
      } catch {
        // Where nothing of it is needed there is nothing to be read.
        if source.sum.count > 0 { fail(ordinal, error) }
      }
    }
    for chunk in plan.streams.lazy.flatMap(\.chunks) {
      guard let directory = opened[Int(chunk.source)]?.directory,
        Int(chunk.slot) < directory.chunkCount
      else { continue }
      sums[Int(chunk.source)].add(
        prefix: directory.identities[Int(chunk.slot)].fingerprint.low, slot: chunk.slot)
    }
    for (ordinal, source) in plan.sources.enumerated() where opened[ordinal] != nil {
      guard sums[ordinal] != source.sum else { continue }
      fail(
        ordinal,
        StoreError(
          .damaged, "does not hold what manifests say that it does",
          object: ObjectName.container(source.container.id)))
    }
    state.withLock { $0.opened = opened }
  }

  /// Nil for a source that is left alone.
  func container(_ source: Int) -> OpenContainer? {
    state.withLock { $0.failed.contains(source) ? nil : $0.opened[source] }
  }

  func fail(_ source: Int, _ error: StoreError) {
    state.withLock { state in
      if state.failed.insert(source).inserted { state.problems.append(error) }
    }
  }

  func note(_ source: Int, in container: Identifier) {
    state.withLock { _ = $0.holders[source, default: []].insert(container) }
  }

  /// The new container that a chunk was copied to; nil before it was.
  func holder(of identity: ChunkIdentity, isManifest: Bool) -> Identifier? {
    state.withLock { $0.copies[Copy(identity: identity, isManifest: isManifest)] }
  }

  func noteCopy(
    of identity: ChunkIdentity, isManifest: Bool, in container: Identifier, _ byteCount: Int
  ) {
    state.withLock { state in
      state.copies[Copy(identity: identity, isManifest: isManifest)] = container
      state.byteCount += UInt64(byteCount)
    }
  }
}

/// The blocks that were decoded last. Belongs to one thread.
private final class RepackBlocks {
  private struct Key: Hashable {
    let container: Identifier
    let ordinal: Int
  }

  private final class Block {
    let bytes: Buffer
    /// Where each of its chunks starts, and which were found to be what they should be.
    let starts: [Int]
    var isVerified: [Bool]
    var lastUse: UInt64 = 0

    init(_ bytes: consuming Buffer, starts: [Int]) {
      self.bytes = bytes
      self.starts = starts
      isVerified = [Bool](repeating: false, count: starts.count)
    }
  }

  private static let maximumByteCount = 64 << 20

  private let store: Store
  private var blocks: [Key: Block] = [:]
  private var byteCount = 0
  private var uses: UInt64 = 0

  init(store: Store) { self.store = store }

  /// A chunk's bytes, verified by fingerprint and tag; valid until the next call.
  func chunk(
    _ container: OpenContainer, _ slot: UInt32, _ grant: (UInt64) -> Void
  ) throws(StoreError) -> UnsafeRawBufferPointer {
    let directory = container.directory
    guard let ordinal = directory.block(ofSlot: slot) else {
      throw StoreError(
        .damaged, "has no slot \(slot)", object: ObjectName.container(container.id))
    }
    let key = Key(container: container.id, ordinal: ordinal)
    let block: Block
    if let known = blocks[key] {
      block = known
    } else {
      block = try decode(container, ordinal, grant)
      blocks[key] = block
      byteCount += block.bytes.capacity
      evict(but: key)
    }
    uses += 1
    block.lastUse = uses
    let number = Int(slot - directory.blocks[ordinal].firstSlot)
    let start = block.starts[number]
    let bytes = UnsafeRawBufferPointer(
      rebasing: block.bytes.bytes[start..<(start + Int(directory.lengths[Int(slot)]))])
    if !block.isVerified[number] {
      guard store.identifying.identity(of: bytes) == directory.identities[Int(slot)] else {
        throw StoreError(
          .damaged, "the chunk at slot \(slot) is not what its fingerprint says",
          object: ObjectName.container(container.id))
      }
      block.isVerified[number] = true
    }
    return bytes
  }

  private func decode(
    _ container: OpenContainer, _ ordinal: Int, _ grant: (UInt64) -> Void
  ) throws(StoreError) -> Block {
    let record = container.directory.blocks[ordinal]
    grant(UInt64(record.frameByteCount))
    let frame = try store.read(
      ObjectName.container(container.id), at: record.offset, count: Int(record.frameByteCount))
    let target = Buffer(capacity: max(1, Int(record.rawByteCount)))
    _ = try frame.withUnsafeBytesTyped { (bytes) throws(StoreError) in
      try container.decodeBlock(ordinal, frame: bytes, into: target.bytes)
    }
    var starts: [Int] = []
    var start = 0
    for slot in Int(record.firstSlot)..<Int(record.firstSlot + record.chunkCount) {
      starts.append(start)
      start += Int(container.directory.lengths[slot])
    }
    return Block(target, starts: starts)
  }

  private func evict(but kept: Key) {
    while byteCount > RepackBlocks.maximumByteCount, blocks.count > 1,
      let oldest = blocks.lazy.filter({ $0.key != kept })
        .min(by: { $0.value.lastUse < $1.value.lastUse }),
      let gone = blocks.removeValue(forKey: oldest.key)
    {
      byteCount -= gone.bytes.capacity
    }
  }
}
