import CMuninn
import CReference
import MuninnDisk

/// How a stream is cut, in an evaluation.
enum ChunkerKind: String, CaseIterable, Encodable {
  case muninn
  /// Ours at the average that gives FastCDC's mean on random data, which is 1.144 times its nominal
  /// one.
  case muninnMatched = "muninn-matched"
  case fastcdc
  case fixed
}

/// One chunker at one average, and everything that is counted about it.
final class ChunkerUnderTest {
  /// Bytes of a directory entry, index entry and manifest extent, roughly.
  static let metadataBytesPerChunk = 60
  static let indexBytesPerChunk = 24

  let kind: ChunkerKind
  let average: Int
  let sizes: mn_chunk_sizes
  private let kernel = mn_kernel_best()
  private var seen = DuplicateTable()
  private(set) var byteCount = 0
  private(set) var chunkCount = 0
  private(set) var uniqueBytes = 0
  private(set) var storedBytes = 0
  private(set) var maximumBytes = 0
  private(set) var candidateBytes = 0
  /// Chunks by size, four classes to the octave: of the quartiles in the report.
  private var histogram = [Int](repeating: 0, count: 128)
  private let block: BlockSizer?

  init(kind: ChunkerKind, average: Int, divisor: Int, factor: Int, blockSize: Int?) {
    self.kind = kind
    self.average = average
    let mean = kind == .muninnMatched ? average * 1144 / 1000 : average
    sizes = mn_chunk_sizes(
      minimum: UInt32(mean / divisor), average: UInt32(mean), maximum: UInt32(mean * factor))
    block = blockSize.map { BlockSizer(blockSize: $0) }
  }

  var uniqueChunks: Int { seen.count }

  /// Chunks a file's content and counts it.
  func take(_ content: UnsafeRawBufferPointer, secret: [UInt8]) {
    guard let base = content.assumingMemoryBound(to: UInt8.self).baseAddress else { return }
    var start = 0
    while start < content.count {
      let length = next(base + start, content.count - start)
      let chunk = UnsafeRawBufferPointer(rebasing: content[start..<start + length])
      count(chunk, fingerprint: mn_fingerprint_of(secret, base + start, length).low)
      start += length
    }
  }

  private func next(_ data: UnsafePointer<UInt8>, _ length: Int) -> Int {
    switch kind {
    case .fixed: return min(length, average)
    case .fastcdc:
      var forced = false
      let size = reference_fastcdc_next(
        Int(sizes.minimum), Int(sizes.average), Int(sizes.maximum), data, length, &forced)
      if forced { maximumBytes += size }
      return size
    case .muninn, .muninnMatched:
      var end = MN_END_CUT
      let size = mn_chunk_next_using(kernel, sizes, data, length, &end)
      if end == MN_END_MAXIMUM { maximumBytes += size }
      if end == MN_END_CANDIDATE { candidateBytes += size }
      return size
    }
  }

  private func count(_ chunk: UnsafeRawBufferPointer, fingerprint: UInt64) {
    byteCount += chunk.count
    chunkCount += 1
    let octave = Int.bitWidth - 1 - chunk.count.leadingZeroBitCount
    let quarter = octave >= 2 ? (chunk.count >> (octave - 2)) & 3 : 0
    histogram[min(octave * 4 + quarter, histogram.count - 1)] += 1
    guard seen.insert(fingerprint) else { return }
    uniqueBytes += chunk.count
    block?.add(chunk)
  }

  /// Closes the last block.
  func finish() {
    guard let block else { return }
    block.close()
    storedBytes = block.storedBytes
  }

  /// The size that `share` of the chunks do not exceed, to a quarter of an octave.
  func quantile(_ share: Double) -> Int {
    let wanted = Int((Double(chunkCount) * share).rounded(.up))
    var passed = 0
    for (index, count) in histogram.enumerated() {
      passed += count
      if passed >= wanted {
        let octave = index / 4
        return octave >= 2 ? ((5 + index % 4) << (octave - 2)) - 1 : 1 << octave
      }
    }
    return 0
  }
}

/// Fills blocks with chunks, compresses each when it is full, and sums the sizes.
final class BlockSizer {
  private let raw: Buffer
  private let target: Buffer
  private let scratch: Buffer
  private var filled = 0
  private(set) var storedBytes = 0

  init(blockSize: Int) {
    raw = Buffer(capacity: blockSize)
    target = Buffer(capacity: mn_compress_bound(blockSize))
    scratch = Buffer(capacity: mn_compress_scratch_size(1))
  }

  func add(_ chunk: UnsafeRawBufferPointer) {
    if filled + chunk.count > raw.capacity { close() }
    if chunk.count > raw.capacity {
      Blocks.each(of: chunk, size: raw.capacity) { store($0) }
      return
    }
    UnsafeMutableRawBufferPointer(rebasing: raw.bytes[filled..<filled + chunk.count])
      .copyMemory(from: chunk)
    filled += chunk.count
  }

  func close() {
    if filled > 0 { store(UnsafeRawBufferPointer(rebasing: raw.bytes[..<filled])) }
    filled = 0
  }

  private func store(_ block: UnsafeRawBufferPointer) {
    let size = Blocks.compress(block, into: target.bytes, level: 1, scratch: scratch.bytes)
    storedBytes += size > 0 ? min(size, block.count) : block.count
  }
}
