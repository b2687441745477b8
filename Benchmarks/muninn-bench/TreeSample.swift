import Glibc
import MuninnDisk

/// Some of a tree's bytes for the kernels: evenly over its files, and over the data of large ones.
enum TreeSample {
  private static let pieceBytes = 1 << 20

  private struct Piece {
    let path: String
    let offset: UInt64
    let count: Int
  }

  /// Exactly `byteCount` bytes; a small tree is repeated to that.
  static func load(_ files: [SourceFiles.Entry], byteCount: Int) -> SharedBytes {
    let sample = SharedBytes(capacity: byteCount)
    let all = files.flatMap { pieces(of: $0) }
    let total = all.reduce(0) { $0 + $1.count }
    var filled = 0
    // Whole pieces, every so manieth of them.
    let step = max(1, total / max(byteCount, 1))
    for start in 0..<step where filled < byteCount {
      for index in stride(from: start, to: all.count, by: step) where filled < byteCount {
        filled += read(all[index], into: rest(of: sample, from: filled))
      }
    }
    let loaded = filled
    if loaded == 0 { sample.storage.bytes.initializeMemory(as: UInt8.self, repeating: 0) }
    while loaded > 0, filled < byteCount {
      let count = min(loaded, byteCount - filled)
      rest(of: sample, from: filled).copyMemory(
        from: UnsafeRawBufferPointer(rebasing: sample.storage.bytes[..<count]))
      filled += count
    }
    return sample
  }

  private static func rest(
    of sample: SharedBytes, from start: Int
  ) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(rebasing: sample.storage.bytes[start...])
  }

  /// The data of a file without its holes.
  private static func pieces(of file: SourceFiles.Entry) -> [Piece] {
    guard file.size > UInt64(pieceBytes) else {
      return [Piece(path: file.path, offset: 0, count: Int(file.size))]
    }
    let path = file.path
    guard let opened = try? FileCalls.openForReading(at: AT_FDCWD, path, path: path),
      let ranges = try? FileCalls.dataRanges(opened.descriptor, size: file.size, path: path)
    else { return [] }
    return ranges.flatMap { range in
      stride(from: range.lowerBound, to: range.upperBound, by: pieceBytes).map { offset in
        let count = min(pieceBytes, Int(clamping: range.upperBound - offset))
        return Piece(path: path, offset: offset, count: count)
      }
    }
  }

  private static func read(_ piece: Piece, into target: UnsafeMutableRawBufferPointer) -> Int {
    let path = piece.path
    guard let file = try? FileCalls.openForReading(at: AT_FDCWD, path, path: path) else { return 0 }
    let wanted = UnsafeMutableRawBufferPointer(rebasing: target.prefix(piece.count))
    return (try? FileCalls.read(file.descriptor, at: piece.offset, into: wanted, path: path)) ?? 0
  }
}

/// Memory that several threads read: it is filled before they start and does not change while they
/// run.
final class SharedBytes: Sendable {
  let storage: Buffer

  init(capacity: Int) { storage = Buffer(capacity: capacity) }

  init(inHugePages capacity: Int) { storage = Buffer(inHugePages: capacity) }
}
