internal import MuninnDisk
internal import MuninnFormat

/// A sorted run that takes part in a merge. Belongs to one thread.
protocol RunCursor: AnyObject {
  /// The entry that is next; meaningless at the end.
  var head: SegmentEntry { get }
  var isAtEnd: Bool { get }
  var containers: [Identifier] { get }
  var entryCount: UInt64 { get }
  func advance() throws(StoreError)
}

/// A segment, read page by page.
final class SegmentCursor: RunCursor {
  let segment: Segment
  private let buffer: Buffer
  private var page: UnsafeRawBufferPointer
  private var number = 0
  private var at = 0
  private var count = 0
  private(set) var head = SegmentEntry(prefix: 0, container: 0, slot: 0)
  private(set) var isAtEnd = false

  init(_ segment: Segment) throws(StoreError) {
    self.segment = segment
    buffer = Buffer(capacity: segment.pageBufferByteCount)
    page = UnsafeRawBufferPointer(rebasing: buffer.bytes[..<0])
    try advance()
  }

  var containers: [Identifier] { segment.lists.containers }
  var entryCount: UInt64 { segment.record.entryCount }

  func advance() throws(StoreError) {
    if at == count {
      guard number < segment.pageCount else {
        isAtEnd = true
        return
      }
      page = try segment.readPage(number, into: buffer.bytes)
      count = page.count / SegmentEntry.byteCount
      at = 0
      number += 1
    }
    head = page.entry(at)
    guard Int(head.container) < containers.count else {
      throw StoreError(
        .damaged, "container \(head.container) of \(containers.count)", object: segment.name)
    }
    at += 1
  }
}

/// Entries in memory, sorted.
struct MemoryRun: Sendable {
  let entries: [SegmentEntry]
  let containers: [Identifier]

  /// Sorts the entries, whose ordinals are places in `containers`.
  init(_ entries: [SegmentEntry], containers: [Identifier]) {
    var sorted = entries
    sorted.sort { $0.prefix < $1.prefix }
    self.entries = sorted
    self.containers = containers
  }

  /// Where the run says that chunks of this prefix may be.
  func places(of prefix: UInt64) -> [ChunkLocation] {
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].prefix < prefix { low = middle + 1 } else { high = middle }
    }
    var found: [ChunkLocation] = []
    while low < entries.count, entries[low].prefix == prefix {
      let entry = entries[low]
      found.append(
        ChunkLocation(container: containers[Int(entry.container)], slot: entry.slot))
      low += 1
    }
    return found
  }
}

/// The entries in memory, one after the other.
final class MemoryCursor: RunCursor {
  private let run: MemoryRun
  private var at = 0

  init(_ run: MemoryRun) { self.run = run }

  var containers: [Identifier] { run.containers }
  var entryCount: UInt64 { UInt64(run.entries.count) }
  var head: SegmentEntry { run.entries[at] }
  var isAtEnd: Bool { at == run.entries.count }
  func advance() { at += 1 }
}

/// Merges sorted runs into one segment, in one pass, with the memory of a page for each run.
///
/// Entries of containers that are not `isLive` any more are left out.
struct SegmentMerge {
  let store: Store
  let id: Identifier
  let remainderBits: Int
  let cancellation: Cancellation?

  func run(
    _ runs: [any RunCursor], isLive: (Identifier) -> Bool
  ) throws(StoreError) -> SegmentRecord {
    let (containers, numbers) = unite(runs, isLive: isLive)
    let builder = try SegmentBuilder(
      store: store, id: id, capacity: runs.reduce(0) { $0 + $1.entryCount },
      remainderBits: remainderBits)
    do throws(StoreError) {
      try merge(runs, numbers: numbers, into: builder)
      return try builder.finish(containers: containers)
    } catch {
      builder.discard()
      throw error
    }
  }

  private static let gone = UInt32.max

  /// One table of containers for all, and for each run the new ordinals of its own.
  ///
  /// A run lists a container whole. Two list the same one where two sessions found that none did,
  /// as after a rescue: its entries are taken from the first.
  private func unite(
    _ runs: [any RunCursor], isLive: (Identifier) -> Bool
  ) -> (containers: [Identifier], numbers: [[UInt32]]) {
    var containers: [Identifier] = []
    var ordinals: [Identifier: UInt32] = [:]
    var numbers: [[UInt32]] = []
    for run in runs {
      numbers.append(
        run.containers.map { id in
          guard ordinals[id] == nil, isLive(id) else { return Self.gone }
          let ordinal = UInt32(containers.count)
          ordinals[id] = ordinal
          containers.append(id)
          return ordinal
        })
    }
    return (containers, numbers)
  }

  /// The run with the lowest head is found by looking at each: they are few.
  private func merge(
    _ runs: [any RunCursor], numbers: [[UInt32]], into builder: SegmentBuilder
  ) throws(StoreError) {
    var open = runs.indices.filter { !runs[$0].isAtEnd }
    var heads = open.map { runs[$0].head.prefix }
    var steps = 0
    while !open.isEmpty {
      var least = 0
      for place in 1..<max(1, heads.count) where heads[place] < heads[least] { least = place }
      let limit = nextHead(heads, besides: least)
      let run = runs[open[least]]
      let numbers = numbers[open[least]]
      // As long as this run stays below the others there is nothing to compare.
      repeat {
        let entry = run.head
        let container = numbers[Int(entry.container)]
        if container != Self.gone {
          try builder.append(
            SegmentEntry(prefix: entry.prefix, container: container, slot: entry.slot))
        }
        try run.advance()
        steps += 1
      } while !run.isAtEnd && run.head.prefix <= limit
      if run.isAtEnd {
        open.remove(at: least)
        heads.remove(at: least)
      } else {
        heads[least] = run.head.prefix
      }
      if steps > 1 << 16 {
        steps = 0
        if cancellation?.isCancelled == true {
          throw StoreError(.cancelled, "the merge of index segments was cancelled")
        }
      }
    }
  }

  private func nextHead(_ heads: [UInt64], besides least: Int) -> UInt64 {
    var limit = UInt64.max
    for (place, head) in heads.enumerated() where place != least && head < limit { limit = head }
    return limit
  }
}

/// Which segments are to be merged, so that few are live and each entry is copied seldom.
enum MergePolicy {
  /// The largest set of smallest segments of which none is larger than twice the others below it
  /// together; nil where there is none. Once nothing is left to merge, each segment is more than
  /// twice the sum of all smaller ones: of N entries there are at most log3(N) + 1.
  static func choose(_ counts: [UInt64]) -> [Int]? {
    let order = counts.indices.sorted { counts[$0] < counts[$1] }
    var sum: UInt64 = 0
    var best = 0
    for (place, index) in order.enumerated() {
      if place > 0, counts[index] <= 2 * sum { best = place + 1 }
      sum += counts[index]
    }
    return best > 1 ? Array(order[..<best]) : nil
  }
}
