internal import MuninnDisk
internal import MuninnFormat
internal import MuninnStore
internal import Synchronization

/// What is wrong with the containers, by container and slot.
struct ContainerDamage: Sendable {
  /// Containers that cannot be opened at all.
  var containers: Set<Identifier> = []
  /// Chunks that do not read back as their identities say.
  var chunks: Set<ChunkLocation> = []
  var problems: [StoreError] = []
  var chunkCount: UInt64 = 0
  var bytesRead: UInt64 = 0

  func isDamaged(_ location: ChunkLocation) -> Bool {
    containers.contains(location.container) || chunks.contains(location)
  }
}

/// Opens every container on all threads, and reads and verifies every chunk where it is asked to.
struct ContainerCheck {
  let store: Store
  let readData: Bool
  let threads: Int
  let counters: ProgressCounters
  let cancellation: Cancellation

  func run(_ containers: [ContainerRecord]) -> ContainerDamage {
    let next = Atomic<Int>(0)
    let damage = Monitor(ContainerDamage())
    WorkerThreads.run(count: threads, name: "muninn-check") { _ in
      while !cancellation.isCancelled {
        let at = next.add(1, ordering: .relaxed).oldValue
        guard at < containers.count else { return }
        let found = check(containers[at])
        damage.withLock { total in
          total.containers.formUnion(found.containers)
          total.chunks.formUnion(found.chunks)
          total.problems += found.problems
          total.chunkCount += found.chunkCount
          total.bytesRead += found.bytesRead
        }
        counters.add(entries: 1)
        counters.add(bytes: readData ? containers[at].byteCount : 0)
      }
    }
    return damage.withLock { $0 }
  }

  private func check(_ record: ContainerRecord) -> ContainerDamage {
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
      if readData { try readBlocks(of: container, &damage) }
    } catch {
      damage.containers.insert(record.id)
      damage.problems.append(error)
    }
    return damage
  }

  private func readBlocks(
    of container: OpenContainer, _ damage: inout ContainerDamage
  ) throws(StoreError) {
    let largest = container.directory.blocks.reduce(1) { max($0, Int($1.rawByteCount)) }
    let target = Buffer(capacity: largest)
    for (ordinal, block) in container.directory.blocks.enumerated() {
      guard !cancellation.isCancelled else { return }
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
