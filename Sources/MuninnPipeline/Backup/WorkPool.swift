internal import MuninnDisk
internal import MuninnFormat
internal import Synchronization

/// Consecutive entries of the walk: one sequence number, one worker, one run of blocks.
struct Batch: Sendable {
  enum Item: Sendable {
    /// Complete: taken over from the parent, or without content.
    case ready(ManifestEntry)
    /// All entries of a page of a parent, as they are there.
    case page(ParentPage)
    /// Taken over from the parent, with chunks that are to be copied out of sparse containers; the
    /// file is read where that cannot be done.
    case rewrite(ManifestEntry, WalkedEntry)
    /// To be opened and read; `expected` is what the parent says that it holds.
    case read(WalkedEntry, HardLink, expected: EntryContent?)
    /// A stream, the only one of its batch.
    case stream(StreamSource, ManifestEntry)
    /// A further name of a file: what it holds comes with its first name.
    case link(WalkedEntry, LaterName)
  }

  let sequence: UInt64
  /// What comes before the first item that is to be read: of an unchanged tree everything.
  private var ready = FinishedBatch()
  private(set) var items: [Item] = []
  private(set) var entryCount = 0
  /// Of all entries of the walk up to the last one here.
  var counts = SnapshotCounts()

  init(sequence: UInt64) { self.sequence = sequence }

  var needsReading: Bool { !items.isEmpty }

  mutating func append(_ item: Item) {
    entryCount += item.entryCount
    guard items.isEmpty else { return items.append(item) }
    switch item {
    case .ready(let entry): ready.entries.append(entry)
    case .page(let page): ready.append(page)
    case .link(let walked, let name): ready.append(walked, name)
    case .read, .rewrite, .stream: items.append(item)
    }
  }

  /// What is finished without the items.
  var finished: FinishedBatch {
    var batch = ready
    batch.counts = counts
    return batch
  }
}

extension Batch.Item {
  var entryCount: Int {
    if case .page(let page) = self { page.entries.count } else { 1 }
  }

  var path: [UInt8] {
    switch self {
    case .ready(let entry): entry.path
    case .page(let page): page.entries.first?.path ?? []
    case .rewrite(let entry, _): entry.path
    case .read(let walked, _, _): walked.path
    case .link(let walked, _): walked.path
    case .stream(_, let entry): entry.path
    }
  }
}

/// The entries of a batch, in order, once its files are read.
struct FinishedBatch: Sendable {
  var entries: [ManifestEntry] = []
  /// Pages of a parent that are taken over as they are, and before which of the entries they come.
  private(set) var pages: [(place: Int, page: ParentPage)] = []
  /// The entries among them that wait for what their first name holds.
  var links: [(place: Int, walked: WalkedEntry, name: LaterName)] = []
  /// The first names among them of files that were read, for their further names.
  var firsts: [Int] = []
  /// Containers of chunks that lists of large files name which were stored now.
  var listed: Set<Identifier> = []
  /// Bytes of the files that were read.
  var readByteCount: UInt64 = 0
  /// Of all entries of the walk up to the last one here.
  var counts = SnapshotCounts()

  /// Those in pages too.
  var entryCount: Int { pages.reduce(entries.count) { $0 + $1.page.entries.count } }

  mutating func append(_ page: ParentPage) { pages.append((entries.count, page)) }

  mutating func append(_ walked: WalkedEntry, _ name: LaterName) {
    links.append((entries.count, walked, name))
    entries.append(ManifestEntry(walked, .later(name.first)))
  }
}

/// A piece of a large file: chunks that are cut already, side by side in a buffer, and holes.
final class Segment: Sendable {
  enum Piece: Sendable {
    case chunk(offset: Int, count: Int)
    case hole(UInt64)
  }

  let file: LargeFile
  let ordinal: Int
  let pieces: [Piece]
  let bytes: SegmentBuffer

  init(file: LargeFile, ordinal: Int, pieces: [Piece], bytes: SegmentBuffer) {
    self.file = file
    self.ordinal = ordinal
    self.pieces = pieces
    self.bytes = bytes
  }
}

/// Memory of a segment. Filled by the thread that reads the file, then read by one worker, then
/// reused.
final class SegmentBuffer: Sendable {
  let buffer: Buffer
  init(capacity: Int) { buffer = Buffer(capacity: capacity) }
}

/// What the workers work on. Segments of large files come before new batches, so that a file that
/// is being read is finished first and its buffers come back.
final class WorkPool: Sendable {
  enum Work: Sendable {
    case batch(Batch)
    case segment(Segment)
    /// The worker is to close its container.
    case close
  }

  private struct State {
    var batches: [Batch] = []
    var segments: [Segment] = []
    var buffers: [SegmentBuffer] = []
    var isClosed = false
    /// Workers that are reading a large file, and may bring segments yet.
    var producers = 0
    /// Those that are opening and reading files now.
    var readers = 0
    var isCancelled = false
    /// Workers that have joined and not left, and those of them that have not closed their
    /// containers in the present round.
    var workers = 0
    var behind = 0
  }

  private let state = Monitor(State())
  private let maximumBatches: Int
  private let maximumSegments: Int
  private let maximumReaders: Int
  /// How often all workers were asked to close their containers.
  private let rounds = Atomic<Int>(0)

  /// No more than `readers` batches are being read at the same time.
  init(threads: Int, readers: Int) {
    maximumBatches = threads * 8
    maximumSegments = threads
    maximumReaders = max(1, readers)
  }

  /// Blocks while the pool is full; false where the backup was given up.
  func add(_ batch: Batch) -> Bool {
    let limit = maximumBatches
    let isTaken = state.wait(until: { $0.isCancelled || $0.batches.count < limit }) { state in
      if state.isCancelled { return false }
      state.batches.append(batch)
      return true
    }
    state.notifyAll()
    return isTaken
  }

  /// Hands a segment to the other workers; gives it back where they have enough.
  func offer(_ segment: Segment) -> Segment? {
    let limit = maximumSegments
    return state.update { state -> Segment? in
      guard !state.isCancelled, state.segments.count < limit else { return segment }
      state.segments.append(segment)
      return nil
    }
  }

  /// The next work of a worker that closed its container in round `seen`; nil when there is none
  /// and none will come.
  func next(seen: Int) -> Work? {
    let readers = maximumReaders
    return state.wait(until: {
      $0.isCancelled || !$0.segments.isEmpty || (!$0.batches.isEmpty && $0.readers < readers)
        || ($0.isClosed && $0.producers == 0 && $0.batches.isEmpty) || round != seen
    }) { state -> Work? in
      if state.isCancelled { return nil }
      if round != seen { return .close }
      if !state.segments.isEmpty { return .segment(state.segments.removeFirst()) }
      if !state.batches.isEmpty {
        state.producers += 1
        state.readers += 1
        return .batch(state.batches.removeFirst())
      }
      return nil
    }
  }

  /// The files of a batch that `next` gave out are read: another may be.
  func endReading() { state.update { $0.readers -= 1 } }

  /// A segment to work on while `file` is not done; nil once it is, or the backup was given up.
  func nextSegment(unless file: LargeFile) -> Segment? {
    state.wait(until: { $0.isCancelled || !$0.segments.isEmpty || file.isDone }) {
      state -> Segment? in
      if state.isCancelled || file.isDone || state.segments.isEmpty { return nil }
      return state.segments.removeFirst()
    }
  }

  /// Lets everyone look again at what they wait for.
  func wake() { state.update { _ in } }

  /// Ends a batch that `next` gave out: its worker brings no more segments.
  func endBatch() {
    state.update { $0.producers -= 1 }
  }

  // MARK: Rounds in which all workers close their containers

  /// The present round. Changes under the pool's lock alone.
  var round: Int { rounds.load(ordering: .acquiring) }

  /// A worker begins, with no container open; returns the present round.
  func join() -> Int {
    state.update { state in
      state.workers += 1
      return round
    }
  }

  /// A worker has closed its container in the present round.
  func didClose() { state.update { $0.behind -= 1 } }

  /// A worker that closed its container last in round `seen` ends.
  func leave(seen: Int) {
    state.update { state in
      state.workers -= 1
      if seen != round { state.behind -= 1 }
    }
  }

  /// Has every worker close its container, and waits for that. What was stored before lies in
  /// complete containers then. False where the backup was given up.
  func closeContainers() -> Bool {
    state.update { state in
      state.behind = state.workers
      rounds.add(1, ordering: .releasing)
    }
    return state.wait(until: { $0.isCancelled || $0.behind == 0 }) { !$0.isCancelled }
  }

  /// Waits until every worker has left, which they do where the backup was given up.
  func waitForWorkers() { state.wait(until: { $0.workers == 0 }) }

  func close() { state.update { $0.isClosed = true } }

  func cancel() {
    state.update { state in
      state.isCancelled = true
      state.batches.removeAll()
      state.segments.removeAll()
    }
  }

  func takeBuffer(capacity: Int) -> SegmentBuffer {
    state.withLock { $0.buffers.popLast() } ?? SegmentBuffer(capacity: capacity)
  }

  func giveBack(_ buffer: SegmentBuffer) { state.withLock { $0.buffers.append(buffer) } }
}
