internal import CMuninn
internal import Glibc
internal import MuninnDisk
internal import MuninnFormat
internal import MuninnStore
internal import Synchronization

/// Opens, reads, chunks, identifies, deduplicates and stores. Belongs to one thread, with a
/// container of its own.
final class BackupWorker {
  /// A file up to this size is read in one go and processed with its neighbours.
  static let smallFileByteCount = 1 << 20
  /// Bytes that are read from a large file at a time.
  static let segmentByteCount = 1 << 20

  let shared: BackupShared
  let writer: ContainerWriter
  /// What stands for chunks that were refused as duplicates, by the place of their claims.
  var pieces: [Int: [ChunkReference]] = [:]
  private let maximumSmallExtents: Int
  let sizes: mn_chunk_sizes
  /// The store's: kept here, since it would be copied for each chunk.
  let identifying: Identifying
  /// Holds the small files of a batch, side by side.
  let small: Buffer
  var fill = 0
  var claims: [ChunkClaim] = []
  var offsets: [Int] = []
  /// Files of the batch that wait for their chunks' locations.
  private var waiting: [(entry: Int, firstClaim: Int, claimCount: Int)] = []
  /// Files of the batch that the parent has too with the same metadata: what it says they hold.
  private var expected: [(entry: Int, content: EntryContent)] = []
  /// Digests of the large files among them.
  var digests: [Int: UInt64] = [:]
  private var mark = WorkMark()
  private var care: SmallFileCare
  /// Reads what is copied within the repository, and what duplicates are held against.
  let chunks: ChunkReader
  var finished = FinishedBatch()
  /// The round in which the container was closed last; nil for a worker that is none of the pool's.
  private var round: Int?
  /// Whether a chunk that others may refer to could not be stored: the container is given up.
  private var isBroken = false

  init(shared: BackupShared, isOfPool: Bool = true) {
    self.shared = shared
    round = isOfPool ? shared.pool.join() : nil
    writer = shared.session.makeContainerWriter(isManifest: false, level: shared.options.level)
    // A chunk may become two.
    maximumSmallExtents = FormatLimit.extentsPerEntry / (shared.proof == nil ? 1 : 2)
    let header = shared.store.header
    sizes = mn_chunk_sizes(
      minimum: header.minimumChunkSize, average: header.averageChunkSize,
      maximum: header.maximumChunkSize)
    identifying = shared.store.identifying
    chunks = ChunkReader(store: shared.store)
    care = SmallFileCare(isOn: !shared.options.keepsPageCache)
    small = Buffer(capacity: 2 * BackupWorker.smallFileByteCount + 4096)
  }

  /// Works until the pool is empty and closed; returns early when the backup is given up.
  func run() throws(PipelineError) {
    while let work = shared.pool.next(seen: round ?? 0) {
      guard !shared.cancellation.isCancelled else { throw PipelineError.cancelled }
      switch work {
      case .close: try closeIfAsked()
      case .segment(let segment): try process(segment)
      case .batch(let batch):
        defer { shared.pool.endBatch() }
        try process(batch)
      }
      shared.limits.pause(since: &mark)
    }
    try finish()
  }

  /// Closes the container: nothing more will come.
  func finish() throws(PipelineError) {
    guard !shared.cancellation.isCancelled else { return }
    try fromStore { () throws(StoreError) in try writer.finish() }
  }

  /// Closes the container where all workers are asked to.
  func closeIfAsked() throws(PipelineError) {
    guard let seen = round else { return }
    let asked = shared.pool.round
    guard asked != seen else { return }
    do throws(StoreError) { try writer.finish() } catch { throw shared.stop(error) }
    round = asked
    shared.pool.didClose()
  }

  /// Ends the worker. Of a backup that was given up the container is closed if a partial snapshot
  /// may still need it.
  func leave() {
    if !isBroken, shared.options.partialNanoseconds != nil { try? writer.finish() }
    writer.discard()
    if let round { shared.pool.leave(seen: round) }
    round = nil
  }

  // MARK: Batches of small files

  private func process(_ batch: Batch) throws(PipelineError) {
    begin()
    finished = batch.finished
    var large: LargeEntry?
    for item in batch.items {
      switch item {
      case .ready(let entry): finished.entries.append(entry)
      case .page(let page): finished.append(page)
      case .link(let walked, let name): finished.append(walked, name)
      case .stream(let source, let entry): large = try readStream(source, entry)
      case .rewrite(let entry, let walked):
        try finish(&large)
        if let moved = try rewritten(entry) {
          shared.counters.add(bytes: entry.size)
          finished.entries.append(moved)
        } else {
          large = try read(walked, entry.hardLink)
        }
      case .read(let walked, let link, let content):
        try finish(&large)
        let place = finished.entries.count
        large = try read(walked, link)
        if let content, finished.entries.count > place { expected.append((place, content)) }
      }
    }
    shared.pool.endReading()
    try settle()
    if let large { try finishLarge(large) }
    prove()
    if let first = batch.items.first { shared.counters.setCurrentPath(first.path) }
    shared.assemble.deliver(finished, sequence: batch.sequence)
  }

  /// A large file is the last of its batch, so that one slot of its own in the order is enough.
  private func finish(_ large: inout LargeEntry?) throws(PipelineError) {
    guard let before = large else { return }
    try settle()
    try finishLarge(before)
    large = nil
  }

  private func begin() {
    finished = FinishedBatch()
    fill = 0
    expected.removeAll(keepingCapacity: true)
    digests.removeAll(keepingCapacity: true)
  }

  /// Holds the files that were read although nothing said that they changed against the parent.
  private func prove() {
    guard !expected.isEmpty else { return }
    let proof = ContentProof(store: shared.store)
    for (place, content) in expected {
      let entry = finished.entries[place]
      if let difference = proof.difference(
        of: entry.content, digest: digests[place], from: content)
      {
        shared.differs(entry.path, difference)
      }
    }
  }

  /// Reads one file that no batch is made of; without an entry where it could not be read.
  func readAlone(
    _ walked: WalkedEntry, _ link: HardLink
  ) throws(PipelineError) -> FinishedBatch {
    begin()
    let large = try read(walked, link)
    try settle()
    if let large { try finishLarge(large) }
    return finished
  }

  /// What an attempt at a file came to.
  enum Attempt {
    case done
    /// All of it was read and waits for its segments.
    case large(LargeEntry)
    /// The file changed meanwhile: what was read of it is nothing.
    case changed
  }

  /// Reads one file: small ones into the batch's buffer, large ones segment by segment. One that
  /// changes meanwhile is read again, a few times.
  private func read(_ walked: WalkedEntry, _ link: HardLink) throws(PipelineError) -> LargeEntry? {
    var number = 0
    while true {
      number += 1
      do throws(DiskError) {
        switch try attempt(number, at: walked, link) {
        case .done: return nil
        case .large(let entry): return entry
        case .changed: continue
        }
      } catch {
        if let failure = shared.storeFailure { throw failure }
        // What was not read to its end for that is not missing from the source.
        if shared.cancellation.isCancelled { throw shared.stop(.cancelled) }
        shared.fail(PathFailure(path: walked.path, message: BackupWorker.reason(error)))
        return nil
      }
    }
  }

  private static func reason(_ error: DiskError) -> String {
    switch error.errno {
    case ENOENT: "disappeared after its directory was listed: \(error.description)"
    case ESTALE: "became another kind of file after its directory was listed"
    default: error.description
    }
  }

  private func attempt(
    _ number: Int, at walked: WalkedEntry, _ link: HardLink
  ) throws(DiskError) -> Attempt {
    let path = walked.path
    let file = try walked.withName { (directory, name) throws(DiskError) in
      try FileCalls.openForReading(at: directory, name, path: displayPath(path))
    }
    let descriptor = file.descriptor
    // What the walk saw serves as the state before a small file is read: the one after it tells
    // whether this was that file. A large file is looked at again before hours of reading.
    let before =
      number == 1 && BackupWorker.isSmall(walked.status)
      ? walked.status : try FileCalls.status(of: descriptor, path: displayPath(path))
    guard before.kind == .file else {
      throw DiskError(errno: ESTALE, operation: "read", path: displayPath(path))
    }
    // A file that took the place of the one that was listed is no further name of anything.
    let isListed = before.inode == walked.status.inode
    var entry = ManifestEntry(walked, as: before, isListed ? link : .none)
    entry.attributes = try FileCalls.extendedAttributes(
      of: descriptor, path: displayPath(path)
    ).map { NamedAttribute(name: $0.name, value: $0.value) }
    // Flags of a small file are asked for where statx shows any: one call less a file.
    let isFlagged = before.attributes & BackupWorker.flaggedAttributes != 0
    if isFlagged || !BackupWorker.isSmall(before) {
      entry.inodeFlags = try inodeFlags(descriptor, path)
    }
    if BackupWorker.isSmall(before),
      let done = try readSmall(descriptor, entry, before, isLastAttempt: number >= 3)
    {
      return done
    }
    let attempts = before.size <= BackupWorker.readThriceByteCount ? 3 : 2
    return try readLarge(descriptor, entry, before, isLastAttempt: number >= attempts)
  }

  /// A changing file that is larger than this is tried once more only.
  private static let readThriceByteCount: UInt64 = 256 << 20

  /// Whether a file is read in one go: not a long one, and not one that may have holes.
  private static func isSmall(_ status: FileStatus) -> Bool {
    status.size <= UInt64(smallFileByteCount)
      && (status.blocks512 * 512 >= status.size || status.size <= 4096)
  }

  /// STATX_ATTR_COMPRESSED, IMMUTABLE, APPEND and NODUMP.
  private static let flaggedAttributes: UInt64 = 0x4 | 0x10 | 0x20 | 0x40

  /// Nil where the file has more chunks than an entry may have, and has to be read as a large one.
  private func readSmall(
    _ descriptor: CInt, _ entry: ManifestEntry, _ before: FileStatus, isLastAttempt: Bool
  ) throws(DiskError) -> Attempt? {
    var entry = entry
    let path = entry.path
    // Growth shows in the state after. An empty file is asked for one byte: some file systems know
    // a size only when they are read.
    let wanted = max(Int(before.size), 1)
    if fill + wanted > small.capacity || fill > BackupWorker.smallFileByteCount {
      try onlyDisk { () throws(PipelineError) in try settle() }
    }
    let target = UnsafeMutableRawBufferPointer(
      rebasing: small.bytes[fill..<min(fill + wanted, small.capacity)])
    let isDropped = care.isToBeDropped(descriptor)
    let got = try FileCalls.read(descriptor, into: target, path: displayPath(path))
    let after = try FileCalls.status(of: descriptor, path: displayPath(path))
    if isDropped { FileCalls.dropPages(of: descriptor, at: 0, count: 0) }
    shared.limits.didRead(got)
    if got != Int(before.size) || after.isOther(than: before) {
      guard isLastAttempt else { return .changed }
      entry.isUnstable = true
    }
    let count = min(got, Int(before.size))
    if count > FormatLimit.inlineByteCount {
      guard cut(from: fill, count: count) else { return nil }
      fill += count
    } else {
      entry.content = count == 0 ? .none : .inline([UInt8](target[..<count]))
    }
    entry.size = UInt64(count)
    finished.readByteCount += UInt64(count)
    shared.counters.add(bytes: UInt64(count))
    shared.bytesRead.add(UInt64(count), ordering: .relaxed)
    append(entry)
    return .done
  }

  func append(_ entry: ManifestEntry) {
    if entry.isUnstable { shared.changes(entry.path) }
    if entry.hardLink == .first { finished.firsts.append(finished.entries.count) }
    finished.entries.append(entry)
  }

  /// Cuts and identifies a file that lies in the batch's buffer, while it is hot in cache. False,
  /// and nothing done, where it has more chunks than an entry may have.
  private func cut(from start: Int, count: Int) -> Bool {
    let first = claims.count
    var at = start
    let end = start + count
    guard let base = small.bytes.baseAddress else { return false }
    while at < end {
      if claims.count - first == maximumSmallExtents {
        claims.removeSubrange(first...)
        offsets.removeSubrange(first...)
        return false
      }
      let pointer = base + at
      let length = mn_chunk_next(
        sizes, pointer.assumingMemoryBound(to: UInt8.self), end - at)
      let chunk = UnsafeRawBufferPointer(start: pointer, count: length)
      claims.append(
        ChunkClaim(
          identity: identifying.identity(of: chunk), length: UInt32(length)))
      offsets.append(at)
      at += length
    }
    waiting.append((finished.entries.count, first, claims.count - first))
    return true
  }

  /// Resolves the chunks that are waiting, stores the new ones, and completes their entries.
  func settle() throws(PipelineError) {
    defer {
      forgetClaims()
      waiting.removeAll(keepingCapacity: true)
    }
    guard !claims.isEmpty else { return }
    try store(in: small.bytes)
    for file in waiting {
      let places = file.firstClaim..<(file.firstClaim + file.claimCount)
      let extents = places.flatMap { references(of: $0) }.map { Extent.chunk($0) }
      guard extents.count <= FormatLimit.extentsPerEntry else { throw shared.stop(tooManyPieces) }
      finished.entries[file.entry].content = .extents(extents)
    }
  }

  func forgetClaims() {
    claims.removeAll(keepingCapacity: true)
    offsets.removeAll(keepingCapacity: true)
    fill = 0
  }

  /// Resolves `claims`, whose bytes lie at `offsets`, under one lock, and appends the new ones.
  func store(in bytes: UnsafeMutableRawBufferPointer) throws(PipelineError) {
    try closeIfAsked()
    do throws(StoreError) {
      try shared.session.index.resolve(
        &claims, next: try writer.nextLocation(), avoiding: shared.rewriting.avoided)
      var newBytes: UInt64 = 0
      var newCount: UInt64 = 0
      var again: (chunks: UInt64, bytes: UInt64) = (0, 0)
      for (ordinal, claim) in claims.enumerated() where claim.isNew {
        let start = offsets[ordinal]
        try writer.append(
          UnsafeRawBufferPointer(rebasing: bytes[start..<(start + Int(claim.length))]),
          identity: claim.identity)
        if claim.isRewritten {
          again.bytes += UInt64(claim.length)
          again.chunks += 1
        } else {
          newBytes += UInt64(claim.length)
          newCount += 1
        }
      }
      shared.rewriting.note(chunks: again.chunks, bytes: again.bytes)
      if let proof = shared.proof { pieces = try prove(in: bytes, proof) }
      shared.bytesNew.add(newBytes, ordering: .relaxed)
      shared.counters.chunksNew.add(newCount, ordering: .relaxed)
      shared.counters.chunksDuplicate.add(
        UInt64(claims.count) - newCount - again.chunks, ordering: .relaxed)
      shared.counters.bytesStored.store(shared.session.bytesStored, ordering: .relaxed)
    } catch {
      isBroken = true
      throw shared.stop(error)
    }
  }

  /// Passes the pipeline's error on past a function that throws the disk's.
  func onlyDisk(_ body: () throws(PipelineError) -> Void) throws(DiskError) {
    do throws(PipelineError) { try body() } catch {
      shared.stop(error)
      throw DiskError(errno: ECANCELED, operation: "store", path: "")
    }
  }
}
