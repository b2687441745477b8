import MuninnDisk

/// The directories of the target that are being filled.
///
/// Invariant: every directory is opened by its name in its parent's descriptor, without following a
/// symlink, from the target itself down. So nothing that changes in the tree meanwhile leads
/// outside of it, and a path may be longer than PATH_MAX.
final class TargetTree: Sendable {
  /// A directory's number; 0 is the target itself.
  typealias ID = UInt64

  private struct Node {
    let parent: ID
    let name: [CChar]
    let path: [UInt8]
  }

  private struct State {
    var nodes: [ID: Node] = [:]
    var nextID: ID = 1
  }

  let root: Handle
  private let state = Monitor(State())
  private let handles = HandleCache(capacity: 256)

  init(root: consuming OpenFile) { self.root = Handle(root) }

  /// Makes a directory that only its owner can enter; its metadata comes when it is full.
  func makeDirectory(_ path: [UInt8], in parent: ID) throws(DiskError) -> ID {
    let name = lastName(of: path)
    let above = try handle(parent)
    try FileCalls.makeDirectory(
      at: above.descriptor, name, mode: 0o700, path: displayPath(path))
    return add(path, name, in: parent)
  }

  /// What has a name; nil where nothing has.
  func status(of path: [UInt8], in parent: ID) throws(DiskError) -> FileStatus? {
    let above = try handle(parent)
    do throws(DiskError) {
      return try FileCalls.status(
        at: above.descriptor, lastName(of: path), path: displayPath(path))
    } catch {
      if error.isNotFound { return nil }
      throw error
    }
  }

  /// Enters a directory that is there already.
  func adoptDirectory(_ path: [UInt8], in parent: ID) throws(DiskError) -> ID {
    let name = lastName(of: path)
    let above = try handle(parent)
    let opened = Handle(
      try FileCalls.openDirectory(at: above.descriptor, name, path: displayPath(path)))
    let id = add(path, name, in: parent)
    handles.insert(opened, for: id)
    return id
  }

  private func add(_ path: [UInt8], _ name: [CChar], in parent: ID) -> ID {
    state.withLock { state in
      let id = state.nextID
      state.nextID += 1
      state.nodes[id] = Node(parent: parent, name: name, path: path)
      return id
    }
  }

  /// Forgets a directory that is complete.
  func forget(_ id: ID) {
    state.withLock { _ = $0.nodes.removeValue(forKey: id) }
    handles.remove(id)
  }

  /// The open directory. Goes up to the nearest one that is open, then down, opening each.
  func handle(_ id: ID) throws(DiskError) -> Handle {
    if id == 0 { return root }
    if let known = handles.handle(id) { return known }
    var missing: [(id: ID, node: Node)] = []
    var at = id
    var open: Handle?
    while open == nil {
      guard let node = state.withLock({ $0.nodes[at] }) else {
        throw DiskError(errno: 2, operation: "open", path: "a directory that is complete")
      }
      missing.append((at, node))
      at = node.parent
      open = at == 0 ? root : handles.handle(at)
    }
    var current = open ?? root
    for (id, node) in missing.reversed() {
      current = Handle(
        try FileCalls.openDirectory(
          at: current.descriptor, node.name, path: displayPath(node.path)))
      handles.insert(current, for: id)
    }
    return current
  }

  /// Opens a directory by its path, component by component from the target.
  func openDirectory(_ path: [UInt8]) throws(DiskError) -> Handle {
    let parent = try openParent(of: path)
    return Handle(
      try FileCalls.openDirectory(
        at: parent.descriptor, lastName(of: path), path: displayPath(path)))
  }

  /// Opens the directory that holds `path`, component by component from the target.
  func openParent(of path: [UInt8]) throws(DiskError) -> Handle {
    var current = root
    var start = 0
    for index in path.indices where path[index] == 0x2F {
      let name = cString(path[start..<index])
      current = Handle(
        try FileCalls.openDirectory(
          at: current.descriptor, name, path: displayPath(path[..<index])))
      start = index + 1
    }
    return current
  }
}

/// A NUL-terminated copy. The bytes hold no NUL: paths are checked when they are decoded.
func cString(_ bytes: some Collection<UInt8>) -> [CChar] {
  [CChar](unsafeUninitializedCapacity: bytes.count + 1) { buffer, count in
    for byte in bytes {
      buffer[count] = CChar(bitPattern: byte)
      count += 1
    }
    buffer[count] = 0
    count += 1
  }
}

/// The last component, NUL-terminated.
func lastName(of path: [UInt8]) -> [CChar] {
  guard let slash = path.lastIndex(of: 0x2F) else { return cString(path) }
  return cString(path[(slash + 1)...])
}
