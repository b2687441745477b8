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
  /// Windows grow up to these limits, so that the first file is written soon and a container is
  /// still read once for very much.
  private static let maximumEntryCount = 1 << 17
  private static let maximumExtentCount = 1 << 19
  /// Chunks in the directories of a window's containers: 36 bytes each.
  private static let maximumDirectoryChunkCount = 4 << 20

  private struct OpenDirectory {
    let path: [UInt8]
    /// Nil where it could not be made.
    let id: TargetTree.ID?
    var entry: ManifestEntry?
  }

  let run: RestoreRun
  private let selection: PathSelection
  private let emit: (RestoreWindow) -> Bool
  private var walk: ManifestWalk
  private var pages: ChunkReader
  private var builder = WindowBuilder()
  private var stack = [OpenDirectory(path: [], id: 0, entry: nil)]
  private var entryLimit = 1 << 12
  private var extentLimit = 1 << 14
  private var container: OpenContainer?

  /// `emit` returns false where nobody wants more.
  init(
    _ options: RestoreOptions, _ selection: PathSelection, _ run: RestoreRun,
    emit: @escaping (RestoreWindow) -> Bool
  ) throws(PipelineError) {
    self.run = run
    self.selection = selection
    self.emit = emit
    walk = try ManifestWalk(
      options.root, selection: selection, needsOrdinals: run.records, store: run.store)
    pages = ChunkReader(store: run.store)
  }

  /// Plans everything. Returns false where it was stopped.
  mutating func plan() -> Bool {
    let run = run
    while let items = walk.nextPage({ run.fail($0.path, $0.message) }) {
      for item in items {
        if !add(item) { return false }
        if isFull, !flush() { return false }
      }
      if run.shouldStop { return false }
    }
    for path in walk.missing.sorted(by: pathPrecedes) {
      run.fail(path, "is not in the snapshot")
    }
    while let last = stack.popLast() { close(last) }
    return flush()
  }

  private var isFull: Bool {
    builder.entries.count + builder.links.count + builder.closed.count >= entryLimit
      || builder.extents.count >= extentLimit
      || builder.directoryChunkCount >= PlanStage.maximumDirectoryChunkCount
  }

  private mutating func flush() -> Bool {
    guard !builder.isEmpty else { return true }
    let window = RestoreWindow(builder)
    builder = WindowBuilder()
    entryLimit = min(entryLimit * 2, PlanStage.maximumEntryCount)
    extentLimit = min(extentLimit * 2, PlanStage.maximumExtentCount)
    run.counters.phase = .restoring
    return emit(window)
  }

  // MARK: Directories

  private mutating func close(_ directory: OpenDirectory) {
    guard let id = directory.id else { return }
    builder.closed.append(ClosedDirectory(id: id, entry: directory.entry))
  }

  /// Closes the directories that the walk has left and returns the one that holds `path`; those
  /// that the manifest does not mention are made all the same. Nil where it cannot be made.
  private mutating func parent(of path: [UInt8]) -> TargetTree.ID? {
    while let last = stack.last, stack.count > 1,
      path.count == last.path.count || !PathSelection.isBelowOrSame(path, last.path)
    {
      stack.removeLast()
      close(last)
    }
    let end = path.lastIndex(of: 0x2F) ?? 0
    while let top = stack.last, top.path.count < end {
      let from = top.path.isEmpty ? 0 : top.path.count + 1
      let next = path[from...].firstIndex(of: 0x2F) ?? end
      push(Array(path[..<next]), in: top.id, entry: nil)
    }
    return stack.last?.id
  }

  private mutating func push(_ path: [UInt8], in parent: TargetTree.ID?, entry: ManifestEntry?) {
    var id: TargetTree.ID?
    if let parent {
      do throws(DiskError) {
        id = try run.tree.makeDirectory(path, in: parent)
      } catch {
        run.fail(path, error)
      }
    } else {
      run.fail(path, "its directory could not be made")
    }
    stack.append(OpenDirectory(path: path, id: id, entry: entry))
  }

  // MARK: Entries

  /// Plans one entry; false where the restore was stopped meanwhile.
  private mutating func add(_ item: ManifestWalk.Item) -> Bool {
    let entry = item.entry
    let isAbove = !selection.isEverything && selection.choice(entry.path) == .above
    if entry.path.isEmpty {
      if entry.kind == .directory { stack[0].entry = entry }
      return true
    }
    guard !isAbove || entry.kind == .directory else { return true }
    let parent = parent(of: entry.path)
    if entry.kind == .directory {
      push(entry.path, in: parent, entry: entry)
      return true
    }
    guard let parent else {
      run.fail(entry.path, "its directory could not be made")
      return true
    }
    guard let group = self.group(of: entry) else {
      return addContent(entry, parent, item.ordinal, group: nil)
    }
    if run.links.group(group) != nil {
      var name = entry
      name.content = .none
      builder.links.append(
        PlannedLink(
          path: entry.path, directory: parent, group: group, entry: name,
          ordinal: item.ordinal))
      return true
    }
    run.links.begin(group, with: entry.path)
    return addContent(entry, parent, item.ordinal, group: group)
  }

  private func group(of entry: ManifestEntry) -> [UInt8]? {
    switch entry.hardLink {
    case .none: nil
    case .first: entry.path
    case .later(let first): first
    }
  }

  private mutating func addContent(
    _ entry: ManifestEntry, _ parent: TargetTree.ID, _ ordinal: UInt64?, group: [UInt8]?
  ) -> Bool {
    var bare = entry
    if case .inline = entry.content {} else { bare.content = .none }
    var planned = PlannedEntry(entry: bare, directory: parent, ordinal: ordinal, group: group)
    switch entry.content {
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
  private mutating func add(_ extents: [Extent], to planned: PlannedEntry) -> Bool {
    let index = UInt32(builder.entries.count)
    let start = builder.extents.count
    var offset: UInt64 = 0
    for extent in extents {
      do {
        try add(extent, at: offset, to: index)
      } catch {
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
  private mutating func add(_ root: TreeRoot, to planned: PlannedEntry) -> Bool {
    let file = SharedFile(planned, extentCount: 1)
    var offset: UInt64 = 0
    beginShared(file)
    do throws(StoreError) {
      var tree = try TreeReader(root, reader: pages)
      while let leaf = try tree.nextLeaf() {
        for extent in try pages.extents(of: leaf) {
          try add(extent, at: offset, to: UInt32(builder.entries.count - 1))
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
      file.fail(error.description)
    }
    builder.ended.append(file)
    return true
  }

  private mutating func beginShared(_ file: SharedFile) {
    builder.shared[UInt32(builder.entries.count)] = file
    builder.entries.append(file.planned)
  }

  /// Plans a chunk: at the place that the manifest names where that is still true, else where the
  /// index says. A hole needs no more than to be counted.
  private mutating func add(
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
