import Glibc
import MuninnDisk
import MuninnFormat
import MuninnStore

/// Goes through the manifest and plans windows: makes the directories as it meets them, and finds
/// where every chunk is. Belongs to one thread.
///
/// A window's directories are all there when the window is handed on, and `closed` names a
/// directory in the window after which nothing more comes into it.
struct PlanStage {
  let run: RestoreRun
  let selection: PathSelection
  let rule: ExistingRule
  private let emit: (RestoreWindow) -> Bool
  private var walk: ManifestWalk
  let pages: ChunkReader
  var builder = WindowBuilder()
  /// The directories from the root down to where the walk is.
  var stack: [PlannedDirectory]
  /// Whether every entry of the snapshot was seen so far.
  private(set) var isComplete = true
  private var limits = WindowLimits()
  private var container: OpenContainer?

  /// `emit` returns false where nobody wants more.
  init(
    _ options: RestoreOptions, _ selection: PathSelection, _ run: RestoreRun,
    isTargetEmpty: Bool, emit: @escaping (RestoreWindow) -> Bool
  ) throws(PipelineError) {
    self.run = run
    self.selection = selection
    self.emit = emit
    rule = run.rule
    stack = [PlannedDirectory(path: [], id: 0, entry: nil, isAdopted: !isTargetEmpty)]
    walk = try ManifestWalk(
      options.root, selection: selection, needsOrdinals: run.records, store: run.store)
    pages = ChunkReader(store: run.store)
  }

  /// Plans everything. Returns false where it was stopped.
  mutating func plan() -> Bool {
    let run = run
    var isComplete = true
    while let items = walk.nextPage({
      isComplete = false
      run.fail($0.path, $0.message)
    }) {
      self.isComplete = isComplete
      openAhead(items.lazy.map(\.entry.content))
      for item in items {
        if !add(item) { return false }
        if isFull, !flush() { return false }
      }
      if run.shouldStop { return false }
    }
    for path in walk.missing.sorted(by: pathPrecedes) {
      run.fail(path, "is not in the snapshot")
    }
    self.isComplete = isComplete
    while let last = stack.popLast() { close(last) }
    return flush()
  }

  var isFull: Bool {
    limits.areReached(
      entries: builder.entries.count + builder.links.count + builder.closed.count,
      extents: builder.extents.count, directoryChunks: builder.directoryChunkCount)
  }

  mutating func flush() -> Bool {
    guard !builder.isEmpty else { return true }
    let window = RestoreWindow(builder)
    builder = WindowBuilder()
    limits.grow()
    run.counters.phase = .restoring
    return emit(window)
  }

  /// Has the containers opened that content is in, all at once. Not where the target has something
  /// already: what is in place needs none.
  private func openAhead(_ contents: some Sequence<EntryContent>) {
    guard stack.first?.isAdopted == false else { return }
    var wanted: Set<Identifier> = []
    var last: Identifier?
    for case .extents(let extents) in contents {
      for case .chunk(let chunk) in extents where chunk.location.container != last {
        last = chunk.location.container
        wanted.insert(chunk.location.container)
      }
    }
    run.store.openAhead(wanted)
  }

  // MARK: Entries

  /// Plans one entry; false where the restore was stopped meanwhile.
  private mutating func add(_ item: ManifestWalk.Item) -> Bool {
    let entry = item.entry
    if entry.path.isEmpty {
      if entry.kind == .directory { beginRoot(item) }
      return true
    }
    let top = enterParent(of: entry.path)
    guard noteName(of: entry) else { return true }
    if entry.kind == .directory {
      push(item, in: top)
      return true
    }
    guard let parent = stack[top].id else {
      if !stack[top].isLeft { run.fail(entry.path, "its directory could not be made") }
      return true
    }
    if !run.makesDevices, entry.kind == .characterDevice || entry.kind == .blockDevice {
      return true
    }
    let group = self.group(of: entry)
    let isLater = group.map { run.links.group($0) != nil } ?? false
    var planned = PlannedEntry(entry: entry, directory: parent, ordinal: item.ordinal, group: group)
    planned.mayInherit = stack[top].isAdopted
    if isLater, let group {
      var name = entry
      name.content = .none
      builder.links.append(
        PlannedLink(
          path: entry.path, directory: parent, group: group, entry: name,
          ordinal: item.ordinal, mayBeTaken: stack[top].isAdopted))
      return true
    }
    if stack[top].isAdopted {
      return place(planned, below: top)
    }
    if rule.completesBeforeNaming { planned.placement = .replace }
    return addContent(planned)
  }

  private func group(of entry: ManifestEntry) -> [UInt8]? {
    switch entry.hardLink {
    case .none: nil
    case .first: entry.path
    case .later(let first): first
    }
  }

  mutating func addContent(_ whole: PlannedEntry) -> Bool {
    if let group = whole.group { run.links.begin(group, with: whole.entry.path) }
    var planned = whole
    let content = whole.entry.content
    if case .inline = content {} else { planned = whole.withoutContent() }
    if whole.entry.isDamaged || run.keepsPartialFiles { planned.losses = RestoreLosses() }
    switch content {
    case .none, .inline:
      builder.plain.append(UInt32(builder.entries.count))
      builder.entries.append(planned)
    case .extents(let extents):
      planned.isMade = reserve(planned) { (reservation) throws(DiskError) in
        for extent in extents { try reservation.add(extent) }
      }
      return add(extents, to: planned)
    case .tree(let root, _):
      planned.isMade = reserve(planned) { [pages] (reservation) throws(DiskError) in
        // A page that cannot be read is met again when the content is planned.
        guard var tree = try? TreeReader(root, reader: pages) else { return }
        while let leaf = try? tree.nextLeaf(), let extents = try? pages.extents(of: leaf) {
          for extent in extents { try reservation.add(extent) }
        }
      }
      return add(root, to: planned)
    }
    return true
  }
}

// MARK: Extents

extension PlanStage {
  /// A file whose extents are in its entry: planned whole, or not at all.
  mutating func add(_ extents: [Extent], to planned: PlannedEntry) -> Bool {
    let index = UInt32(builder.entries.count)
    let start = builder.extents.count
    var offset: UInt64 = 0
    for extent in extents {
      do {
        try add(extent, at: offset, to: index)
      } catch {
        if let losses = planned.losses {
          losses.add(offset, count: extent.byteCount, reason: error.description)
          offset += extent.byteCount
          continue
        }
        builder.extents.removeSubrange(start...)
        FileCompletion.giveUp(planned, isMade: planned.isMade, error.description, run)
        return true
      }
      offset += extent.byteCount
    }
    if builder.extents.count == start { builder.plain.append(index) }
    builder.entries.append(planned)
    return true
  }

  /// A file with a tree of extents may be longer than a window: it is shared from the start, and
  /// held open by one extent more than it has until its last one is planned.
  mutating func add(
    _ root: TreeRoot, to planned: PlannedEntry, comparing comparison: ContentComparison? = nil
  ) -> Bool {
    let file = SharedFile(planned, extentCount: 1)
    var offset: UInt64 = 0
    beginShared(file)
    do throws(StoreError) {
      var tree = try TreeReader(root, reader: pages)
      while let extents = try nextExtents(&tree, planned, &offset) {
        let matches = comparison.map { $0.matches(extents, at: offset) }
        for (number, extent) in extents.enumerated() {
          if matches?[number] != true {
            do throws(StoreError) {
              try add(extent, at: offset, to: UInt32(builder.entries.count - 1))
            } catch {
              guard let losses = planned.losses else { throw error }
              losses.add(offset, count: extent.byteCount, reason: error.description)
            }
          } else {
            run.countBytes(extent.byteCount)
          }
          let (next, overflow) = offset.addingReportingOverflow(extent.byteCount)
          guard !overflow, next <= planned.entry.size else {
            throw StoreError(.damaged, "the file's extents are longer than the file")
          }
          offset = next
          if isFull {
            if !flush() { return false }
            beginShared(file)
          }
        }
        if run.shouldStop { return false }
      }
      if offset != planned.entry.size {
        throw StoreError(.damaged, "the file's extents are shorter than the file")
      }
    } catch {
      if let losses = planned.losses, offset < planned.entry.size {
        losses.add(offset, count: planned.entry.size - offset, reason: error.description)
      } else {
        file.fail(error.description)
      }
    }
    builder.ended.append(file)
    return true
  }

  /// The extents of the next leaf; nil at the end. Steps over pages that cannot be read where the
  /// file may have holes for them.
  private func nextExtents(
    _ tree: inout TreeReader, _ planned: PlannedEntry, _ offset: inout UInt64
  ) throws(StoreError) -> [Extent]? {
    while true {
      do throws(StoreError) {
        guard let leaf = try tree.nextLeaf() else { return nil }
        let extents = try pages.extents(of: leaf)
        openAhead(CollectionOfOne(.extents(extents)))
        return extents
      } catch {
        guard let losses = planned.losses, let lost = tree.last,
          lost.byteCount <= planned.entry.size - min(offset, planned.entry.size)
        else { throw error }
        losses.add(offset, count: lost.byteCount, reason: error.description)
        offset += lost.byteCount
      }
    }
  }

  private mutating func beginShared(_ file: SharedFile) {
    builder.shared[UInt32(builder.entries.count)] = file
    builder.entries.append(file.planned)
  }

  /// Plans a chunk: at the place that the manifest names where that is still true, else where the
  /// index says. A hole needs no more than to be counted.
  mutating func add(
    _ extent: Extent, at offset: UInt64, to entry: UInt32
  ) throws(StoreError) {
    guard case .chunk(let chunk) = extent else {
      run.countBytes(extent.byteCount)
      return
    }
    var slot = chunk.location.slot
    if let known = container, known.id == chunk.location.container,
      Int(slot) < known.directory.chunkCount,
      known.directory.identities[Int(slot)] == chunk.identity,
      known.directory.lengths[Int(slot)] == chunk.length
    {
      // As planned by the chunk before: no look-up.
    } else {
      (container, slot) = try run.store.locate(chunk)
    }
    guard let container, container.directory.lengths[Int(slot)] == chunk.length else {
      throw StoreError(
        .damaged, "the chunk at slot \(slot) is not as long as the manifest says",
        object: ObjectName.container(chunk.location.container))
    }
    builder.extents.append(
      PlannedExtent(
        offset: offset, container: builder.index(of: container), slot: slot, entry: entry,
        length: chunk.length))
  }
}
