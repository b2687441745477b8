package import MuninnDisk
package import MuninnFormat
package import MuninnStore

/// Plans a restore of a whole snapshot, window by window as `PlanStage` does, and adds up what it
/// would read; reads the manifest and the containers' directories, and no content.
///
/// Memory is that of one window, and some bytes for each container.
package struct LayoutSurvey {
  package struct Outcome: Sendable {
    package let fragmentation: Fragmentation
    /// Pages and chunks that could not be found.
    package let failures: [PathFailure]
  }

  private static let maximumReportedFailures = 1000

  private let store: Store
  private let cancellation: Cancellation
  private var builder = WindowBuilder()
  private var limits = WindowLimits()
  /// What the window has beside extents.
  private var entryCount = 0
  private var container: OpenContainer?
  private var cost = RestoreCost()
  private let usage = UsageCounter(parent: nil)
  private var contentByteCount: UInt64 = 0
  private var failures: [PathFailure] = []

  package init(store: Store, cancellation: Cancellation) {
    self.store = store
    self.cancellation = cancellation
  }

  /// Blocks; call it from a thread of its own. `journal` tells the containers' sizes.
  package consuming func run(
    _ root: TreeRoot, journal: JournalState
  ) throws(PipelineError) -> Outcome {
    let selection = try PathSelection([], includes: [], excludes: [])
    var walk = try ManifestWalk(root, selection: selection, needsOrdinals: false, store: store)
    let pages = ChunkReader(store: store)
    while let items = walk.nextPage({ fail($0.path, $0.message) }) {
      for item in items { add(item.entry, pages) }
      guard !cancellation.isCancelled else { throw PipelineError.cancelled }
    }
    closeWindow()
    var result = Fragmentation(
      usage.usage(of: .zero), contentByteCount: contentByteCount, journal: journal)
    result.plan = cost
    return Outcome(fragmentation: result, failures: failures)
  }

  private mutating func fail(_ path: [UInt8], _ message: String) {
    guard failures.count < LayoutSurvey.maximumReportedFailures else { return }
    failures.append(PathFailure(path: path, message: message))
  }

  private mutating func add(_ entry: ManifestEntry, _ pages: ChunkReader) {
    entryCount += 1
    if entry.kind == .file { contentByteCount += entry.size }
    if case .later = entry.hardLink { return }
    do throws(StoreError) {
      switch entry.content {
      case .none, .inline: break
      case .extents(let extents):
        for extent in extents { try add(extent) }
      case .tree(let root, _):
        var tree = try TreeReader(root, reader: pages)
        while let leaf = try tree.nextLeaf() {
          for extent in try pages.extents(of: leaf) {
            try add(extent)
            // A long file goes on in the next window.
            if isFull { closeWindow() }
          }
          if cancellation.isCancelled { return }
        }
      }
    } catch {
      fail(entry.path, error.description)
    }
    if isFull { closeWindow() }
  }

  private var isFull: Bool {
    limits.areReached(
      entries: entryCount, extents: builder.extents.count,
      directoryChunks: builder.directoryChunkCount)
  }

  private mutating func add(_ extent: Extent) throws(StoreError) {
    guard case .chunk(let chunk) = extent else { return }
    var slot = chunk.location.slot
    if let known = container, known.id == chunk.location.container,
      Int(slot) < known.directory.chunkCount,
      known.directory.identities[Int(slot)] == chunk.identity
    {
    } else {
      (container, slot) = try store.locate(chunk)
    }
    guard let container else { return }
    builder.extents.append(
      PlannedExtent(
        offset: 0, container: builder.index(of: container), slot: slot, entry: 0,
        length: chunk.length))
    let place = ChunkLocation(container: container.id, slot: slot)
    let found = ChunkReference(identity: chunk.identity, length: chunk.length, location: place)
    usage.add([.chunk(found)], inPages: false)
  }

  private mutating func closeWindow() {
    let window = builder
    builder = WindowBuilder()
    entryCount = 0
    limits.grow()
    var extents = window.extents
    extents.sort { $0.place < $1.place }
    let (units, blocks) = UnitPlan.make(extents, window.containers)
    cost.containerReads += UInt64(window.containers.count)
    cost.requests += UInt64(units.count)
    for unit in units {
      let directory = window.containers[unit.container].directory
      guard let first = blocks[unit.blocks].first, let last = blocks[unit.blocks].last else {
        continue
      }
      let end = directory.blocks[Int(last)]
      cost.byteCount +=
        end.offset + UInt64(end.frameByteCount) - directory.blocks[Int(first)].offset
    }
    addNeeded(extents, window.containers)
  }

  /// Each chunk's part of its block, once a window.
  private mutating func addNeeded(_ extents: [PlannedExtent], _ containers: [OpenContainer]) {
    var needed = 0.0
    var last: UInt64?
    var ordinal = -1
    for extent in extents where extent.place != last {
      last = extent.place
      let directory = containers[Int(extent.container)].directory
      if ordinal < 0 || ordinal >= directory.blocks.count
        || extent.slot < directory.blocks[ordinal].firstSlot
        || extent.slot - directory.blocks[ordinal].firstSlot >= directory.blocks[ordinal].chunkCount
      {
        guard let found = directory.block(ofSlot: extent.slot) else { continue }
        ordinal = found
      }
      let block = directory.blocks[ordinal]
      // A block's raw bytes end with a table of its chunks' lengths.
      let content = Double(block.rawByteCount) - 4 - 4 * Double(block.chunkCount)
      if content > 0 {
        needed += Double(block.frameByteCount) * Double(extent.length) / content
      }
    }
    cost.neededByteCount += UInt64(needed.rounded())
  }
}
