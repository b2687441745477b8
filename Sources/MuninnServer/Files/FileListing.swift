import MuninnDisk

/// One file as a listing shows it.
struct ListedFile: Sendable {
  let path: TreePath
  let status: FileStatus
  let metadata: [(name: String, value: String)]
}

/// Goes through a tree in path order, component by component, with the names of the open
/// directories in memory and nothing else. All calls block.
struct FileListing {
  private struct Level {
    let names: [[UInt8]]
    var listing: DirectoryListing
    var next = 0
  }

  private let tree: FileTree
  /// `/a/b` as bytes: what a path must begin with.
  private let prefix: [UInt8]
  private var levels: [Level] = []

  init(_ tree: FileTree, startsWith prefix: [UInt8]) {
    self.tree = tree
    self.prefix = prefix
  }

  /// The regular files that begin with the prefix, from number `start` on, at most `count`.
  mutating func page(start: Int, count: Int) throws(Refusal) -> [ListedFile] {
    var found: [ListedFile] = []
    var skipped = 0
    try descend([])
    while !levels.isEmpty, found.count < count {
      let level = levels[levels.count - 1]
      guard level.next < level.listing.count else {
        levels.removeLast()
        continue
      }
      levels[levels.count - 1].next += 1
      let name = level.listing.name(level.next)
      if name.starts(with: TreePath.reservedPrefix.utf8) { continue }
      let names = level.names + [name]
      let path = TreePath.bytes(names[...])
      let isBelow = path.starts(with: prefix)
      guard isBelow || prefix.starts(with: path + [0x2F]) else { continue }
      var kind = level.listing.typeHint(level.next)
      if kind == nil { kind = try status(of: names)?.kind }
      if kind == .directory {
        try descend(names)
      } else if kind == .file, isBelow {
        skipped += 1
        if skipped > start, let file = try listed(TreePath(names: names)) { found.append(file) }
      }
    }
    return found
  }

  /// A directory that vanished or may not be read is as good as empty.
  private mutating func descend(_ names: [[UInt8]]) throws(Refusal) {
    do throws(Refusal) {
      let directory = try tree.directory(names[...])
      let listing = try onFile(TreePath.text(names[...])) { () throws(DiskError) in
        try DirectoryListing.read(directory.descriptor, path: TreePath.text(names[...]))
      }
      levels.append(Level(names: names, listing: listing))
    } catch {
      if names.isEmpty || error.status == .internalServerError { throw error }
    }
  }

  private func status(of names: [[UInt8]]) throws(Refusal) -> FileStatus? {
    let path = TreePath(names: names)
    do throws(Refusal) {
      return try tree.status(of: path.name, in: try tree.directory(path.parent), path.text)
    } catch {
      if error.status == .internalServerError { throw error }
      return nil
    }
  }

  private func listed(_ path: TreePath) throws(Refusal) -> ListedFile? {
    do throws(Refusal) {
      let (file, status) = try tree.file(path)
      let attributes = try onFile(path.text) { () throws(DiskError) in
        try FileCalls.extendedAttributes(of: file.descriptor, path: path.text)
      }
      return ListedFile(
        path: path, status: status, metadata: FileMetadata.metadata(in: attributes))
    } catch {
      if error.status == .internalServerError { throw error }
      // Shown all the same: it is there, though this server may not read it.
      guard error.status == .forbidden, let status = try status(of: path.names) else { return nil }
      return ListedFile(path: path, status: status, metadata: [])
    }
  }
}
