internal import Glibc
internal import MuninnDisk

/// A directory that stays open while anything below it is still to be opened or read.
final class DirectoryHandle: Sendable {
  private let file: OpenFile
  var descriptor: CInt { file.descriptor }

  init(_ file: consuming OpenFile) { self.file = file }
}

/// Which names below a directory are wanted; a leaf wants everything.
struct PathTrie: Sendable {
  var children: [(name: [UInt8], trie: PathTrie)] = []
  var isLeaf = false

  mutating func insert(_ components: ArraySlice<[UInt8]>) {
    guard let first = components.first else {
      isLeaf = true
      return
    }
    let rest = components.dropFirst()
    if let known = children.firstIndex(where: { $0.name == first }) {
      children[known].trie.insert(rest)
      return
    }
    var trie = PathTrie()
    trie.insert(rest)
    children.append((first, trie))
    children.sort { $0.name.lexicographicallyPrecedes($1.name) }
  }
}

/// One entry of a listed directory.
struct SourceEntry: Sendable {
  let status: FileStatus?
  /// Why there is no status.
  let failure: DiskError?
}

/// What a directory holds: names in order, and what statx says of each.
struct DirectoryContent: Sendable {
  let handle: DirectoryHandle
  let names: [[UInt8]]
  let entries: [SourceEntry]
  /// The node of each entry that is a directory.
  let children: [DirectoryNode?]
}

/// A directory of the source, listed once, by whichever thread claims it first.
final class DirectoryNode: Sendable {
  enum State {
    case idle
    case claimed
    case listed(Result<DirectoryContent, DiskError>)
  }

  /// Below the root; empty for the root itself.
  let path: [UInt8]
  /// The directory that holds this one, and this one's name in it; the root's name is its absolute
  /// path.
  private let parent: DirectoryHandle?
  private let name: [UInt8]
  private let wanted: PathTrie?
  private let state = Monitor<State>(.idle)

  init(path: [UInt8], parent: DirectoryHandle?, name: [UInt8], wanted: PathTrie?) {
    self.path = path
    self.parent = parent
    self.name = name
    self.wanted = wanted
  }

  /// Lists the directory here unless another thread does or did.
  func listIfIdle(skip: (_ path: [UInt8], _ isDirectory: Bool) -> Bool) -> DirectoryContent? {
    let isMine = state.withLock { state -> Bool in
      guard case .idle = state else { return false }
      state = .claimed
      return true
    }
    guard isMine else { return nil }
    let result: Result<DirectoryContent, DiskError>
    do throws(DiskError) { result = .success(try list(skip: skip)) } catch {
      result = .failure(error)
    }
    state.update { $0 = .listed(result) }
    return try? result.get()
  }

  /// The content, from whoever lists it.
  func content() throws(DiskError) -> DirectoryContent {
    let result = state.wait(until: { if case .listed = $0 { true } else { false } }) {
      state -> Result<DirectoryContent, DiskError> in
      guard case .listed(let result) = state else {
        return .failure(DiskError(errno: EINVAL, operation: "list", path: ""))
      }
      // The listing is consumed once: memory is given back as the walk goes on.
      state = .claimed
      return result
    }
    return try result.get()
  }

  private func list(
    skip: (_ path: [UInt8], _ isDirectory: Bool) -> Bool
  ) throws(DiskError) -> DirectoryContent {
    let handle = DirectoryHandle(
      try withCString(name) { (name) throws(DiskError) in
        // A source path itself may be a symlink to the directory that is meant; below it none is
        // followed.
        try parent == nil
          ? FileCalls.open(
            at: AT_FDCWD, name, flags: O_RDONLY | O_DIRECTORY, path: displayPath(self.name))
          : FileCalls.openDirectory(
            at: parent?.descriptor ?? AT_FDCWD, name, path: displayPath(path))
      })
    var names: [[UInt8]] = []
    var entries: [SourceEntry] = []
    var children: [DirectoryNode?] = []
    func add(_ name: [UInt8], _ pointer: UnsafePointer<CChar>, _ wanted: PathTrie?) {
      let entryPath = path.isEmpty ? name : path + [0x2F] + name
      let entry: SourceEntry
      do throws(DiskError) {
        let status = try FileCalls.status(
          at: handle.descriptor, pointer, path: displayPath(entryPath))
        entry = SourceEntry(status: status, failure: nil)
      } catch {
        entry = SourceEntry(status: nil, failure: error)
      }
      let isDirectory = entry.status?.kind == .directory
      if skip(entryPath, isDirectory) { return }
      names.append(name)
      entries.append(entry)
      children.append(
        isDirectory
          ? DirectoryNode(path: entryPath, parent: handle, name: name, wanted: wanted) : nil)
    }
    if let wanted, !wanted.isLeaf {
      for child in wanted.children {
        withCString(child.name) { add(child.name, $0, child.trie.isLeaf ? nil : child.trie) }
      }
    } else {
      let listing = try DirectoryListing.read(handle.descriptor, path: displayPath(path))
      names.reserveCapacity(listing.count)
      entries.reserveCapacity(listing.count)
      children.reserveCapacity(listing.count)
      for index in 0..<listing.count {
        listing.withName(index) { pointer, length in
          add([UInt8](UnsafeRawBufferPointer(start: pointer, count: length)), pointer, nil)
        }
      }
    }
    return DirectoryContent(handle: handle, names: names, entries: entries, children: children)
  }
}

/// Hands `bytes` with a NUL behind them to `body`.
func withCString<R: ~Copyable, E: Error>(
  _ bytes: [UInt8], _ body: (UnsafePointer<CChar>) throws(E) -> R
) throws(E) -> R {
  try withUnsafeTemporaryAllocation(of: CChar.self, capacity: bytes.count + 1) {
    buffer throws(E) -> R in
    for (index, byte) in bytes.enumerated() { buffer[index] = CChar(bitPattern: byte) }
    buffer[bytes.count] = 0
    // Sound: the allocation has at least one element, so that there is an address.
    return try body(UnsafePointer(buffer.baseAddress.unsafelyUnwrapped))
  }
}
