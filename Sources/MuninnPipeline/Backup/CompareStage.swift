internal import MuninnDisk
internal import MuninnFormat
internal import MuninnStore

/// A snapshot that the walk is met with.
struct ComparedParent {
  let id: Identifier
  var cursor: ParentCursor
  /// From when on its files' times of change are not trusted.
  let start: Int64
  /// Whether it is an earlier partial one.
  var isPartial = false
  var wasPassed = false
}

/// Meets the walk with the parents' manifests, partial ones before the complete one: decides for
/// each entry whether it is taken over or read, and hands batches on. Of a page whose entries are
/// all taken over as they are, the page is handed on. Belongs to the thread of the walk.
struct CompareStage: ~Copyable {
  private static let maximumBatchBytes: UInt64 = 1 << 20
  private static let maximumBatchReads = 128
  private static let maximumBatchEntries = 1024

  /// What a restored tree has in the place of what the snapshot says.
  private typealias Identity = (inode: UInt64, changedNanoseconds: Int64)

  /// What the parents know of an entry of the walk.
  private enum Known {
    case nothing
    /// Only that there was something of its path.
    case path
    /// Everything, and it is in the page as it is here.
    case same(ParentPage, place: Int)
    /// Everything, apart from where it is now.
    case unchanged(ManifestEntry)
  }

  /// A file whose time of change lies this close before the parent's start may have changed again
  /// within the clock's grain: a tick of the slowest kernel.
  private static let clockGrainNanoseconds: Int64 = 10_000_000
  /// The same where the time is whole seconds: the file system may keep no more.
  private static let coarseGrainNanoseconds: Int64 = 2_000_000_000

  private let options: BackupOptions
  private let counters: ProgressCounters
  /// The identities, if there are any, are the last one's.
  private var parents: [ComparedParent]
  private var identities: IdentityCatalogue.Reader?
  /// Nil where nothing will be taken over.
  private let live: LiveContainers?
  /// Nil where nothing will be written.
  private let rewriting: Rewriting?
  private let emit: (Batch) throws(PipelineError) -> Void
  private var batch = Batch(sequence: 0)
  private var batchBytes: UInt64 = 0
  private var batchReads = 0
  /// Neighbours in a page of a parent that are taken over as they are, and not in the batch yet.
  private var kept: (page: ParentPage, range: Range<Int>)?
  private var hardLinks = HardLinks()
  private(set) var counts = SnapshotCounts()
  /// Bytes of the files that were handed on to be read.
  private(set) var readByteCount: UInt64 = 0

  init(
    options: BackupOptions, store: Store, live: LiveContainers?, rewriting: Rewriting? = nil,
    counters: ProgressCounters,
    emit: @escaping (Batch) throws(PipelineError) -> Void
  ) throws(PipelineError) {
    self.options = options
    parents = []
    for partial in options.partials {
      guard let cursor = try ParentCursor.opened(partial, store: store) else { continue }
      parents.append(
        ComparedParent(
          id: partial.id, cursor: cursor, start: partial.startedNanoseconds, isPartial: true))
    }
    let identities = IdentityCatalogue.Reader.opened(
      options.identityCatalogue, snapshot: options.parent?.id)
    if let parent = options.parent, let cursor = try ParentCursor.opened(parent, store: store) {
      // A restored tree is younger than its snapshot: the catalogue says from when on to distrust.
      let start = identities?.writtenNanoseconds ?? parent.startedNanoseconds
      parents.append(ComparedParent(id: parent.id, cursor: cursor, start: start))
    }
    self.identities = identities
    self.live = live
    self.rewriting = rewriting
    self.counters = counters
    self.emit = emit
  }

  /// Batches that were handed on.
  var batchCount: UInt64 { batch.sequence }

  /// Hands an entry on. `passed` is told of partial parents that end before it.
  mutating func add(
    _ walked: WalkedEntry, fail: (PathFailure) -> Void,
    passed: (Identifier, _ entries: UInt64) -> Void = { _, _ in }
  ) throws(PipelineError) {
    let link = hardLinks.link(walked)
    counts.entries += 1
    if walked.status.kind == .directory { counts.directories += 1 }
    let isFile = walked.status.kind == .file
    switch try look(up: walked, link, passed) {
    case .same(let page, let place):
      if isFile {
        counts.files += 1
        counts.filesUnchanged += 1
        counters.add(bytes: walked.status.size)
      }
      keep(page, place)
    case .unchanged(let entry) where isFile && options.isFull:
      counts.filesUnchanged += 1
      read(walked, link, expected: entry.content)
    case .unchanged(let entry):
      if isFile {
        counts.files += 1
        counts.filesUnchanged += 1
      }
      if try isToBeRewritten(entry.content) {
        append(.rewrite(entry, walked))
        batchReads += 1
        batchBytes += min(entry.size, CompareStage.maximumBatchBytes)
      } else {
        if isFile { counters.add(bytes: entry.size) }
        append(.ready(entry))
      }
    case .path where isFile:
      counts.filesChanged += 1
      read(walked, link, expected: nil)
    case .nothing where isFile:
      counts.filesNew += 1
      read(walked, link, expected: nil)
    case .path, .nothing:
      if let entry = describe(walked, link, fail: fail) { append(.ready(entry)) }
    }
    // A page is not cut in two by the end of a batch.
    guard kept == nil else { return }
    if batchBytes >= CompareStage.maximumBatchBytes || batchReads >= CompareStage.maximumBatchReads
      || batch.entryCount >= CompareStage.maximumBatchEntries
    {
      try flush()
    }
  }

  /// Lays an entry of a parent's page beside its neighbours before it.
  private mutating func keep(_ page: ParentPage, _ place: Int) {
    if let run = kept, run.page === page, run.range.upperBound == place {
      kept?.range = run.range.lowerBound..<(place + 1)
    } else {
      handOnKept()
      kept = (page, place..<(place + 1))
    }
    if place + 1 == page.entries.count { handOnKept() }
  }

  private mutating func handOnKept() {
    guard let (page, range) = kept else { return }
    kept = nil
    if page.reference != nil, range.count == page.entries.count {
      batch.append(.page(page))
    } else {
      for entry in page.entries[range] { batch.append(.ready(entry)) }
    }
  }

  private mutating func append(_ item: Batch.Item) {
    handOnKept()
    batch.append(item)
  }

  /// What the first parent that shows the entry unchanged knows of it, else whether any has its
  /// path.
  private mutating func look(
    up walked: WalkedEntry, _ link: HardLink, _ passed: (Identifier, UInt64) -> Void
  ) throws(PipelineError) -> Known {
    var best = Known.nothing
    for index in parents.indices {
      let known = parents[index].cursor.find(walked.path)
      if parents[index].cursor.isAtEnd, !parents[index].wasPassed {
        parents[index].wasPassed = true
        if parents[index].isPartial { passed(parents[index].id, counts.entries) }
      }
      guard let known else { continue }
      best = .path
      let page = parents[index].cursor.page
      let identity = parents[index].isPartial ? nil : identities?.identity(at: known.ordinal)
      guard isUnchanged(walked.status, page, known.place, identity, parents[index].start)
      else { continue }
      if try isSame(walked.status, link, page, known.place, identity) {
        return .same(page, place: known.place)
      }
      var entry = page.entries[known.place]
      entry.inode = walked.status.inode
      entry.changedNanoseconds = walked.status.changedNanoseconds
      entry.hardLink = link
      guard let live else { return .unchanged(entry) }
      if let moved = try fromStore({ () throws(StoreError) in try live.revalidate(entry) }) {
        return .unchanged(moved)
      }
    }
    return best
  }

  /// Whether an entry that is taken over has chunks in sparse containers.
  private func isToBeRewritten(_ content: EntryContent) throws(PipelineError) -> Bool {
    guard let rewriting, let live, !rewriting.isEmpty else { return false }
    switch content {
    case .none, .inline: return false
    case .extents(let extents): return rewriting.wants(extents)
    case .tree(_, let lists):
      for list in lists {
        let listed = try fromStore { () throws(StoreError) in try live.containers(in: list) }
        if listed.contains(where: { rewriting.wants($0) }) { return true }
      }
      return false
    }
  }

  /// Has a file read, unless it was met by another name: what that holds is what this one does.
  private mutating func read(_ walked: WalkedEntry, _ link: HardLink, expected: EntryContent?) {
    counts.files += 1
    if case .later(let first) = link {
      let isLast = hardLinks.isComplete(walked)
      append(.link(walked, LaterName(first: first, isLast: isLast)))
      return
    }
    append(.read(walked, link, expected: expected))
    batchReads += 1
    batchBytes += walked.status.size
    readByteCount += walked.status.size
  }

  mutating func flush() throws(PipelineError) {
    handOnKept()
    guard batch.entryCount > 0 else { return }
    batch.counts = counts
    let full = batch
    batch = Batch(sequence: full.sequence + 1)
    batchBytes = 0
    batchReads = 0
    try emit(full)
  }

  // Both look at the entry where it lies: a copy of it would be counted by each array that it has.

  /// Whether the entry is the same by inode, size, mtime and ctime; never by device, so that a
  /// mounted snapshot of the same tree stays incremental.
  private func isUnchanged(
    _ status: FileStatus, _ page: ParentPage, _ place: Int, _ identity: Identity?, _ start: Int64
  ) -> Bool {
    // A link more or less does not show in the entry; the group decides it.
    page.entries[place].kind == EntryKind(status.kind) && !page.entries[place].isUnstable
      && (options.ignoresInode || (identity?.inode ?? page.entries[place].inode) == status.inode)
      && page.entries[place].modifiedNanoseconds == status.modifiedNanoseconds
      && (identity?.changedNanoseconds ?? page.entries[place].changedNanoseconds)
        == status.changedNanoseconds
      && (page.entries[place].kind != .file || page.entries[place].size == status.size)
      && isTrusted(status.changedNanoseconds, since: start)
  }

  /// Whether an unchanged entry would be in the new manifest just as it is in the old one.
  private func isSame(
    _ status: FileStatus, _ link: HardLink, _ page: ParentPage, _ place: Int,
    _ identity: Identity?
  ) throws(PipelineError) -> Bool {
    guard !options.isFull, let live, identity == nil, page.entries[place].inode == status.inode,
      !page.entries[place].isDamaged, page.entries[place].hardLink == link
    else { return false }
    let content = page.entries[place].content
    guard try fromStore({ () throws(StoreError) in try live.hold(content) }) else { return false }
    return try !isToBeRewritten(content)
  }

  /// Whether a change after the parent's reading would have got another time than this one.
  private func isTrusted(_ changed: Int64, since parentStart: Int64) -> Bool {
    let grain =
      changed % 1_000_000_000 == 0
      ? CompareStage.coarseGrainNanoseconds : CompareStage.clockGrainNanoseconds
    return changed < parentStart - grain
  }

  /// The entry of anything that has no content; nil where it could not be looked at.
  private func describe(
    _ walked: WalkedEntry, _ link: HardLink, fail: (PathFailure) -> Void
  ) -> ManifestEntry? {
    var entry = ManifestEntry(walked, link)
    do throws(DiskError) {
      let attributes: [ExtendedAttribute]
      if let own = walked.own {
        attributes = try own.withDescriptor { (descriptor) throws(DiskError) in
          entry.inodeFlags = try inodeFlags(descriptor, walked.path)
          return try FileCalls.extendedAttributes(
            of: descriptor, path: displayPath(walked.path))
        }
      } else if walked.status.kind == .directory {
        attributes = []
      } else {
        attributes = try walked.withName { (directory, name) throws(DiskError) in
          try FileCalls.extendedAttributes(
            at: directory, name, path: displayPath(walked.path))
        }
      }
      entry.attributes = attributes.map { NamedAttribute(name: $0.name, value: $0.value) }
      if walked.status.kind == .symlink {
        entry.linkTarget = try walked.withName { (directory, name) throws(DiskError) in
          try FileCalls.readLink(
            at: directory, name, sizeHint: walked.status.size, path: displayPath(walked.path))
        }
      }
      return entry
    } catch {
      fail(PathFailure(path: walked.path, message: error.description))
      return nil
    }
  }
}

/// The flags that a restore sets again; 0 where the file system has none.
func inodeFlags(_ descriptor: CInt, _ path: [UInt8]) throws(DiskError) -> UInt32 {
  let kept: FileAttributeFlags = [.immutable, .appendOnly, .noDump, .noAccessTime, .noCopyOnWrite]
  do throws(DiskError) {
    let flags = try FileCalls.attributeFlags(of: descriptor, path: displayPath(path))
    return flags?.intersection(kept).rawValue ?? 0
  } catch {
    // Not every file system lets every user ask.
    return 0
  }
}

extension EntryKind {
  init(_ kind: FileStatus.Kind) {
    switch kind {
    case .file: self = .file
    case .directory: self = .directory
    case .symlink: self = .symlink
    case .fifo: self = .fifo
    case .socket: self = .socket
    case .characterDevice: self = .characterDevice
    case .blockDevice: self = .blockDevice
    }
  }
}

extension ManifestEntry {
  /// Everything that statx tells.
  init(_ walked: WalkedEntry, _ link: HardLink) {
    self.init(walked, as: walked.status, link)
  }

  /// The same of what was found under the name since the walk.
  init(_ walked: WalkedEntry, as status: FileStatus, _ link: HardLink) {
    self.init(path: walked.path, kind: EntryKind(status.kind))
    hardLink = link
    take(status)
  }

  mutating func take(_ status: FileStatus) {
    mode = status.mode
    userID = status.userID
    groupID = status.groupID
    userName = NameCache.userName(status.userID)
    groupName = NameCache.groupName(status.groupID)
    modifiedNanoseconds = status.modifiedNanoseconds
    changedNanoseconds = status.changedNanoseconds
    birthNanoseconds = status.birthNanoseconds ?? 0
    inode = status.inode
    size = kind == .file ? status.size : 0
    deviceMajor = status.rdevMajor
    deviceMinor = status.rdevMinor
  }
}
