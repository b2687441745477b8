internal import MuninnDisk
internal import MuninnFormat
internal import MuninnStore
internal import Synchronization

/// What is wrong with the containers, by container and slot.
struct ContainerDamage: Sendable {
  /// Containers that cannot be opened as they are.
  var containers: Set<Identifier> = []
  /// Chunks that do not read back as their identities say.
  var chunks: Set<ChunkLocation> = []
  var problems: [StoreError] = []
  var chunkCount: UInt64 = 0
  var bytesRead: UInt64 = 0
  /// What the entries of each container's directory add up to, for the segments.
  var sums: [Identifier: EntrySum] = [:]
  /// Containers whose bytes were to be read and were.
  var readCount: UInt64 = 0

  /// Every container that something is wrong with.
  var damaged: Set<Identifier> { containers.union(chunks.map(\.container)) }

  mutating func add(_ other: ContainerDamage) {
    containers.formUnion(other.containers)
    chunks.formUnion(other.chunks)
    problems += other.problems
    chunkCount += other.chunkCount
    bytesRead += other.bytesRead
    readCount += other.readCount
    sums.merge(other.sums) { _, new in new }
  }
}

/// How much of a container is read.
enum ContainerReading: Sendable, Equatable {
  /// Its directory alone.
  case directory
  /// Every block, with the chunks' identities.
  case blocks
  /// Each block with this probability, so that every byte has the same chance.
  case sample(fraction: Double, seed: UInt64)
}

/// Opens containers on all threads, and reads and verifies their chunks where it is asked to.
struct ContainerCheck {
  let store: Store
  let threads: Int
  let counters: ProgressCounters
  let cancellation: Cancellation
  /// Whether the time or the bytes that were given are used up: asked before each container.
  var isOver: @Sendable (_ bytesRead: UInt64) -> Bool = { _ in false }
  /// Told of each container that was read.
  var onRead: @Sendable (_ id: Identifier, _ isDamaged: Bool) -> Void = { _, _ in }

  func run(
    _ containers: [ContainerRecord], reading: @Sendable (ContainerRecord) -> ContainerReading
  ) -> ContainerDamage {
    let read = Atomic<UInt64>(0)
    let damage = Monitor(ContainerDamage())
    WorkerThreads.deal(containers.count, to: threads, name: "muninn-check") { next in
      while !cancellation.isCancelled, !isOver(read.load(ordering: .relaxed)), let at = next() {
        let reading = reading(containers[at])
        var found = check(containers[at], reading)
        if reading != .directory, !cancellation.isCancelled {
          found.readCount = 1
          onRead(containers[at].id, !found.problems.isEmpty)
        }
        read.add(found.bytesRead, ordering: .relaxed)
        damage.withLock { $0.add(found) }
        counters.add(entries: 1)
        counters.add(bytes: found.bytesRead)
      }
    }
    return damage.withLock { $0 }
  }

  private func check(_ record: ContainerRecord, _ reading: ContainerReading) -> ContainerDamage {
    var damage = ContainerDamage()
    do throws(StoreError) {
      let container = try store.openContainer(record.id)
      guard container.byteCount == record.byteCount,
        container.directory.chunkCount == Int(record.chunkCount)
      else {
        throw StoreError(
          .damaged, "is not the container that the journal names",
          object: ObjectName.container(record.id))
      }
      damage.chunkCount = UInt64(record.chunkCount)
      damage.sums[record.id] = EntrySum(container.directory)
      try readBlocks(of: container, reading, &damage)
    } catch {
      damage.containers.insert(record.id)
      damage.problems.append(error)
    }
    return damage
  }

  private func readBlocks(
    of container: OpenContainer, _ reading: ContainerReading, _ damage: inout ContainerDamage
  ) throws(StoreError) {
    var coin: SampleCoin?
    switch reading {
    case .directory: return
    case .blocks: break
    case .sample(let fraction, let seed):
      coin = SampleCoin(fraction: fraction, seed: seed, container: container.id)
    }
    let largest = container.directory.blocks.reduce(1) { max($0, Int($1.rawByteCount)) }
    let target = Buffer(capacity: largest)
    for (ordinal, block) in container.directory.blocks.enumerated() {
      guard !cancellation.isCancelled else { return }
      if var drawn = coin {
        let isTaken = drawn.isTaken()
        coin = drawn
        if !isTaken { continue }
      }
      do throws(StoreError) {
        let frame = try store.read(
          ObjectName.container(container.id), at: block.offset, count: Int(block.frameByteCount))
        damage.bytesRead += UInt64(frame.count)
        _ = try frame.withUnsafeBytesTyped { (bytes) throws(StoreError) in
          try container.decodeBlock(ordinal, frame: bytes, into: target.bytes)
        }
        verifyChunks(of: container, block, target.bytes, &damage)
      } catch {
        damage.problems.append(error)
        for slot in block.firstSlot..<(block.firstSlot + block.chunkCount) {
          damage.chunks.insert(ChunkLocation(container: container.id, slot: slot))
        }
      }
    }
  }

  private func verifyChunks(
    of container: OpenContainer, _ block: BlockRecord, _ bytes: UnsafeMutableRawBufferPointer,
    _ damage: inout ContainerDamage
  ) {
    var start = 0
    for slot in block.firstSlot..<(block.firstSlot + block.chunkCount) {
      let end = start + Int(container.directory.lengths[Int(slot)])
      let identity = store.identifying.identity(
        of: UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
      if identity != container.directory.identities[Int(slot)] {
        damage.chunks.insert(ChunkLocation(container: container.id, slot: slot))
        damage.problems.append(
          StoreError(
            .damaged, "the chunk at slot \(slot) is not what its fingerprint says",
            object: ObjectName.container(container.id)))
      }
      start = end
    }
  }
}

/// Draws a container's blocks: the same seed draws the same blocks again.
private struct SampleCoin {
  private let threshold: UInt64
  private var state: UInt64

  init(fraction: Double, seed: UInt64, container: Identifier) {
    let bounded = min(max(fraction, 0), 1)
    threshold = bounded >= 1 ? .max : UInt64(bounded * 18_446_744_073_709_549_568)
    state = seed ^ container.high ^ (container.low &* 0x9E37_79B9_7F4A_7C15)
  }

  /// SplitMix64: S. Vigna, http://prng.di.unimi.it/splitmix64.c.
  mutating func isTaken() -> Bool {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
    return (word ^ (word >> 31)) <= threshold
  }
}
