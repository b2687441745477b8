import MuninnDisk
import MuninnFormat
import MuninnStore

/// The decoded blocks of a unit, their chunks side by side. Belongs to one thread.
struct UnitBlocks: ~Copyable {
  private enum SlotState: UInt8 {
    case unknown, good, bad
  }

  private var raw = Buffer(capacity: 0)
  private var fill = 0
  private var firstSlot = 0
  /// Where each chunk starts in `raw`, by its slot less `firstSlot`.
  private var starts: [Int] = []
  private var states: [SlotState] = []
  private var losses: [Int: String] = [:]

  init() {}

  mutating func begin(
    rawByteCount: Int, _ ordinals: ArraySlice<UInt32>, _ directory: ContainerDirectory
  ) {
    if raw.capacity < rawByteCount { raw = Buffer(capacity: rawByteCount) }
    fill = 0
    losses.removeAll()
    guard let first = ordinals.first, let last = ordinals.last else { return }
    firstSlot = Int(directory.blocks[Int(first)].firstSlot)
    let end = directory.blocks[Int(last)]
    let count = Int(end.firstSlot + end.chunkCount) - firstSlot
    starts.removeAll(keepingCapacity: true)
    starts.append(contentsOf: repeatElement(0, count: count))
    states.removeAll(keepingCapacity: true)
    states.append(contentsOf: repeatElement(.unknown, count: count))
  }

  /// Decodes a block behind the last one, over the table of lengths that the last one ended with.
  mutating func decode(
    _ ordinal: Int, _ frame: UnsafeRawBufferPointer, _ container: OpenContainer
  ) throws(StoreError) {
    let target = UnsafeMutableRawBufferPointer(rebasing: raw.bytes[fill...])
    let count = try container.decodeBlock(ordinal, frame: frame, into: target)
    let record = container.directory.blocks[ordinal]
    var start = fill
    for slot in Int(record.firstSlot)..<Int(record.firstSlot + record.chunkCount) {
      starts[slot - firstSlot] = start
      start += Int(container.directory.lengths[slot])
    }
    fill += count
  }

  /// Remembers why a block's chunks are not here.
  mutating func lose(_ ordinal: Int, _ directory: ContainerDirectory, _ message: String) {
    losses[ordinal] = message
    let record = directory.blocks[ordinal]
    for slot in Int(record.firstSlot)..<Int(record.firstSlot + record.chunkCount) {
      states[slot - firstSlot] = .bad
    }
  }

  /// Checks a chunk against its fingerprint, once. Says what is wrong with it.
  mutating func verify(
    _ slot: UInt32, _ container: OpenContainer, _ identifying: Identifying
  ) -> String? {
    let index = Int(slot) - firstSlot
    if states[index] == .unknown {
      let chunk = bytes(starts[index], Int(container.directory.lengths[Int(slot)]))
      let identity = container.directory.identities[Int(slot)]
      states[index] = identifying.isIntact(chunk, as: identity) ? .good : .bad
    }
    if states[index] == .good { return nil }
    if let ordinal = container.directory.block(ofSlot: slot), let loss = losses[ordinal] {
      return loss
    }
    return "\(ObjectName.container(container.id)): the chunk at slot \(slot) is not what its "
      + "fingerprint says"
  }

  func start(of slot: UInt32) -> Int { starts[Int(slot) - firstSlot] }

  /// Valid until the next `begin`.
  func bytes(_ start: Int, _ count: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: raw.bytes[start..<(start + count)])
  }
}
