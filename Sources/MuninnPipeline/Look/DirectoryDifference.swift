import Glibc
package import MuninnDisk
package import MuninnFormat
package import MuninnStore

/// The differences between a snapshot and a directory as it is now, in path order.
package struct DirectoryDifference {
  private let store: Store
  /// Compare the contents of all files, not only their sizes and times.
  private let readsContent: Bool
  private let cancellation: Cancellation

  package init(store: Store, readsContent: Bool, cancellation: Cancellation) {
    self.store = store
    self.readsContent = readsContent
    self.cancellation = cancellation
  }

  /// Calls `body` with each difference, from the snapshot to the directory, until it returns false.
  /// Entries of the directory have what statx tells of them. What cannot be looked at is returned.
  package func run(
    _ root: TreeRoot, directory: [UInt8], _ body: (EntryDifference) -> Bool
  ) throws(PipelineError) -> [PathFailure] {
    var cursor = try fromStore { () throws(StoreError) in
      try EntryCursor(root, store: store)
    }
    var walk = try fromDisk { () throws(DiskError) in try DirectoryWalk(directory) }
    let reader = ChunkReader(store: store)
    var failures: [PathFailure] = []
    var there = walk.next()
    while !cancellation.isCancelled {
      let known = cursor.current()
      let order: Int
      switch (known, there) {
      case (nil, nil): return failures + cursor.failures + walk.failures
      case (_?, nil): order = -1
      case (nil, _?): order = 1
      case (let a?, let b?): order = comparePaths(a.path, b.path)
      }
      var difference: EntryDifference?
      if order < 0, let known {
        difference = EntryDifference(path: known.path, old: known, new: nil, aspects: [])
      } else if order > 0, let there {
        difference = EntryDifference(path: there.path, old: nil, new: there.entry, aspects: [])
      } else if let known, let there {
        var aspects = EntryAspects(metadataOf: known, and: there.entry)
        do throws(DiskError) {
          try look(deeper: known, there, &aspects, reader)
        } catch {
          failures.append(PathFailure(path: known.path, message: error.description))
        }
        if !aspects.isEmpty {
          difference = EntryDifference(
            path: known.path, old: known, new: there.entry, aspects: aspects)
        }
      }
      if order <= 0 { cursor.advance() }
      if order >= 0 { there = walk.next() }
      if let difference, !body(difference) { break }
    }
    if cancellation.isCancelled { throw PipelineError.cancelled }
    return failures + cursor.failures + walk.failures
  }

  private func look(
    deeper known: ManifestEntry, _ there: DirectoryWalk.Found, _ aspects: inout EntryAspects,
    _ reader: ChunkReader
  ) throws(DiskError) {
    guard known.kind == there.entry.kind, let directory = there.directory else { return }
    let shown = displayPath(known.path)
    let name = lastName(of: known.path)
    if known.kind == .symlink {
      let target = try FileCalls.readLink(at: directory.descriptor, name, path: shown)
      if target == known.linkTarget {
        aspects.remove(.linkTarget)
      } else {
        aspects.insert(.linkTarget)
      }
    }
    guard known.kind == .file, !aspects.contains(.content) else { return }
    guard readsContent else {
      // Another time is all that a changed file of the same size shows without being read.
      if aspects.contains(.modified) { aspects.insert(.content) }
      return
    }
    let file = Handle(
      try FileCalls.openForReading(at: directory.descriptor, name, path: shown))
    let cancellation = cancellation
    let comparison = ContentComparison(
      file, path: known.path, identifying: store.identifying, threads: Machine.coreCount,
      readsHoles: true, shouldStop: { cancellation.isCancelled })
    if comparison.problem(of: known.content, reader) != nil { aspects.insert(.content) }
  }
}

/// Goes through a directory tree in path order, without following links. Belongs to one thread.
struct DirectoryWalk {
  struct Found {
    let path: [UInt8]
    /// What statx tells.
    let entry: ManifestEntry
    /// The directory that it is in; nil for the root.
    let directory: Handle?
  }

  private struct Level {
    let path: [UInt8]
    let handle: Handle
    let listing: DirectoryListing
    var next = 0
  }

  private var stack: [Level] = []
  private var root: Found?
  private(set) var failures: [PathFailure] = []

  init(_ directory: [UInt8]) throws(DiskError) {
    let shown = displayPath(directory)
    let handle = Handle(
      try FileCalls.open(
        at: AT_FDCWD, cString(directory), flags: O_RDONLY | O_DIRECTORY, path: shown))
    let status = try FileCalls.status(of: handle.descriptor, path: shown)
    root = Found(
      path: [], entry: DirectoryWalk.entry([], status), directory: nil)
    stack.append(
      Level(
        path: [], handle: handle,
        listing: try DirectoryListing.read(handle.descriptor, path: shown)))
  }

  mutating func next() -> Found? {
    if let first = root {
      root = nil
      return first
    }
    while let level = stack.last {
      guard level.next < level.listing.count else {
        stack.removeLast()
        continue
      }
      stack[stack.count - 1].next += 1
      let name = level.listing.name(level.next)
      let path = level.path.isEmpty ? name : level.path + [0x2F] + name
      let shown = displayPath(path)
      do throws(DiskError) {
        let status = try FileCalls.status(
          at: level.handle.descriptor, cString(name), path: shown)
        if status.kind == .directory { try enter(path, level.handle) }
        return Found(
          path: path, entry: DirectoryWalk.entry(path, status), directory: level.handle)
      } catch {
        failures.append(PathFailure(path: path, message: error.description))
      }
    }
    return nil
  }

  private mutating func enter(_ path: [UInt8], _ parent: Handle) throws(DiskError) {
    let shown = displayPath(path)
    let handle = Handle(
      try FileCalls.openDirectory(at: parent.descriptor, lastName(of: path), path: shown))
    stack.append(
      Level(
        path: path, handle: handle,
        listing: try DirectoryListing.read(handle.descriptor, path: shown)))
  }

  private static func entry(_ path: [UInt8], _ status: FileStatus) -> ManifestEntry {
    var entry = ManifestEntry(path: path, kind: EntryKind(status.kind))
    entry.take(status)
    return entry
  }
}
