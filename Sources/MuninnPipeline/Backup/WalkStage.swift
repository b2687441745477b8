internal import MuninnDisk

/// An entry of the source in walk order, with what is needed to open it.
struct WalkedEntry: Sendable {
  /// Below the root; empty for the root.
  let path: [UInt8]
  let name: [UInt8]
  let status: FileStatus
  /// The directory that holds it; for the root, the root itself.
  let directory: DirectoryHandle
  /// The entry itself where it is a directory that could be listed.
  let own: DirectoryHandle?
}

/// Walks the source depth first, in the order of paths, while other threads list directories ahead
/// of it.
///
/// Memory is bounded: threads run ahead until `maximumAhead` entries are listed and not yet
/// consumed. The consumer never waits for a directory that nobody lists: it lists an idle one
/// itself.
final class WalkStage: Sendable {
  private struct Ahead {
    /// Directories to list; the next one in path order is last.
    var pending: [DirectoryNode] = []
    var entryCount = 0
    var isStopped = false
  }

  private static let maximumAhead = 1 << 16

  private let ahead = Monitor(Ahead())
  private let excludes: ExcludePatterns
  private let root: DirectoryNode

  /// `wanted` is nil where the root is the one source directory itself.
  init(rootPath: [UInt8], wanted: PathTrie?, excludes: ExcludePatterns) {
    self.excludes = excludes
    root = DirectoryNode(path: [], parent: nil, name: rootPath, wanted: wanted)
  }

  private func skip(_ path: [UInt8], _ isDirectory: Bool) -> Bool {
    excludes.matches(path, isDirectory: isDirectory)
  }

  /// The body of a thread that lists ahead; returns when the walk has ended.
  func runAhead() {
    while let node = next() {
      guard let content = node.listIfIdle(skip: skip) else { continue }
      publish(content)
    }
  }

  private func next() -> DirectoryNode? {
    ahead.wait(until: {
      $0.isStopped || (!$0.pending.isEmpty && $0.entryCount < WalkStage.maximumAhead)
    }) { $0.isStopped ? nil : $0.pending.popLast() }
  }

  private func publish(_ content: DirectoryContent) {
    ahead.update { state in
      state.entryCount += content.names.count
      for child in content.children.reversed() {
        if let child { state.pending.append(child) }
      }
    }
  }

  /// Lets the threads that list ahead return.
  func stop() { ahead.update { $0.isStopped = true } }

  private struct Frame {
    let content: DirectoryContent
    var next = 0
    let path: [UInt8]
  }

  /// Calls `visit` with each entry in path order, and `fail` with each path that could not be
  /// looked at.
  func run(
    visit: (WalkedEntry) throws(PipelineError) -> Void, fail: (PathFailure) -> Void
  ) throws(PipelineError) {
    let content: DirectoryContent
    do throws(DiskError) { content = try listed(root) } catch { throw PipelineError(error) }
    let status = try fromDisk { () throws(DiskError) in
      try FileCalls.status(of: content.handle.descriptor, path: "the source's root")
    }
    try visit(
      WalkedEntry(
        path: [], name: [], status: status, directory: content.handle, own: content.handle))
    var stack = [Frame(content: content, path: [])]
    while var frame = stack.popLast() {
      let index = frame.next
      guard index < frame.content.names.count else { continue }
      frame.next += 1
      // A frame that is used up is dropped before descending, so that a deep chain holds few
      // descriptors.
      if frame.next < frame.content.names.count { stack.append(frame) }
      let name = frame.content.names[index]
      let path = frame.path.isEmpty ? name : frame.path + [0x2F] + name
      guard let status = frame.content.entries[index].status else {
        let reason = frame.content.entries[index].failure?.description ?? "not there"
        fail(PathFailure(path: path, message: reason))
        continue
      }
      guard let node = frame.content.children[index] else {
        try visit(
          WalkedEntry(
            path: path, name: name, status: status, directory: frame.content.handle, own: nil))
        continue
      }
      switch Result(catching: { () throws(DiskError) in try listed(node) }) {
      case .success(let below):
        try visit(
          WalkedEntry(
            path: path, name: name, status: status, directory: frame.content.handle,
            own: below.handle))
        stack.append(Frame(content: below, path: path))
      case .failure(let error):
        fail(PathFailure(path: path, message: error.description))
        try visit(
          WalkedEntry(
            path: path, name: name, status: status, directory: frame.content.handle, own: nil))
      }
    }
  }

  private func listed(_ node: DirectoryNode) throws(DiskError) -> DirectoryContent {
    if let content = node.listIfIdle(skip: skip) { publish(content) }
    let content = try node.content()
    ahead.update { $0.entryCount -= content.names.count }
    return content
  }
}
