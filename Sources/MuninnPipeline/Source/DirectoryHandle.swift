internal import Glibc
internal import MuninnDisk
internal import Synchronization

/// A directory of the source within reach while anything in it is still to be looked at or read.
///
/// However many directories wait, few are open: one that was not used lately is closed, and opened
/// again by its name in the one above it when it is needed, if that is still the same directory. So
/// neither depth nor width takes descriptors, and a path may be longer than PATH_MAX.
final class DirectoryHandle: Sendable {
  private struct State {
    var open: OpenDirectory?
    var parent: DirectoryHandle?
  }

  /// In its parent; the root's is an absolute path.
  private let name: [UInt8]
  private let identity: DirectoryIdentity
  private let openDirectories: OpenDirectories
  private let state: Monitor<State>

  /// Takes over a directory that was just opened.
  init(
    _ file: consuming OpenFile, name: [UInt8], identity: DirectoryIdentity,
    parent: DirectoryHandle?, among openDirectories: OpenDirectories
  ) {
    self.name = name
    self.identity = identity
    self.openDirectories = openDirectories
    state = Monitor(State(open: OpenDirectory(file), parent: parent))
    openDirectories.insert(self)
  }

  /// Lets go of what lies above one by one: a deep chain would not fit on the stack.
  deinit {
    var above = takeParent()
    while above != nil, isKnownUniquelyReferenced(&above) { above = above?.takeParent() }
  }

  private func takeParent() -> DirectoryHandle? { state.withLock { $0.parent.take() } }

  /// Runs `body` with the open directory. Throws what opening it again reports; ESTALE where
  /// another directory has taken its place.
  func withDescriptor<R: ~Copyable>(
    _ body: (CInt) throws(DiskError) -> R
  ) throws(DiskError) -> R {
    let directory = try open()
    defer { withExtendedLifetime(directory) {} }
    return try body(directory.descriptor)
  }

  /// Closes the directory for now.
  fileprivate func close() {
    // Whoever is using it closes it afterwards.
    let closed = state.withLock { $0.open.take() }
    withExtendedLifetime(closed) {}
  }

  private func open() throws(DiskError) -> OpenDirectory {
    if let open = state.withLock({ $0.open }) { return open }
    var missing: [DirectoryHandle] = [self]
    var at = state.withLock { $0.parent }
    var base: OpenDirectory?
    while let handle = at {
      let (open, above) = handle.state.withLock { ($0.open, $0.parent) }
      base = open
      if open != nil { break }
      missing.append(handle)
      at = above
    }
    for handle in missing.reversed() { base = try handle.reopen(in: base) }
    guard let base else { throw DiskError(errno: ESTALE, operation: "open", path: "") }
    return base
  }

  private func reopen(in parent: OpenDirectory?) throws(DiskError) -> OpenDirectory {
    let shown = displayPath(name)
    let file: OpenFile
    if let parent {
      file = try withCString(name) { (name) throws(DiskError) in
        try FileCalls.openDirectory(at: parent.descriptor, name, path: shown)
      }
    } else {
      file = try openSourceRoot(name)
    }
    let status = try FileCalls.status(of: file.descriptor, path: shown)
    guard DirectoryIdentity(status) == identity else {
      throw DiskError(errno: ESTALE, operation: "open", path: shown)
    }
    let opened = OpenDirectory(file)
    state.withLock { $0.open = opened }
    openDirectories.insert(self)
    return opened
  }
}

/// Which directory one is, as long as a backup runs.
struct DirectoryIdentity: Sendable, Equatable {
  let device: UInt64
  let inode: UInt64

  init(_ status: FileStatus) {
    device = status.device
    inode = status.inode
  }
}

/// A descriptor that is closed when the last thread lets go of it.
final class OpenDirectory: Sendable {
  private let file: OpenFile
  var descriptor: CInt { file.descriptor }

  init(_ file: consuming OpenFile) { self.file = file }
}

/// The directories that are open at the same time: a fixed number, the oldest makes room.
final class OpenDirectories: Sendable {
  private struct State {
    var ring: [DirectoryHandle?]
    var next = 0
  }

  private let state: Monitor<State>

  init(capacity: Int) {
    Machine.growDescriptorTable()
    state = Monitor(State(ring: Array(repeating: nil, count: max(capacity, 1))))
  }

  /// An eighth of the descriptors that the process may have, at most 1024.
  static var usualCapacity: Int { min(max(Machine.maximumOpenFiles / 8, 16), 1024) }

  fileprivate func insert(_ handle: DirectoryHandle) {
    let oldest = state.withLock { state -> DirectoryHandle? in
      let oldest = state.ring[state.next]
      state.ring[state.next] = handle
      state.next = (state.next + 1) % state.ring.count
      return oldest
    }
    if oldest !== handle { oldest?.close() }
  }

  /// Closes all: handles and ring hold each other until then.
  func closeAll() {
    let handles = state.withLock { state in
      let handles = state.ring
      state.ring = Array(repeating: nil, count: handles.count)
      return handles
    }
    for handle in handles { handle?.close() }
  }
}

extension FileStatus {
  /// The device as one number.
  var device: UInt64 { UInt64(deviceMajor) << 32 | UInt64(deviceMinor) }
}

/// Opens the directory where a walk begins. It may itself be a symlink to what is meant, and its
/// path may be longer than PATH_MAX: then it is opened piece by piece.
func openSourceRoot(_ path: [UInt8]) throws(DiskError) -> OpenFile {
  let shown = displayPath(path)
  var rest = path[...]
  var above: CInt = AT_FDCWD
  var file: OpenFile?
  while rest.count > 4000 {
    guard let slash = rest.prefix(4000).lastIndex(of: 0x2F), slash > rest.startIndex else {
      throw DiskError(errno: ENAMETOOLONG, operation: "open", path: shown)
    }
    let next = try openDirectory(Array(rest[..<slash]), at: above, shown)
    rest = rest[slash...].drop { $0 == 0x2F }
    above = next.descriptor
    file = consume next
  }
  let root = try openDirectory(rest.isEmpty ? [0x2E] : Array(rest), at: above, shown)
  _ = consume file
  return root
}

private func openDirectory(
  _ path: [UInt8], at directory: CInt, _ shown: String
) throws(DiskError) -> OpenFile {
  try withCString(path) { (name) throws(DiskError) in
    try FileCalls.open(at: directory, name, flags: O_RDONLY | O_DIRECTORY, path: shown)
  }
}
