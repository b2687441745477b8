import Glibc
import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnStore
import MuninnTestSupport

/// A repository whose snapshots are put together by hand, so that they can say anything.
final class HandMadeRepository {
  let directory: TemporaryDirectory
  let store: Store
  private var session: WriteSession
  private var data: ContainerWriter
  private var manifest: ContainerWriter

  init() throws {
    directory = try TemporaryDirectory()
    let storage = try LocalStorage(path: directory.file("repository"), create: true)
    store = try Store.create(in: storage, averageChunkSize: nil, isShared: false)
    session = try WriteSession(store: store)
    data = session.makeContainerWriter(isManifest: false)
    manifest = session.makeContainerWriter(isManifest: true)
  }

  deinit { session.end() }

  /// Stores a chunk, also one that is there already.
  func chunk(_ bytes: [UInt8]) throws -> ChunkReference { try put(bytes, into: data) }

  private func put(
    _ bytes: [UInt8], into writer: ContainerWriter
  ) throws(StoreError) -> ChunkReference {
    let location = try writer.nextLocation()
    let identity = bytes.withUnsafeBytes { store.identifying.identity(of: $0) }
    try bytes.withUnsafeBytesTyped { (raw) throws(StoreError) in
      try writer.append(raw, identity: identity)
    }
    return ChunkReference(identity: identity, length: UInt32(bytes.count), location: location)
  }

  /// A file of the given chunks and holes.
  func file(_ path: String, _ extents: [Extent]) -> ManifestEntry {
    var entry = ManifestEntry(path: Array(path.utf8), kind: .file)
    entry.mode = 0o644
    entry.size = extents.reduce(0) { $0 + $1.byteCount }
    entry.content = .extents(extents)
    entry.userID = geteuid()
    entry.groupID = getegid()
    return entry
  }

  /// A file whose extents are in a tree of pages.
  func longFile(_ path: String, _ extents: [Extent], perPage: Int) throws -> ManifestEntry {
    var entry = file(path, extents)
    var tree = TreeWriter()
    for start in stride(from: 0, to: extents.count, by: perPage) {
      let part = Array(extents[start..<min(start + perPage, extents.count)])
      let page = try put(ExtentPage.encoded(part), into: manifest)
      let reference = PageReference(
        firstKey: [], page: page, entryCount: UInt64(part.count),
        byteCount: part.reduce(0) { $0 + $1.byteCount })
      try tree.append(reference) { (page) throws(StoreError) in try put(page, into: manifest) }
    }
    let root = try tree.finish { (page) throws(StoreError) in try put(page, into: manifest) }
    entry.content = .tree(root, containerLists: [])
    return entry
  }

  func directory(_ path: String, mode: UInt16 = 0o755) -> ManifestEntry {
    var entry = ManifestEntry(path: Array(path.utf8), kind: .directory)
    entry.mode = mode
    entry.userID = geteuid()
    entry.groupID = getegid()
    return entry
  }

  func symlink(_ path: String, to target: String) -> ManifestEntry {
    var entry = ManifestEntry(path: Array(path.utf8), kind: .symlink)
    entry.linkTarget = Array(target.utf8)
    entry.userID = geteuid()
    entry.groupID = getegid()
    return entry
  }

  /// Writes a manifest page for each run of entries, and makes everything so far readable.
  func finish(_ pages: [[ManifestEntry]]) throws -> TreeRoot {
    var tree = TreeWriter()
    for entries in pages {
      var writer = EntryPageWriter()
      for entry in entries { _ = writer.append(entry) }
      let (key, count, bytes) = (writer.firstKey, writer.entryCount, writer.byteCount)
      let page = try put(writer.finish(), into: manifest)
      let reference = PageReference(
        firstKey: key, page: page, entryCount: UInt64(count), byteCount: bytes)
      try tree.append(reference) { (page) throws(StoreError) in try put(page, into: manifest) }
    }
    let root = try tree.finish { (page) throws(StoreError) in try put(page, into: manifest) }
    try data.finish()
    try manifest.finish()
    _ = try session.commit(
      SnapshotRecord(
        id: randomIdentifier(), root: root,
        containers: ContainerSet(base: nil, added: [], removed: [])), needed: [])
    session.end()
    session = try WriteSession(store: store)
    data = session.makeContainerWriter(isManifest: false)
    manifest = session.makeContainerWriter(isManifest: true)
    return root
  }

  var target: String { directory.file("target") }

  func restore(
    _ root: TreeRoot, threads: Int = 2, to target: String? = nil,
    cancellation: Cancellation = Cancellation(),
    _ adjust: (inout RestoreOptions) -> Void = { _ in },
    onRestored: (@Sendable ([UInt8], FileStatus) -> Void)? = nil
  ) throws(PipelineError) -> RestoreOutcome {
    var options = RestoreOptions(
      root: root, entryCount: 0, byteCount: 0, target: Array((target ?? self.target).utf8),
      threads: threads)
    adjust(&options)
    return try RestorePipeline(
      store: store, options: options, progress: ProgressCounters(), cancellation: cancellation,
      onRestored: onRestored
    ).run()
  }

  func read(_ path: String) -> [UInt8]? { try? readFile(target + "/" + path) }

  func exists(_ path: String) -> Bool {
    (try? FileCalls.status(at: AT_FDCWD, target + "/" + path, path: path)) != nil
  }
}

/// Everything about a tree that a restore must bring back, one line for each path.
///
/// Of content it has what is not zero, with its place, so that a hole and zeros are the same;
/// `isSparse` shows apart.
func describeTree(_ path: String) throws -> [String: String] {
  var lines: [String: String] = [:]
  var firstOfInode: [UInt64: String] = [:]
  let root = try FileCalls.openDirectory(at: AT_FDCWD, path, path: path)
  lines["."] =
    try describe(try FileCalls.status(of: root.descriptor, path: path))
    + attributes(try FileCalls.extendedAttributes(of: root.descriptor, path: path))
  try describe(root.descriptor, "", &lines, &firstOfInode)
  return lines
}

private func describe(
  _ directory: CInt, _ prefix: String, _ lines: inout [String: String],
  _ firstOfInode: inout [UInt64: String]
) throws {
  let listing = try DirectoryListing.read(directory, path: prefix)
  for index in 0..<listing.count {
    let name = listing.name(index)
    let path = prefix + displayPath(name)
    let text = name.map { CChar(bitPattern: $0) } + [0]
    let status = try FileCalls.status(at: directory, text, path: path)
    var line = try describe(status)
    line += attributes(try FileCalls.extendedAttributes(at: directory, text, path: path))
    if status.kind != .directory, status.linkCount > 1 {
      line += " same as \(firstOfInode[status.inode] ?? "itself")"
      if firstOfInode[status.inode] == nil { firstOfInode[status.inode] = path }
    }
    switch status.kind {
    case .file:
      let file = try FileCalls.openForReading(at: directory, text, path: path)
      line += try content(file.descriptor, status, path)
      if let flags = try? FileCalls.attributeFlags(of: file.descriptor, path: path) {
        line += " flags \(flags.intersection([.immutable, .appendOnly, .noDump]).rawValue)"
      }
    case .symlink:
      line += " -> " + displayPath(try FileCalls.readLink(at: directory, text, path: path))
    case .directory:
      let child = try FileCalls.openDirectory(at: directory, text, path: path)
      try describe(child.descriptor, path + "/", &lines, &firstOfInode)
    case .fifo, .socket: break
    case .characterDevice, .blockDevice: line += " device \(status.rdevMajor) \(status.rdevMinor)"
    }
    lines[path] = line
  }
}

private func describe(_ status: FileStatus) throws -> String {
  let size = status.kind == .file || status.kind == .symlink ? status.size : 0
  return "\(status.kind) \(String(status.mode, radix: 8)) \(status.userID):\(status.groupID)"
    + " \(size) \(status.modifiedNanoseconds)"
}

private func attributes(_ attributes: [ExtendedAttribute]) -> String {
  attributes.map { " \(displayPath($0.name))=\(displayPath($0.value))" }.joined()
}

private func content(_ descriptor: CInt, _ status: FileStatus, _ path: String) throws -> String {
  var sum: UInt64 = 0
  for range in try FileCalls.dataRanges(descriptor, size: status.size, path: path) {
    var offset = range.lowerBound & ~4095
    while offset < range.upperBound {
      let page = try readBytes(descriptor, at: offset, count: 4096, path: path)
      if page.contains(where: { $0 != 0 }) {
        let place = offset.multipliedReportingOverflow(by: 0x9E37_79B9_7F4A_7C15).partialValue
        let own = page.withUnsafeBytes { checksum($0) } ^ place
        sum = sum &* 31 &+ own
      }
      offset += 4096
    }
  }
  // A file that is mostly holes is kept that way.
  let isSparse = status.blocks512 * 512 < status.size / 2
  return " content \(sum)" + (isSparse ? " sparse" : "")
}
