internal import MuninnDisk
internal import MuninnFormat

/// An entry of the source in walk order, with what is needed to open it.
struct WalkedEntry: Sendable {
  /// Below the root; empty for the root.
  let path: [UInt8]
  let status: FileStatus
  /// The directory that holds it; for the root, the root itself.
  let directory: DirectoryHandle
  /// The entry itself where it is a directory that could be listed.
  let own: DirectoryHandle?

  /// Runs `body` with the directory that holds the entry and the entry's name in it.
  func withName<R: ~Copyable>(
    _ body: (CInt, UnsafePointer<CChar>) throws(DiskError) -> R
  ) throws(DiskError) -> R {
    let name = path[(path.lastIndex(of: 0x2F).map { $0 + 1 } ?? 0)...]
    return try directory.withDescriptor { (descriptor) throws(DiskError) in
      try withCString(name) { (name) throws(DiskError) in try body(descriptor, name) }
    }
  }
}

/// Walks the source depth first, in the order of paths, while other threads list directories ahead
/// of it.
///
/// Memory is bounded: threads run ahead until `maximumAhead` entries are listed and not yet
/// consumed, and of each directory on the way to the present path a run of entries is held. Only
/// the names of a directory are held all at once, 32 bytes each and the name. The consumer never
/// waits for a run that nobody lists: it lists an idle one itself.
final class WalkStage: Sendable {
  private struct Ahead {
    /// Runs to list; the next one in path order is last.
    var pending: [DirectoryNode] = []
    var entryCount = 0
    /// Whether those who list pause: from `maximumAhead` on, until a quarter of it is consumed. One
    /// who was woken for each directory that is consumed would list one and sleep again.
    var isFull = false
    var isStopped = false

    /// Whether somebody who lists has something to do.
    var isToBeListed: Bool { isStopped || (!pending.isEmpty && !isFull) }

    mutating func count(_ more: Int) {
      entryCount += more
      if entryCount >= WalkStage.maximumAhead {
        isFull = true
      } else if entryCount < WalkStage.maximumAhead / 4 * 3 {
        isFull = false
      }
    }
  }

  /// Far enough for every lister, near enough that a directory is still open when it is read.
  private static let maximumAhead = 1 << 14

  private let ahead = Monitor(Ahead())
  private let scope: WalkScope
  private let root: DirectoryNode
  private let isRootIncluded: Bool

  init(_ source: SourceRoot, rules: WalkRules) {
    scope = WalkScope(rules: rules)
    isRootIncluded = rules.includes.isEmpty
    let place = DirectoryPlace(
      name: source.path, wanted: source.wanted, sourceDevice: source.device,
      parentDevice: nil, isIncluded: isRootIncluded)
    root = DirectoryNode(place, parent: nil, scope: scope)
  }

  /// The body of a thread that lists ahead; returns when the walk has ended.
  func runAhead() {
    while let node = next() {
      guard let content = node.listIfIdle() else { continue }
      publish(content)
    }
  }

  private func next() -> DirectoryNode? {
    ahead.wait(until: { $0.isToBeListed }) { $0.isStopped ? nil : $0.pending.popLast() }
  }

  private func publish(_ content: DirectoryContent) {
    change { state in
      state.count(content.entries.count)
      state.pending.append(contentsOf: content.rest.reversed())
      for entry in content.entries.reversed() {
        if let child = entry.child { state.pending.append(child) }
      }
    }
  }

  /// Lets the threads that list ahead return.
  func stop() { ahead.update { $0.isStopped = true } }

  /// Closes every directory; to be called when all threads that open files have ended.
  func close() { scope.openDirectories.closeAll() }

  private struct Frame {
    let path: [UInt8]
    var content: DirectoryContent
    var next = 0
    var rest: ArraySlice<DirectoryNode>
    /// A directory that is visited only once something below it is.
    var own: WalkedEntry?

    init(path: [UInt8], content: DirectoryContent, own: WalkedEntry? = nil) {
      self.path = path
      self.content = content
      self.own = own
      rest = content.rest[...]
      self.content.rest = []
    }

    var isEnded: Bool { next >= content.entries.count && rest.isEmpty }
  }

  /// Calls `visit` with each entry in path order, and `fail` with each path that could not be
  /// looked at.
  func run(
    visit: (WalkedEntry) throws(PipelineError) -> Void, fail: (PathFailure) -> Void
  ) throws(PipelineError) {
    let content: DirectoryContent
    do throws(DiskError) { content = try listed(root) } catch { throw PipelineError(error) }
    let status = try fromDisk { () throws(DiskError) in
      try content.handle.withDescriptor { (descriptor) throws(DiskError) in
        try FileCalls.status(of: descriptor, path: "the source's root")
      }
    }
    try visit(
      WalkedEntry(path: [], status: status, directory: content.handle, own: content.handle))
    var stack = [Frame(path: [], content: content)]
    while var frame = stack.popLast() {
      guard frame.next < frame.content.entries.count else {
        guard let run = frame.rest.popFirst() else { continue }
        do throws(DiskError) {
          frame.content = try listed(run)
          frame.next = 0
        } catch {
          fail(PathFailure(path: frame.path, message: error.description))
        }
        stack.append(frame)
        continue
      }
      let entry = frame.content.entries[frame.next]
      let path = frame.content.names.path(entry.name, in: frame.path)
      let directory = frame.content.handle
      frame.next += 1
      // A conditional directory is visited just before the first entry below it.
      let isTaken = !entry.isConditional && (entry.status != nil || entry.failure == nil)
      if isTaken { try visitAbove(&frame, &stack, visit) }
      // A frame that is used up is dropped before descending, so that a deep chain holds few.
      if !frame.isEnded || frame.own != nil { stack.append(frame) }
      guard let status = entry.status, entry.failure == nil else {
        fail(PathFailure(path: path, message: entry.failure?.description ?? "not there"))
        continue
      }
      guard let node = entry.child else {
        try visit(WalkedEntry(path: path, status: status, directory: directory, own: nil))
        continue
      }
      var below: DirectoryContent?
      do throws(DiskError) { below = try listed(node) } catch {
        fail(PathFailure(path: path, message: error.description))
      }
      let own = WalkedEntry(
        path: path, status: status, directory: directory, own: below?.handle)
      if !entry.isConditional { try visit(own) }
      if let below {
        stack.append(Frame(path: path, content: below, own: entry.isConditional ? own : nil))
      }
    }
  }

  /// Visits the directories above an entry that were waiting for one.
  private func visitAbove(
    _ frame: inout Frame, _ stack: inout [Frame],
    _ visit: (WalkedEntry) throws(PipelineError) -> Void
  ) throws(PipelineError) {
    guard let own = frame.own else { return }
    // Above one that was visited nothing waits.
    var first = stack.count
    while first > 0, stack[first - 1].own != nil { first -= 1 }
    for index in first..<stack.count {
      if let above = stack[index].own { try visit(above) }
      stack[index].own = nil
    }
    try visit(own)
    frame.own = nil
  }

  private func listed(_ node: DirectoryNode) throws(DiskError) -> DirectoryContent {
    if let content = node.listIfIdle() { publish(content) }
    let content = try node.content()
    change { $0.count(-content.entries.count) }
    return content
  }

  /// Wakes those who list only where they had nothing to do and now have.
  private func change(_ body: (inout sending Ahead) -> Void) {
    let isNew = ahead.withLock { state in
      let wasToBeListed = state.isToBeListed
      body(&state)
      return !wasToBeListed && state.isToBeListed
    }
    if isNew { ahead.notifyAll() }
  }
}
