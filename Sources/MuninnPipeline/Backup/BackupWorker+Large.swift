internal import Glibc
internal import MuninnDisk
internal import MuninnFormat
internal import MuninnStore
internal import Synchronization

// Files that are read segment by segment, so that several workers chunk one file.
extension BackupWorker {
  /// A large file whose entry waits for its content.
  struct LargeEntry {
    let index: Int
    let file: LargeFile
    let segmentCount: Int
  }

  func readLarge(
    _ descriptor: CInt, _ entry: ManifestEntry, _ before: FileStatus, isLastAttempt: Bool
  ) throws(DiskError) -> Attempt {
    var entry = entry
    let path = entry.path
    let file = LargeFile(manifest: shared.manifest, usage: shared.usage)
    var source = SegmentSource(file: file, sizes: sizes, shared: shared)
    let ranges =
      before.blocks512 * 512 < before.size
      ? try FileCalls.dataRanges(descriptor, size: before.size, path: displayPath(path))
      : [0..<before.size]
    var care = LargeFileCare(descriptor, isOn: !shared.options.keepsPageCache)
    var position: UInt64 = 0
    var isShort = false
    for range in ranges {
      if range.lowerBound > position { try emit(source.hole(range.lowerBound - position)) }
      let read = try source.read(range) { (offset, target) throws(DiskError) in
        let got = try FileCalls.read(
          descriptor, at: offset, into: target, path: displayPath(path))
        care.didRead(offset..<(offset + UInt64(got)))
        shared.limits.didRead(got)
        return got
      } emit: { (segment) throws(DiskError) in
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
    if isShort || after.isOther(than: before) {
      guard isLastAttempt else {
        try onlyDisk { () throws(PipelineError) in
          try abandon(file, segmentCount: source.segmentCount)
        }
        return .changed
      }
      entry.isUnstable = true
    }
    append(entry)
    return .large(
      LargeEntry(
        index: finished.entries.count - 1, file: file, segmentCount: source.segmentCount))
  }

  /// Waits for the segments of a file that is to be read again, and takes back that they count as
  /// progress.
  private func abandon(_ file: LargeFile, segmentCount: Int) throws(PipelineError) {
    try complete(file, segmentCount: segmentCount)
    guard let done = file.result else { throw PipelineError.cancelled }
    shared.counters.bytes.subtract(done.byteCount, ordering: .relaxed)
  }

  /// Gives a segment to the other workers, or processes it here where they have enough.
  private func emit(_ segment: Segment?) throws(DiskError) {
    try onlyDisk { () throws(PipelineError) in try closeIfAsked() }
    guard let segment else { return }
    guard !shared.cancellation.isCancelled else {
      throw DiskError(errno: ECANCELED, operation: "read", path: "")
    }
    if let mine = shared.pool.offer(segment) {
      try onlyDisk { () throws(PipelineError) in try process(mine) }
    }
  }

  /// Reads a stream to its end. Whatever goes wrong with it ends the backup: half a dump is none.
  func readStream(
    _ source: StreamSource, _ entry: ManifestEntry
  ) throws(PipelineError) -> LargeEntry {
    do throws(DiskError) {
      let stream = try OpenStream(source, cancellation: shared.cancellation)
      let file = LargeFile(manifest: shared.manifest, usage: shared.usage)
      var segments = SegmentSource(file: file, sizes: sizes, shared: shared)
      _ = try segments.read(0..<UInt64(Int64.max)) { (_, target) throws(DiskError) in
        let got = try stream.read(into: target)
        shared.limits.didRead(got)
        return got
      } emit: { (segment) throws(DiskError) in
        try emit(segment)
      }
      try onlyDisk { () throws(PipelineError) in try stream.finish() }
      append(entry)
      return LargeEntry(
        index: finished.entries.count - 1, file: file, segmentCount: segments.segmentCount)
    } catch {
      if let failure = shared.storeFailure { throw failure }
      if shared.cancellation.isCancelled { throw PipelineError.cancelled }
      throw shared.stop(PipelineError(error))
    }
  }

  /// Completes the entry of a large file with what it holds.
  func finishLarge(_ large: LargeEntry) throws(PipelineError) {
    try complete(large.file, segmentCount: large.segmentCount)
    guard let done = large.file.result else { throw PipelineError.cancelled }
    finished.entries[large.index].content = done.content
    digests[large.index] = done.digest
    finished.entries[large.index].size = done.byteCount
    finished.listed.formUnion(done.listed)
    finished.readByteCount += done.byteCount
  }

  /// Waits until all segments of the file are stored, working on them meanwhile.
  private func complete(_ file: LargeFile, segmentCount: Int) throws(PipelineError) {
    try fromStore { () throws(StoreError) in try file.finish(segmentCount: segmentCount) }
    while let segment = shared.pool.nextSegment(unless: file) { try process(segment) }
  }

  func process(_ segment: Segment) throws(PipelineError) {
    let saved = (claims, offsets)
    claims = []
    offsets = []
    defer { (claims, offsets) = saved }
    let bytes = segment.bytes.buffer.bytes
    for case .chunk(let offset, let count) in segment.pieces {
      let chunk = UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + count)])
      claims.append(
        ChunkClaim(
          identity: identifying.identity(of: chunk), length: UInt32(count)))
      offsets.append(offset)
    }
    if !claims.isEmpty { try store(in: bytes) }
    var next = 0
    var byteCount: UInt64 = 0
    var holeCount: UInt64 = 0
    let extents = segment.pieces.flatMap { piece -> [Extent] in
      switch piece {
      case .hole(let count):
        holeCount += count
        return [.hole(count)]
      case .chunk(_, let count):
        byteCount += UInt64(count)
        defer { next += 1 }
        return references(of: next).map { .chunk($0) }
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
