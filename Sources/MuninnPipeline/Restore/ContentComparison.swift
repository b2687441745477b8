import MuninnDisk
import MuninnFormat
import MuninnStore
import Synchronization

/// Compares a file of the target with what the snapshot says of it, by the identities of its
/// chunks.
final class ContentComparison: Sendable {
  /// What a thread compares at least; less is not worth a thread.
  private static let leastByteCountPerThread: UInt64 = 4 << 20

  private let file: Handle
  private let path: [UInt8]
  private let threads: Int
  /// Whether data in the way of a hole is given back here and now.
  private let punches: Bool
  private let identifying: Identifying
  private let shouldStop: @Sendable () -> Bool
  /// Called with the number of bytes where a chunk differs and there is more than zeros.
  private let onDifference: @Sendable (UInt64) -> Void
  /// Whether data where the snapshot has a hole is good as long as it is zeros.
  private let readsHoles: Bool

  init(
    _ file: Handle, path: [UInt8], identifying: Identifying, threads: Int = 1,
    punches: Bool = false, readsHoles: Bool = false, shouldStop: @escaping @Sendable () -> Bool,
    onDifference: @escaping @Sendable (UInt64) -> Void = { _ in }
  ) {
    self.file = file
    self.path = path
    self.identifying = identifying
    self.threads = threads
    self.punches = punches
    self.readsHoles = readsHoles
    self.shouldStop = shouldStop
    self.onDifference = onDifference
  }

  /// Whether the file has these bytes.
  func has(_ bytes: [UInt8], at offset: UInt64) -> Bool {
    let buffer = Buffer(capacity: max(bytes.count, 1))
    let whole = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<bytes.count])
    let got = try? FileCalls.read(
      file.descriptor, at: offset, into: whole, path: displayPath(path))
    return got == bytes.count && whole.elementsEqual(bytes)
  }

  /// Of each extent, the first of which begins at `offset`, whether the file has it.
  func matches(_ extents: [Extent], at offset: UInt64) -> [Bool] {
    var offsets: [UInt64] = []
    offsets.reserveCapacity(extents.count)
    var end = offset
    for extent in extents {
      offsets.append(end)
      end = end.addingReportingOverflow(extent.byteCount).partialValue
    }
    let total = extents.reduce(UInt64(0)) { $0 &+ ($1.chunkByteCount) }
    let parts = max(
      1, min(threads, Int(clamping: total / ContentComparison.leastByteCountPerThread)))
    guard parts > 1 else {
      return compare(extents[...], offsets)
    }
    let results = Monitor([Int: [Bool]]())
    let step = (extents.count + parts - 1) / parts
    let places = offsets
    WorkerThreads.run(count: parts, name: "muninn-compare") { part in
      let range = min(part * step, extents.count)..<min((part + 1) * step, extents.count)
      let own = compare(extents[range], places)
      results.withLock { $0[part] = own }
    }
    return results.withLock { results in (0..<parts).flatMap { results[$0] ?? [] } }
  }

  private func compare(
    _ extents: ArraySlice<Extent>, _ offsets: [UInt64]
  ) -> [Bool] {
    var buffer = Buffer(capacity: 1 << 18)
    var result: [Bool] = []
    result.reserveCapacity(extents.count)
    for index in extents.indices {
      if shouldStop() {
        result.append(false)
        continue
      }
      let extent = extents[index]
      let isSame: Bool
      switch extent {
      case .hole(let count): isSame = isHole(offsets[index], count)
      case .chunk(let chunk):
        if buffer.capacity < Int(chunk.length) { buffer = Buffer(capacity: Int(chunk.length)) }
        isSame = isChunk(chunk, at: offsets[index], buffer)
      }
      result.append(isSame)
    }
    return result
  }

  private func isChunk(
    _ chunk: ChunkReference, at offset: UInt64, _ buffer: borrowing Buffer
  ) -> Bool {
    let wanted = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<Int(chunk.length)])
    let read = try? FileCalls.read(
      file.descriptor, at: offset, into: wanted, path: displayPath(path))
    guard let got = read else { return false }
    let bytes = UnsafeRawBufferPointer(rebasing: wanted[..<got])
    if got == wanted.count, identifying.identity(of: bytes) == chunk.identity {
      return true
    }
    // What is not zero was written before, and is written again.
    if bytes.contains(where: { $0 != 0 }) { onDifference(UInt64(got)) }
    return false
  }

  /// Whether the range is a hole, or could be made one. A hole is never written, so there is no
  /// other time for it.
  private func isHole(_ offset: UInt64, _ count: UInt64) -> Bool {
    let end = offset.addingReportingOverflow(count)
    guard !end.overflow else { return false }
    let data: (start: UInt64, end: UInt64)?
    do throws(DiskError) {
      data = try FileCalls.nextData(file.descriptor, from: offset, path: displayPath(path))
    } catch {
      return false
    }
    guard let data, data.start < end.partialValue else { return true }
    if readsHoles { return isZero(max(data.start, offset), end.partialValue) }
    guard punches else { return false }
    if (try? FileCalls.punchHole(file.descriptor, at: offset, count, path: displayPath(path)))
      == true
    {
      return true
    }
    return writeZeros(offset, count)
  }

  private func isZero(_ start: UInt64, _ end: UInt64) -> Bool {
    let buffer = Buffer(capacity: 1 << 18)
    var at = start
    while at < end {
      let count = Int(min(end - at, UInt64(buffer.capacity)))
      let part = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<count])
      let got = try? FileCalls.read(file.descriptor, at: at, into: part, path: displayPath(path))
      guard got == count, part.allSatisfy({ $0 == 0 }) else { return false }
      at += UInt64(count)
    }
    return true
  }

  /// Where the file system has no holes: zeros over what is there.
  private func writeZeros(_ offset: UInt64, _ count: UInt64) -> Bool {
    let zeros = [UInt8](repeating: 0, count: 1 << 16)
    var at = offset
    do throws(DiskError) {
      let size = try FileCalls.status(of: file.descriptor, path: displayPath(path)).size
      let end = min(offset + count, size)
      while at < end {
        let part = Array(zeros.prefix(Int(min(end - at, UInt64(zeros.count)))))
        try part.withUnsafeBytesTyped { (raw) throws(DiskError) in
          try FileCalls.write(file.descriptor, at: at, raw, path: displayPath(path))
        }
        at += UInt64(part.count)
      }
      return true
    } catch {
      return false
    }
  }
}

extension ContentComparison {
  /// Says where the file differs from a content of the same size; nil where it does not.
  func problem(of content: EntryContent, _ reader: ChunkReader) -> String? {
    switch content {
    case .none: return nil
    case .inline(let bytes): return has(bytes, at: 0) ? nil : "its content differs"
    case .extents(let extents): return difference(extents, at: 0)
    case .tree(let root, _):
      var offset: UInt64 = 0
      do throws(StoreError) {
        var tree = try TreeReader(root, reader: reader)
        while let leaf = try tree.nextLeaf() {
          let extents = try reader.extents(of: leaf)
          if let problem = difference(extents, at: offset) { return problem }
          offset = extents.reduce(offset) { $0 &+ $1.byteCount }
        }
        return nil
      } catch {
        return error.description
      }
    }
  }

  private func difference(_ extents: [Extent], at offset: UInt64) -> String? {
    guard let first = matches(extents, at: offset).firstIndex(of: false) else { return nil }
    let start = extents[..<first].reduce(offset) { $0 &+ $1.byteCount }
    return "its content differs in the \(extents[first].byteCount) bytes from \(start) on"
  }
}

extension Extent {
  fileprivate var chunkByteCount: UInt64 {
    if case .chunk(let chunk) = self { UInt64(chunk.length) } else { 0 }
  }
}
