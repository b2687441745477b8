internal import CMuninn
internal import MuninnDisk

/// Reads a large file range by range, cuts it, and packs the chunks into segments. Belongs to one
/// thread.
///
/// A chunk never spans a hole, and never two segments: what follows the last whole chunk of a
/// buffer is carried over into the next one.
struct SegmentSource {
  private let file: LargeFile
  private let sizes: mn_chunk_sizes
  private let shared: BackupShared
  private let capacity: Int
  private(set) var segmentCount = 0

  init(file: LargeFile, sizes: mn_chunk_sizes, shared: BackupShared) {
    self.file = file
    self.sizes = sizes
    self.shared = shared
    capacity = BackupWorker.segmentByteCount + Int(sizes.maximum)
  }

  private mutating func segment(_ pieces: [Segment.Piece], _ bytes: SegmentBuffer) -> Segment {
    defer { segmentCount += 1 }
    return Segment(file: file, ordinal: segmentCount, pieces: pieces, bytes: bytes)
  }

  mutating func hole(_ count: UInt64) -> Segment {
    segment([.hole(count)], shared.pool.takeBuffer(capacity: capacity))
  }

  /// Reads a range with `read`, which fills a buffer from an offset as far as there is something,
  /// and hands its segments to `emit`; returns the bytes that were there.
  mutating func read(
    _ range: Range<UInt64>,
    with read: (UInt64, UnsafeMutableRawBufferPointer) throws(DiskError) -> Int,
    emit: (Segment) throws(DiskError) -> Void
  ) throws(DiskError) -> UInt64 {
    var position = range.lowerBound
    var current = shared.pool.takeBuffer(capacity: capacity)
    var fill = 0
    while true {
      let wanted = Int(min(UInt64(capacity - fill), range.upperBound - position))
      let target = UnsafeMutableRawBufferPointer(
        rebasing: current.buffer.bytes[fill..<(fill + wanted)])
      let got = try read(position, target)
      position += UInt64(got)
      fill += got
      let isEnd = got < wanted || position == range.upperBound
      var pieces: [Segment.Piece] = []
      let used = cut(current, fill, isEnd: isEnd, into: &pieces)
      if isEnd {
        if pieces.isEmpty {
          shared.pool.giveBack(current)
        } else {
          try emit(segment(pieces, current))
        }
        return position - range.lowerBound
      }
      let next = shared.pool.takeBuffer(capacity: capacity)
      let rest = fill - used
      if rest > 0 {
        next.buffer.bytes.copyMemory(
          from: UnsafeRawBufferPointer(rebasing: current.buffer.bytes[used..<fill]))
      }
      try emit(segment(pieces, current))
      current = next
      fill = rest
    }
  }

  /// Cuts as many chunks as are certain; returns the bytes that they take.
  private func cut(
    _ bytes: SegmentBuffer, _ count: Int, isEnd: Bool, into pieces: inout [Segment.Piece]
  ) -> Int {
    guard let base = bytes.buffer.bytes.baseAddress else { return 0 }
    var at = 0
    while at < count, isEnd || count - at >= Int(sizes.maximum) {
      let length = mn_chunk_next(
        sizes, (base + at).assumingMemoryBound(to: UInt8.self), count - at)
      pieces.append(.chunk(offset: at, count: length))
      at += length
    }
    return at
  }
}
