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
  static let segmentByteCount = 4 << 20

  private let shared: BackupShared
  private let writer: ContainerWriter
  private let sizes: mn_chunk_sizes
  /// Holds the small files of a batch, side by side.
  private let small: Buffer
  private var fill = 0
  private var claims: [ChunkClaim] = []
  private var offsets: [Int] = []
  /// Files of the batch that wait for their chunks' locations.
  private var waiting: [(entry: Int, firstClaim: Int, claimCount: Int)] = []
  private var entries: [ManifestEntry] = []

  init(shared: BackupShared) {
    self.shared = shared
    writer = shared.session.makeContainerWriter(isManifest: false, level: shared.options.level)
    let header = shared.store.header
    sizes = mn_chunk_sizes(
      minimum: header.minimumChunkSize, average: header.averageChunkSize,
      maximum: header.maximumChunkSize)
    small = Buffer(capacity: 2 * BackupWorker.smallFileByteCount + 4096)
  }

  /// Works until the pool is empty and closed; returns early when the backup is given up.
  func run() throws(PipelineError) {
    while let work = shared.pool.next() {
      guard !shared.cancellation.isCancelled else { throw PipelineError.cancelled }
      switch work {
      case .segment(let segment): try process(segment)
      case .batch(let batch):
        defer { shared.pool.endBatch() }
        try process(batch)
      }
    }
    guard !shared.cancellation.isCancelled else { return }
    try fromStore { () throws(StoreError) in try writer.finish() }
  }

  func discard() { writer.discard() }

  // MARK: Batches of small files

  private func process(_ batch: Batch) throws(PipelineError) {
    entries.removeAll(keepingCapacity: true)
    fill = 0
    var large: LargeEntry?
    for item in batch.items {
      switch item {
      case .ready(let entry): entries.append(entry)
      case .read(let walked, _, let link):
        // A large file is the last of its batch, so that one slot of its own in the order is
        // enough.
        if let before = large {
          try settle()
          try finishLarge(before)
          large = nil
        }
        large = try read(walked, link)
      }
    }
    try settle()
    if let large { try finishLarge(large) }
    if let first = batch.items.first { shared.counters.setCurrentPath(first.path) }
    shared.assemble.deliver(entries, sequence: batch.sequence)
  }

  /// Reads one file: small ones into the batch's buffer, large ones segment by segment.
  private func read(_ walked: WalkedEntry, _ link: HardLink) throws(PipelineError) -> LargeEntry? {
    var attempt = 0
    while true {
      attempt += 1
      do throws(DiskError) {
        let path = walked.path
        let file = try withCString(walked.name) { (name) throws(DiskError) in
          try FileCalls.openForReading(
            at: walked.directory.descriptor, name, path: displayPath(path))
        }
        let descriptor = file.descriptor
        // What the walk saw serves as the state before a small file is read: the one after it tells
        // whether this was that file. A large file is looked at again before hours of reading.
        let before =
          attempt == 1 && BackupWorker.isSmall(walked.status)
          ? walked.status : try FileCalls.status(of: descriptor, path: displayPath(path))
        guard before.kind == .file else {
          throw DiskError(errno: ESTALE, operation: "read", path: displayPath(path))
        }
        var entry = ManifestEntry(walked, link)
        entry.take(before)
        entry.attributes = try FileCalls.extendedAttributes(
          of: descriptor, path: displayPath(path)
        ).map { NamedAttribute(name: $0.name, value: $0.value) }
        // Flags are asked for where statx says that there are any: one call less a file.
        if before.attributes & BackupWorker.flaggedAttributes != 0 {
          entry.inodeFlags = try inodeFlags(descriptor, path)
        }
        if !BackupWorker.isSmall(before) {
          return try readLarge(descriptor, entry, before, isLastAttempt: attempt >= 3)
        }
        if try readSmall(descriptor, entry, before, isLastAttempt: attempt >= 3) { return nil }
      } catch {
        if let failure = shared.storeFailure { throw failure }
        shared.fail(PathFailure(path: walked.path, message: error.description))
        return nil
      }
    }
  }

  /// Whether a file is read in one go: not a long one, and not one that may have holes.
  private static func isSmall(_ status: FileStatus) -> Bool {
    status.size <= UInt64(smallFileByteCount)
      && (status.blocks512 * 512 >= status.size || status.size <= 4096)
  }

  /// STATX_ATTR_COMPRESSED, IMMUTABLE, APPEND and NODUMP.
  private static let flaggedAttributes: UInt64 = 0x4 | 0x10 | 0x20 | 0x40

  /// False where the file changed while it was read and is to be tried again.
  private func readSmall(
    _ descriptor: CInt, _ entry: ManifestEntry, _ before: FileStatus, isLastAttempt: Bool
  ) throws(DiskError) -> Bool {
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
    let got = try FileCalls.read(descriptor, into: target, path: displayPath(path))
    let after = try FileCalls.status(of: descriptor, path: displayPath(path))
    if got != Int(before.size) || after.kind != .file || after.inode != before.inode
      || after.size != before.size || after.modifiedNanoseconds != before.modifiedNanoseconds
      || after.changedNanoseconds != before.changedNanoseconds
    {
      guard isLastAttempt else { return false }
      entry.isUnstable = true
    }
    let count = min(got, Int(before.size))
    entry.size = UInt64(count)
    shared.counters.add(bytes: UInt64(count))
    shared.bytesRead.add(UInt64(count), ordering: .relaxed)
    if count == 0 {
      entry.content = .none
    } else if count <= FormatLimit.inlineByteCount {
      entry.content = .inline([UInt8](target[..<count]))
    } else {
      cut(from: fill, count: count)
      fill += count
    }
    entries.append(entry)
    return true
  }

  /// Cuts and identifies a file that lies in the batch's buffer, while it is hot in cache.
  private func cut(from start: Int, count: Int) {
    let first = claims.count
    var at = start
    let end = start + count
    guard let base = small.bytes.baseAddress else { return }
    while at < end {
      let pointer = base + at
      let length = mn_chunk_next(
        sizes, pointer.assumingMemoryBound(to: UInt8.self), end - at)
      let chunk = UnsafeRawBufferPointer(start: pointer, count: length)
      claims.append(
        ChunkClaim(
          identity: shared.store.identifying.identity(of: chunk), length: UInt32(length)))
      offsets.append(at)
      at += length
    }
    waiting.append((entries.count, first, claims.count - first))
  }

  /// Resolves the chunks that are waiting, stores the new ones, and completes their entries.
  private func settle() throws(PipelineError) {
    defer {
      claims.removeAll(keepingCapacity: true)
      offsets.removeAll(keepingCapacity: true)
      waiting.removeAll(keepingCapacity: true)
      fill = 0
    }
    guard !claims.isEmpty else { return }
    try store(in: small.bytes)
    for file in waiting {
      entries[file.entry].content = .extents(
        claims[file.firstClaim..<(file.firstClaim + file.claimCount)].map { .chunk($0.reference) })
    }
  }

  /// Resolves `claims`, whose bytes lie at `offsets`, under one lock, and appends the new ones.
  private func store(in bytes: UnsafeMutableRawBufferPointer) throws(PipelineError) {
    do throws(StoreError) {
      try shared.session.index.resolve(&claims, next: try writer.nextLocation())
      var newBytes: UInt64 = 0
      var newCount: UInt64 = 0
      for (ordinal, claim) in claims.enumerated() where claim.isNew {
        let start = offsets[ordinal]
        try writer.append(
          UnsafeRawBufferPointer(rebasing: bytes[start..<(start + Int(claim.length))]),
          identity: claim.identity)
        newBytes += UInt64(claim.length)
        newCount += 1
      }
      shared.bytesNew.add(newBytes, ordering: .relaxed)
      shared.counters.chunksNew.add(newCount, ordering: .relaxed)
      shared.counters.chunksDuplicate.add(
        UInt64(claims.count) - newCount, ordering: .relaxed)
      shared.counters.bytesStored.store(shared.session.bytesStored, ordering: .relaxed)
    } catch {
      throw shared.stop(error)
    }
  }

  /// Passes the pipeline's error on past a function that throws the disk's.
  private func onlyDisk(_ body: () throws(PipelineError) -> Void) throws(DiskError) {
    do throws(PipelineError) { try body() } catch {
      shared.stop(error)
      throw DiskError(errno: ECANCELED, operation: "store", path: "")
    }
  }

  // MARK: Large files

  /// A large file whose entry waits for its content.
  private struct LargeEntry {
    let index: Int
    let file: LargeFile
    let segmentCount: Int
  }

  private func readLarge(
    _ descriptor: CInt, _ entry: ManifestEntry, _ before: FileStatus, isLastAttempt: Bool
  ) throws(DiskError) -> LargeEntry? {
    var entry = entry
    let path = entry.path
    let file = LargeFile(manifest: shared.manifest)
    var source = SegmentSource(file: file, sizes: sizes, shared: shared)
    let ranges =
      before.blocks512 * 512 < before.size
      ? try FileCalls.dataRanges(descriptor, size: before.size, path: displayPath(path))
      : [0..<before.size]
    var position: UInt64 = 0
    var isShort = false
    for range in ranges {
      if range.lowerBound > position { try emit(source.hole(range.lowerBound - position)) }
      let read = try source.read(descriptor, range, path: path) { (segment) throws(DiskError) in
        try emit(segment)
      }
      position = range.lowerBound + read
      if position < range.upperBound {
        isShort = true
        break
      }
    }
    if !isShort, position < before.size { try emit(source.hole(before.size - position)) }
    let after = try FileCalls.status(of: descriptor, path: displayPath(path))
    if isShort || after.size != before.size
      || after.modifiedNanoseconds != before.modifiedNanoseconds
      || after.changedNanoseconds != before.changedNanoseconds
    {
      // Reading a large file again would double the time; its mark says that it was changing.
      entry.isUnstable = true
    }
    entries.append(entry)
    return LargeEntry(
      index: entries.count - 1, file: file, segmentCount: source.segmentCount)
  }

  /// Gives a segment to the other workers, or processes it here where they have enough.
  private func emit(_ segment: Segment?) throws(DiskError) {
    guard let segment else { return }
    guard !shared.cancellation.isCancelled else {
      throw DiskError(errno: ECANCELED, operation: "read", path: "")
    }
    if let mine = shared.pool.offer(segment) {
      try onlyDisk { () throws(PipelineError) in try process(mine) }
    }
  }

  /// Waits until all segments of the file are stored, working on them meanwhile.
  private func finishLarge(_ large: LargeEntry) throws(PipelineError) {
    try fromStore { () throws(StoreError) in
      try large.file.finish(segmentCount: large.segmentCount)
    }
    while let segment = shared.pool.nextSegment(unless: large.file) { try process(segment) }
    guard let done = large.file.result else { throw PipelineError.cancelled }
    entries[large.index].content = done.content
    entries[large.index].size = done.byteCount
  }

  private func process(_ segment: Segment) throws(PipelineError) {
    let saved = (claims, offsets)
    claims = []
    offsets = []
    defer { (claims, offsets) = saved }
    let bytes = segment.bytes.buffer.bytes
    for case .chunk(let offset, let count) in segment.pieces {
      let chunk = UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + count)])
      claims.append(
        ChunkClaim(
          identity: shared.store.identifying.identity(of: chunk), length: UInt32(count)))
      offsets.append(offset)
    }
    if !claims.isEmpty { try store(in: bytes) }
    var next = 0
    var byteCount: UInt64 = 0
    var holeCount: UInt64 = 0
    let extents = segment.pieces.map { piece -> Extent in
      switch piece {
      case .hole(let count):
        holeCount += count
        return .hole(count)
      case .chunk(_, let count):
        byteCount += UInt64(count)
        defer { next += 1 }
        return .chunk(claims[next].reference)
      }
    }
    shared.counters.add(bytes: byteCount + holeCount)
    shared.bytesRead.add(byteCount, ordering: .relaxed)
    shared.pool.giveBack(segment.bytes)
    do throws(StoreError) { try segment.file.add(extents, ordinal: segment.ordinal) } catch {
      throw shared.stop(error)
    }
    if segment.file.isDone { shared.pool.wake() }
  }
}

extension ChunkClaim {
  fileprivate var reference: ChunkReference {
    ChunkReference(identity: identity, length: length, location: location)
  }
}

extension Batch.Item {
  var path: [UInt8] {
    switch self {
    case .ready(let entry): entry.path
    case .read(let walked, _, _): walked.path
    }
  }
}
