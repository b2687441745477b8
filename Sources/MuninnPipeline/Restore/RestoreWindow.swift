import MuninnDisk
import MuninnFormat
import MuninnStore
import Synchronization

/// An entry that a worker makes.
struct PlannedEntry: Sendable {
  /// Without its extents, which are planned apart.
  let entry: ManifestEntry
  let directory: TargetTree.ID
  /// Nil where the place in the manifest is not known.
  let ordinal: UInt64?
  /// The hard-link group that this entry is the first made of.
  let group: [UInt8]?
  /// The file was made, and its space reserved, when it was planned.
  var isMade = false
  var placement = Placement.create
  /// Its directory was there before: what it hands down to new entries (owners, ACLs) is not known.
  var mayInherit = false
  /// Bytes of content that were in place when it was planned.
  var matchedByteCount: UInt64 = 0
  /// For a file that is restored as far as it can be had.
  var losses: RestoreLosses?
}

extension PlannedEntry {
  /// The same, without content that is planned apart.
  func withoutContent() -> PlannedEntry {
    var bare = entry
    bare.content = .none
    var copy = PlannedEntry(entry: bare, directory: directory, ordinal: ordinal, group: group)
    copy.isMade = isMade
    copy.placement = placement
    copy.mayInherit = mayInherit
    copy.matchedByteCount = matchedByteCount
    copy.losses = losses
    return copy
  }

  /// The name in its directory that the entry is made under.
  var makingName: [CChar] {
    if case .replace = placement { temporaryName(of: entry.path) } else { lastName(of: entry.path) }
  }
}

/// A further name of an entry that is made by now.
struct PlannedLink: Sendable {
  let path: [UInt8]
  let directory: TargetTree.ID
  let group: [UInt8]
  let entry: ManifestEntry
  let ordinal: UInt64?
  /// Something may have the name.
  var mayBeTaken = false
}

/// A directory that nothing more comes into.
struct ClosedDirectory: Sendable {
  let id: TargetTree.ID
  /// Nil for one that the manifest has no entry of, or that stays as it was.
  let entry: ManifestEntry?
  /// It was there before, so its metadata may be anything.
  var isAdopted = false
}

/// A chunk that belongs into a file.
struct PlannedExtent: Sendable {
  /// Offset in the file.
  let offset: UInt64
  /// Index into the window's containers.
  let container: UInt32
  let slot: UInt32
  /// Index into the window's entries.
  let entry: UInt32
  let length: UInt32

  var place: UInt64 { UInt64(container) << 32 | UInt64(slot) }
}

/// Neighbouring blocks of one container that are read at once.
struct ContentUnit: Sendable {
  let container: Int
  /// Range of the window's `blocks`, which are ordinals in the container's directory.
  let blocks: Range<Int>
  /// Range of the window's `extents`.
  let extents: Range<Int>
  /// Bytes of the wanted blocks, decoded.
  let rawByteCount: Int
}

/// A bounded stretch of the manifest, planned: each container is read once for it, in the order in
/// which the paths first need it.
final class RestoreWindow: Sendable {
  let entries: [PlannedEntry]
  /// Beside `entries`: the files that more than one unit writes to.
  let shared: [SharedFile?]
  let containers: [OpenContainer]
  /// By container and slot.
  let extents: [PlannedExtent]
  let blocks: [UInt32]
  let units: [ContentUnit]
  /// Entries that need no container.
  let plain: [UInt32]
  /// Files whose last extent is planned in this window, and others in windows before.
  let ended: [SharedFile]
  let links: [PlannedLink]
  /// From the leaves up.
  let closed: [ClosedDirectory]
  /// Identities of files that were complete when they were planned.
  let finished: [RestoredIdentity]

  /// The next batch of plain entries, or ended file, that no worker took yet.
  let nextTask = Atomic<Int>(0)
  let identities = Monitor<[RestoredIdentity]>([])

  init(_ builder: consuming WindowBuilder) {
    // Nearly sorted already where the repository has the files in path order.
    builder.extents.sort { $0.place < $1.place }
    let (units, blocks) = UnitPlan.make(builder.extents, builder.containers)
    var unitOf = [Int](repeating: -1, count: builder.entries.count)
    var isSpread = [Bool](repeating: false, count: builder.entries.count)
    var counts = [Int](repeating: 0, count: builder.entries.count)
    for (number, unit) in units.enumerated() {
      for extent in builder.extents[unit.extents] {
        let entry = Int(extent.entry)
        counts[entry] += 1
        if unitOf[entry] >= 0, unitOf[entry] != number { isSpread[entry] = true }
        unitOf[entry] = number
      }
    }
    var shared = [SharedFile?](repeating: nil, count: builder.entries.count)
    for index in builder.entries.indices {
      if let file = builder.shared[UInt32(index)] {
        file.add(counts[index])
        shared[index] = file
      } else if isSpread[index] {
        shared[index] = SharedFile(builder.entries[index], extentCount: counts[index])
      }
    }
    entries = builder.entries
    self.shared = shared
    containers = builder.containers
    extents = builder.extents
    self.units = units
    self.blocks = blocks
    plain = builder.plain
    ended = builder.ended
    links = builder.links
    closed = builder.closed
    finished = builder.finished
  }
}

/// Cuts sorted extents into units.
struct UnitPlan {
  /// What lies between two wanted blocks and is cheaper to read than to step over, in bytes.
  static let maximumGap: UInt64 = 128 << 10
  /// Bytes of one read, and of the blocks that it decodes to; a larger block is a unit alone.
  static let maximumByteCount = 4 << 20
  static let maximumExtentCount = 1 << 16

  private var units: [ContentUnit] = []
  private var blocks: [UInt32] = []
  private var firstBlock = 0
  private var firstExtent = 0
  private var rawByteCount = 0
  private var container = 0

  static func make(
    _ extents: [PlannedExtent], _ containers: [OpenContainer]
  ) -> (units: [ContentUnit], blocks: [UInt32]) {
    var plan = UnitPlan()
    for (index, extent) in extents.enumerated() {
      plan.add(index, extent, containers[Int(extent.container)].directory)
    }
    plan.close(extents.count)
    return (plan.units, plan.blocks)
  }

  private mutating func add(
    _ index: Int, _ extent: PlannedExtent, _ directory: ContainerDirectory
  ) {
    if Int(extent.container) != container { close(index) }
    container = Int(extent.container)
    if blocks.count > firstBlock, let last = blocks.last {
      let block = directory.blocks[Int(last)]
      if extent.slot < block.firstSlot + block.chunkCount { return }
    }
    // The slot was checked against the directory when the extent was planned.
    guard let ordinal = directory.block(ofSlot: extent.slot) else { return }
    let block = directory.blocks[ordinal]
    if blocks.count > firstBlock, let last = blocks.last {
      let first = directory.blocks[Int(blocks[firstBlock])].offset
      let previous = directory.blocks[Int(last)]
      let gap = block.offset - previous.offset - UInt64(previous.frameByteCount)
      let span = block.offset + UInt64(block.frameByteCount) - first
      if gap > UnitPlan.maximumGap || span > UInt64(UnitPlan.maximumByteCount)
        || rawByteCount + Int(block.rawByteCount) > UnitPlan.maximumByteCount
        || index - firstExtent > UnitPlan.maximumExtentCount
      {
        close(index)
      }
    }
    blocks.append(UInt32(ordinal))
    rawByteCount += Int(block.rawByteCount)
  }

  private mutating func close(_ end: Int) {
    if end > firstExtent {
      units.append(
        ContentUnit(
          container: container, blocks: firstBlock..<blocks.count, extents: firstExtent..<end,
          rawByteCount: rawByteCount))
    }
    firstBlock = blocks.count
    firstExtent = end
    rawByteCount = 0
  }
}

/// How large a window gets. The first are small, so that the first file is written soon; later ones
/// are so large that a container is still read once for very much.
struct WindowLimits {
  private static let maximumEntryCount = 1 << 17
  private static let maximumExtentCount = 1 << 19
  /// Chunks in the directories of a window's containers: 36 bytes each.
  private static let maximumDirectoryChunkCount = 4 << 20

  private var entryLimit = 1 << 12
  private var extentLimit = 1 << 14

  /// `entries` are links and closed directories too.
  func areReached(entries: Int, extents: Int, directoryChunks: Int) -> Bool {
    entries >= entryLimit || extents >= extentLimit
      || directoryChunks >= WindowLimits.maximumDirectoryChunkCount
  }

  mutating func grow() {
    entryLimit = min(entryLimit * 2, WindowLimits.maximumEntryCount)
    extentLimit = min(extentLimit * 2, WindowLimits.maximumExtentCount)
  }
}

/// Collects a window.
struct WindowBuilder {
  var entries: [PlannedEntry] = []
  var extents: [PlannedExtent] = []
  private(set) var containers: [OpenContainer] = []
  private var containerIndex: [Identifier: UInt32] = [:]
  /// Files that are planned over several windows, by their index in `entries`.
  var shared: [UInt32: SharedFile] = [:]
  var plain: [UInt32] = []
  var ended: [SharedFile] = []
  var links: [PlannedLink] = []
  var closed: [ClosedDirectory] = []
  var finished: [RestoredIdentity] = []
  /// Chunks in the directories of all containers: what their memory depends on.
  private(set) var directoryChunkCount = 0

  var isEmpty: Bool {
    entries.isEmpty && links.isEmpty && closed.isEmpty && ended.isEmpty && finished.isEmpty
  }

  mutating func index(of container: OpenContainer) -> UInt32 {
    if let last = containers.last, last.id == container.id { return UInt32(containers.count - 1) }
    if let known = containerIndex[container.id] { return known }
    let index = UInt32(containers.count)
    containers.append(container)
    containerIndex[container.id] = index
    directoryChunkCount += container.directory.chunkCount
    return index
  }
}
