import CMuninn
import Glibc
import MuninnDisk

/// Files made from a seed: the same bytes under the same names for the same parameters everywhere.
///
/// Sizes are exponentially distributed around the mean. Content is made of pieces of at most 1 MiB;
/// a duplicate piece, or a duplicate file where it is smaller than that, is an earlier one again.
struct GeneratedTree {
  var byteCount: Int
  var fileCount: Int
  /// Share of the bytes that repeat others within 32 KiB, 0 to 1.
  var compressible: Double
  /// Share of the pieces that occurred before, 0 to 1.
  var duplicate: Double
  var seed: UInt64

  static let pieceBytes = 1 << 20
  static let filesPerDirectory = 100

  /// A run of bytes: the first `length` of what `seed` gives.
  private struct Piece {
    let seed: UInt64
    let length: Int
  }

  struct Written: Encodable {
    let files: Int
    let byteCount: Int
    /// Of all content in the order of the names.
    let hash: String
  }

  /// Makes `directory`, which must be absent or empty, and the files in it. Of the files' contents,
  /// the share `changed` is another than without it.
  @discardableResult
  func write(to directory: String, changed: Double = 0) throws -> Written {
    let pieces = plan(changed: changed).map(\.pieces)
    return try write(pieces.enumerated().map { ($0.offset, $0.element) }, to: directory)
  }

  /// Writes the files that `changed` makes other than they were, or as they were again.
  func rewrite(in directory: String, changed: Double, isChanged: Bool) throws {
    let planned = plan(changed: changed)
    let original = plan(changed: 0)
    try write(
      planned.indices.filter { planned[$0].isChanged }
        .map { ($0, isChanged ? planned[$0].pieces : original[$0].pieces) },
      to: directory)
  }

  @discardableResult
  private func write(_ files: [(Int, [Piece])], to directory: String) throws -> Written {
    let buffer = Buffer(capacity: Self.pieceBytes)
    var written = 0
    var hash: UInt64 = 0
    for (index, pieces) in files {
      let folder = "\(directory)/d\(Self.padded(index / Self.filesPerDirectory, 5))"
      if index % Self.filesPerDirectory == 0 {
        _ = try LocalStorage(path: folder, create: true)
      }
      let name = "\(folder)/f\(Self.padded(index, 8))"
      let file = try FileCalls.open(
        at: AT_FDCWD, name, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644, path: name)
      for piece in pieces where piece.length > 0 {
        let bytes = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<piece.length])
        GeneratedData.fill(bytes, seed: piece.seed, compressible: compressible)
        let plain = UnsafeRawBufferPointer(bytes)
        try FileCalls.write(file.descriptor, plain, path: name)
        let sum = mn_checksum(plain.assumingMemoryBound(to: UInt8.self).baseAddress, plain.count)
        hash = (hash ^ sum) &* 0x9E37_79B9_7F4A_7C15
        written += piece.length
      }
    }
    return Written(files: files.count, byteCount: written, hash: String(hash, radix: 16))
  }

  private func plan(changed: Double) -> [(pieces: [Piece], isChanged: Bool)] {
    var generator = SeededGenerator(seed: seed)
    var known: [Piece] = []
    let sizes = sizes(&generator)
    return sizes.indices.map { index in
      var pieces: [Piece] = []
      // Drawn whether used or not, so that the other files stay as they are.
      let change = generator.next()
      let isChanged = Self.unit(change) < changed
      var rest = sizes[index]
      while rest > 0 {
        let length = min(rest, Self.pieceBytes)
        let (draw, which, fresh) = (generator.next(), generator.next(), generator.next())
        let made = Piece(seed: fresh, length: length)
        var piece = Piece(seed: isChanged ? ~fresh : fresh, length: length)
        if Self.unit(draw) < duplicate, !known.isEmpty {
          let earlier = known[Int(which % UInt64(known.count))]
          let isWholeFile = sizes[index] <= Self.pieceBytes
          piece = Piece(
            seed: earlier.seed, length: isWholeFile ? earlier.length : min(length, earlier.length))
          rest -= isWholeFile ? rest : piece.length
        } else {
          rest -= length
          known.append(made)
        }
        pieces.append(piece)
      }
      return (pieces, isChanged)
    }
  }

  private func sizes(_ generator: inout SeededGenerator) -> [Int] {
    let weights = (0..<fileCount).map { _ in -log(1 - Self.unit(generator.next())) }
    let sum = max(weights.reduce(0, +), 1e-9)
    return weights.map { Int(Double(byteCount) * $0 / sum) }
  }

  private static func unit(_ word: UInt64) -> Double { Double(word >> 11) / 9_007_199_254_740_992 }

  private static func padded(_ number: Int, _ digits: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
  }
}
