import MuninnDisk
import MuninnFormat

/// The ends of runs whose whole pages were written directly, for the page cache, all at once: each
/// such write waits until none of the direct ones is under way. Belongs to one thread.
struct RunEnds {
  private static let maximumCount = 64

  private(set) var file: SharedFile?
  /// Extents of the file that wait with them to be counted.
  var extentCount = 0
  private var bytes: [UInt8] = []
  private var places: [(offset: UInt64, bytes: Range<Int>)] = []

  var isFull: Bool { places.count >= Self.maximumCount }

  mutating func add(_ part: UnsafeRawBufferPointer, at offset: UInt64, of file: SharedFile) {
    self.file = file
    guard !part.isEmpty else { return }
    let start = bytes.count
    bytes.append(contentsOf: part)
    places.append((offset, start..<bytes.count))
  }

  func write(to descriptor: CInt, path: @autoclosure () -> String) throws(DiskError) {
    try bytes.withUnsafeBytesTyped { (raw) throws(DiskError) in
      for place in places {
        try FileCalls.write(
          descriptor, at: place.offset, UnsafeRawBufferPointer(rebasing: raw[place.bytes]),
          path: path())
      }
    }
  }

  mutating func removeAll() {
    file = nil
    extentCount = 0
    bytes.removeAll(keepingCapacity: true)
    places.removeAll(keepingCapacity: true)
  }
}
