internal import MuninnDisk
internal import MuninnFormat
internal import MuninnStore

/// Containers that are rewritten in one go.
struct RewriteWindow: Sendable {
  var plan = RepackPlan()
  /// Bytes of the chunks that are copied.
  var usedByteCount: UInt64 = 0
  /// What nobody needs of each container, in bytes on the disk.
  var unused: [Identifier: UInt64] = [:]
}

/// What snapshots need of all containers, as of one state of the journal.
///
/// Registers nowhere itself: whoever makes one is registered meanwhile, so that nothing that it
/// reads is swept.
struct UsageSurvey {
  let journal: JournalState
  let usage: ContainerUsage
  /// The snapshots that were asked.
  let seen: Set<Identifier>
  /// Snapshots that could not be walked whole: what they have stays as it is.
  private(set) var unknown: [Identifier] = []
  private let snapshots: ChunkOrder.Snapshots
  private let graph: PageGraph
  private let store: Store
  private let cancellation: Cancellation

  init(
    _ journal: JournalState, store: Store, cancellation: Cancellation,
    layout: NewestLayout? = nil
  ) throws(StoreError) {
    self.journal = journal
    self.store = store
    self.cancellation = cancellation
    let now = Machine.nowNanoseconds()
    let index = try ChunkIndex(store: store, journal: journal)
    let usage = ContainerUsage(
      journal, needed: try journal.neededContainers(at: now), index: index)
    self.usage = usage
    seen = journal.heeded(at: now)
    for id in journal.upkeep.protectedSnapshots(at: now) {
      usage.leaveAlone(journal.containerSet(of: id))
    }
    snapshots = ChunkOrder.Snapshots(journal)
    var walk = ReferenceWalk(store: store, cancellation: cancellation) {
      usage.mark($0, page: $1)
    }
    if let layout {
      usage.onChunk = { if $0.isNew { layout.note($0.item, $0.length) } }
    }
    for (number, snapshot) in snapshots.all.enumerated() {
      // The others' chunks are no part of the layout.
      if number == snapshots.newestCount { usage.onChunk = { _ in } }
      if try walk.walk(snapshot) { continue }
      unknown.append(snapshot.id)
      usage.leaveAlone(journal.containerSet(of: snapshot.id))
    }
    usage.onChunk = { _ in }
    walk.finish()
    graph = walk.graph
  }

  /// Walks again, to find the order in which the chunks of these containers are to lie.
  func order(of items: [Int]) throws(StoreError) -> ChunkOrder {
    let (usage, lastUsers) = (self.usage, graph.last)
    let order = ChunkOrder(
      items.map { ($0, Int(usage.items[$0].record.chunkCount)) },
      newestCount: snapshots.newestCount)
    usage.onChunk = { order.note($0.item, $0.slot, lastUser: lastUsers[Int($0.page)]) }
    defer { usage.onChunk = { _ in } }
    var walk = ReferenceWalk(again: graph, store: store, cancellation: cancellation) {
      usage.mark($0, page: $1)
    }
    for snapshot in snapshots.all {
      order.beginSnapshot()
      _ = try walk.walk(snapshot)
    }
    return order
  }

  /// Cuts containers into windows that are rewritten one after the other, each of so many bytes of
  /// chunks, so that the disk grows by no more than a few windows before space is given back.
  ///
  /// With `separatesNewest` what the newest snapshots use goes into containers of its own.
  func windows(
    of items: [Int], _ order: ChunkOrder, byteCount: UInt64, separatesNewest: Bool = false
  ) -> [RewriteWindow] {
    func first(_ item: Int) -> (UInt64, UInt32) {
      var least: (group: UInt64, rank: UInt32) = (.max, .max)
      for slot in usage.usedSlots(of: item) {
        if let key = order.key(item, slot), key < least { least = key }
      }
      return least
    }
    let sorted = items.map { (item: $0, first: first($0)) }.sorted { $0.first < $1.first }
    var windows: [RewriteWindow] = []
    var members: [Int] = []
    var sum: UInt64 = 0
    for (item, _) in sorted {
      members.append(item)
      sum += usage.items[item].usedByteCount
      if sum >= byteCount {
        windows.append(window(members, order, separatesNewest))
        members = []
        sum = 0
      }
    }
    if !members.isEmpty { windows.append(window(members, order, separatesNewest)) }
    return windows
  }

  private func window(
    _ items: [Int], _ order: ChunkOrder, _ separatesNewest: Bool
  ) -> RewriteWindow {
    var window = RewriteWindow()
    typealias Keyed = (key: (group: UInt64, rank: UInt32), chunk: RepackPlan.Chunk)
    var data: [Keyed] = []
    var manifests: [Keyed] = []
    for (number, item) in items.enumerated() {
      let known = usage.items[item]
      window.usedByteCount += known.usedByteCount
      window.unused[known.record.id] = known.unusedByteCount
      window.plan.sources.append(
        RepackPlan.Source(container: known.record, sum: known.sum))
      for slot in usage.usedSlots(of: item) {
        // One without a rank was met in the first walk alone: it goes last.
        let key = order.key(item, slot) ?? (.max, .max)
        let keyed = (key, RepackPlan.Chunk(source: UInt32(number), slot: slot))
        if known.record.isManifest { manifests.append(keyed) } else { data.append(keyed) }
      }
    }
    for (keyed, isManifest) in [(data, false), (manifests, true)] {
      let sorted = keyed.sorted { $0.key < $1.key }
      let end =
        separatesNewest
        ? sorted.firstIndex { $0.key.group > 0 } ?? sorted.count : sorted.count
      for part in [sorted[..<end], sorted[end...]] where !part.isEmpty {
        window.plan.streams.append(
          RepackPlan.Stream(chunks: part.map(\.chunk), isManifest: isManifest))
      }
    }
    return window
  }
}
