package import MuninnDisk
import MuninnFormat
package import MuninnStore
import Synchronization

/// A snapshot, or a part of one, as a tar archive: entries in path order, names relative to the
/// snapshot's root. Nothing is kept in memory but the first names of hard links.
///
/// Sparse files come as GNU tar's sparse format 1.0, extended attributes as `SCHILY.xattr`. Sockets
/// have no place in an archive and are left out. Where a chunk is lost the file is filled up with
/// zeros to the size that its header has told, and reported.
package struct TarStream {
  private let store: Store
  private let options: RestoreOptions
  private let cancellation: Cancellation

  /// Of the options the root, the paths and the patterns count.
  package init(store: Store, options: RestoreOptions, cancellation: Cancellation) {
    self.store = store
    self.options = options
    self.cancellation = cancellation
  }

  /// Hands the archive to `write` piece by piece, until it returns false: then nobody reads on, and
  /// `cancelled` is thrown.
  package func run(
    _ counters: ProgressCounters, _ write: @escaping ([UInt8]) -> Bool
  ) throws(PipelineError) -> [PathFailure] {
    let selection = try PathSelection(
      options.paths, includes: options.includes, excludes: options.excludes)
    var walk = try ManifestWalk(
      options.root, selection: selection, needsOrdinals: false, store: store)
    var failures: [PathFailure] = []
    var archive = Archive(
      content: ContentReader(store: store), write: write, cancellation: cancellation)
    counters.phase = .restoring
    while let items = walk.nextPage({ failures.append($0) }) {
      for item in items {
        do throws(StoreError) {
          try archive.add(item.entry)
        } catch {
          failures.append(PathFailure(path: item.entry.path, message: error.description))
        }
        guard !archive.isOver, !cancellation.isCancelled else { throw PipelineError.cancelled }
        counters.add(entries: 1)
        counters.bytes.wrappingAdd(item.entry.size, ordering: .relaxed)
      }
      if let last = items.last { counters.setCurrentPath(last.entry.path) }
    }
    for path in walk.missing.sorted(by: pathPrecedes) {
      failures.append(PathFailure(path: path, message: "is not in the snapshot"))
    }
    archive.finish()
    guard !archive.isOver else { throw PipelineError.cancelled }
    counters.phase = .done
    return failures
  }
}

/// Writes the entries of an archive. Small pieces are collected, so that the reader is handed large
/// ones.
private struct Archive {
  private static let pieceByteCount = 1 << 18

  let content: ContentReader
  let write: ([UInt8]) -> Bool
  let cancellation: Cancellation
  /// Nobody reads on.
  private(set) var isOver = false
  private var pending: [UInt8] = []
  /// The first name in this archive of each group of hard links.
  private var firstNames: [[UInt8]: [UInt8]] = [:]

  init(
    content: ContentReader, write: @escaping ([UInt8]) -> Bool, cancellation: Cancellation
  ) {
    self.content = content
    self.write = write
    self.cancellation = cancellation
  }

  mutating func add(_ entry: ManifestEntry) throws(StoreError) {
    let path = entry.path.isEmpty ? Array("./".utf8) : entry.path
    if let first = firstName(of: entry) {
      var header = TarHeader(entry, path: path, type: UInt8(ascii: "1"))
      header.linkPath = first
      put(header.encoded())
      return
    }
    switch entry.kind {
    case .file: try addFile(entry)
    case .directory:
      put(
        TarHeader(
          entry, path: entry.path.isEmpty ? path : path + [0x2F], type: UInt8(ascii: "5")
        ).encoded())
    case .symlink:
      var header = TarHeader(entry, path: path, type: UInt8(ascii: "2"))
      header.linkPath = entry.linkTarget
      put(header.encoded())
    case .fifo: put(TarHeader(entry, path: path, type: UInt8(ascii: "6")).encoded())
    case .characterDevice: put(TarHeader(entry, path: path, type: UInt8(ascii: "3")).encoded())
    case .blockDevice: put(TarHeader(entry, path: path, type: UInt8(ascii: "4")).encoded())
    case .socket: break
    }
  }

  /// Remembers the first name of a group, and returns it for the others.
  private mutating func firstName(of entry: ManifestEntry) -> [UInt8]? {
    let group: [UInt8]
    switch entry.hardLink {
    case .none: return nil
    case .first: group = entry.path
    case .later(let first): group = first
    }
    if let known = firstNames[group] { return known }
    if entry.kind != .socket { firstNames[group] = entry.path }
    return nil
  }

  private mutating func addFile(_ entry: ManifestEntry) throws(StoreError) {
    let ranges = try content.dataRanges(of: entry.content)
    let dataCount = ranges.reduce(UInt64(0)) { $0 + UInt64($1.count) }
    var header = TarHeader(entry, path: entry.path, type: UInt8(ascii: "0"))
    header.size = entry.size
    if dataCount < entry.size {
      let map = Archive.sparseMap(ranges, size: entry.size)
      header.size = UInt64(map.count) + dataCount
      header.extend("GNU.sparse.major", "1".utf8)
      header.extend("GNU.sparse.minor", "0".utf8)
      header.extend("GNU.sparse.name", entry.path)
      header.extend("GNU.sparse.realsize", String(entry.size).utf8)
      let slash = entry.path.lastIndex(of: 0x2F).map { $0 + 1 } ?? 0
      header.path =
        entry.path[..<slash] + Array("GNUSparseFile.0/".utf8) + entry.path[slash...]
      put(header.encoded())
      put(map)
    } else {
      put(header.encoded())
    }
    var left = dataCount
    var failure: StoreError?
    do throws(StoreError) {
      try content.read(entry.content) { piece in
        guard case .bytes(let bytes) = piece else { return true }
        let part = bytes.prefix(Int(clamping: left))
        put(part)
        left -= UInt64(part.count)
        return !isOver && !cancellation.isCancelled
      }
    } catch {
      failure = error
    }
    // The header has told how much comes.
    let zeros = [UInt8](repeating: 0, count: Archive.pieceByteCount)
    while left > 0, !isOver, !cancellation.isCancelled {
      let part = zeros.prefix(Int(clamping: left))
      put(part)
      left -= UInt64(part.count)
    }
    put(TarHeader.padding(after: header.size))
    if let failure { throw failure }
  }

  /// The number of stretches, then each one's offset and length, a line each, padded to a block. A
  /// hole at the end is told by an empty stretch there.
  private static func sparseMap(_ ranges: [Range<UInt64>], size: UInt64) -> [UInt8] {
    var all = ranges
    if all.last?.upperBound != size { all.append(size..<size) }
    var text = "\(all.count)\n"
    for range in all { text += "\(range.lowerBound)\n\(range.count)\n" }
    return TarHeader.padded(Array(text.utf8))
  }

  private mutating func put(_ bytes: some Collection<UInt8>) {
    pending.append(contentsOf: bytes)
    if pending.count >= Archive.pieceByteCount { flush() }
  }

  private mutating func flush() {
    guard !pending.isEmpty, !isOver else { return }
    if !write(pending) { isOver = true }
    pending.removeAll(keepingCapacity: true)
  }

  /// Two empty blocks end an archive.
  mutating func finish() {
    put([UInt8](repeating: 0, count: 2 * TarHeader.blockByteCount))
    flush()
  }
}
