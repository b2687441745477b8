import CReference
import Glibc
import MuninnDisk

/// Small files through io_uring, a ring a thread: open, read and close of a batch in one call.
struct RingReading {
  let depth: Int
  let threads: Int

  /// Bytes that the files of a batch have together, more or less.
  private static let batchBytes = 8 << 20

  func read(_ work: ReadingWork) throws -> UInt64 {
    let depth = depth
    return try ReadingWork.deal(work.paths.count, threads: threads, step: depth) { next in
      var error: CInt = 0
      guard let ring = reference_ring_open(UInt32(depth), &error) else {
        throw BenchError("the kernel gives no ring: error \(-error)")
      }
      defer { reference_ring_close(ring) }
      let buffer = Buffer(capacity: Self.batchBytes + 2 * ReadingWork.smallBytes)
      var sum: UInt64 = 0
      while let range = next() {
        var start = range.lowerBound
        while start < range.upperBound {
          var end = start
          var bytes = 0
          while end < range.upperBound, bytes < Self.batchBytes {
            bytes += Self.room(work.sizes[end])
            end += 1
          }
          sum &+= try Self.batch(work, start..<end, ring, buffer.bytes)
          start = end
        }
      }
      return sum
    }
  }

  /// One byte more than the size, so that growth would be seen, rounded up.
  private static func room(_ size: Int) -> Int { (size + 1 + 63) & ~63 }

  private static func batch(
    _ work: ReadingWork, _ range: Range<Int>, _ ring: OpaquePointer,
    _ buffer: UnsafeMutableRawBufferPointer
  ) throws -> UInt64 {
    var targets: [UnsafeMutableRawPointer?] = []
    var offset = 0
    for index in range {
      let room = room(work.sizes[index])
      targets.append(UnsafeMutableRawBufferPointer(rebasing: buffer[offset...]).baseAddress)
      offset += room
    }
    let capacities = range.map { UInt32(work.sizes[$0] + 1) }
    var sizes = [Int64](repeating: 0, count: range.count)
    // The names live until the call is over: the kernel reads them when it takes the requests.
    let names = range.map { strdup(work.paths[$0]) }
    defer { for name in names { free(name) } }
    let paths = names.map { UnsafePointer<CChar>($0) }
    let result = reference_ring_read_files(
      ring, paths, targets, capacities, &sizes, UInt32(range.count))
    guard result == 0 else { throw BenchError("error \(-result) of the ring") }
    var sum: UInt64 = 0
    for (position, index) in range.enumerated() {
      guard sizes[position] >= 0 else {
        throw BenchError("\(work.paths[index]) cannot be read: error \(-sizes[position])")
      }
      let bytes = UnsafeRawBufferPointer(
        start: targets[position], count: Int(sizes[position]))
      sum &+= ReadingWork.hash(bytes, piece: index)
    }
    return sum
  }
}
