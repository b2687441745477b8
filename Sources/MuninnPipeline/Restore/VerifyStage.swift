import Glibc
import MuninnDisk
import MuninnFormat
import MuninnStore
import Synchronization

/// Reads back what was restored, from the disk, and compares it with the snapshot: contents by the
/// identities of their chunks, links by their targets, everything by its kind.
///
/// The file system is synced first and the page cache is asked to forget each file, so that what is
/// compared is what the disk has.
struct VerifyStage {
  private static let batchCount = 256

  let run: RestoreRun
  let options: RestoreOptions
  let selection: PathSelection

  /// Returns the number of files that are what the snapshot says; others are reported.
  func verify() throws(PipelineError) -> UInt64 {
    try fromDisk { () throws(DiskError) in
      try FileCalls.syncFileSystem(
        of: run.tree.root.descriptor, path: displayPath(options.target))
    }
    let queue = BoundedQueue<[ManifestEntry]>(capacity: 8)
    let good = Atomic<UInt64>(0)
    let workers = (0..<max(1, options.threads)).map { _ in
      WorkerThread.start(name: "muninn-verify") { [run] in
        let reader = ChunkReader(store: run.store)
        while let batch = queue.pop() {
          good.add(verify(batch, reader), ordering: .relaxed)
        }
      }
    }
    defer {
      queue.close()
      workers.forEach { $0.join() }
    }
    var walk = try ManifestWalk(
      options.root, selection: selection, needsOrdinals: false, store: run.store)
    // What is unreadable has been reported when it was planned.
    while let items = walk.nextPage({ _ in }) {
      if run.shouldStop { break }
      for start in stride(from: 0, to: items.count, by: VerifyStage.batchCount) {
        let batch = items[start..<min(start + VerifyStage.batchCount, items.count)]
        guard queue.push(batch.map(\.entry)) else { break }
      }
    }
    queue.close()
    workers.forEach { $0.join() }
    return good.load(ordering: .relaxed)
  }

  private func verify(_ entries: [ManifestEntry], _ reader: ChunkReader) -> UInt64 {
    var good: UInt64 = 0
    var parent: (path: ArraySlice<UInt8>, handle: Handle)?
    for entry in entries where !run.shouldStop && !entry.path.isEmpty && !run.hasFailed(entry.path)
    {
      let path = entry.path
      let above = path[..<(path.lastIndex(of: 0x2F) ?? 0)]
      do throws(DiskError) {
        if parent?.path != above { parent = (above, try run.tree.openParent(of: path)) }
        guard let handle = parent?.handle else { continue }
        if let problem = try problem(of: entry, in: handle, reader) {
          run.fail(path, "verification: \(problem)")
        } else if entry.kind == .file {
          good += 1
        }
      } catch {
        // What was left out on purpose is not there.
        if error.isNotFound, isLeftOut(entry) { continue }
        run.fail(path, error)
      }
    }
    return good
  }

  private func isLeftOut(_ entry: ManifestEntry) -> Bool {
    !run.makesDevices && (entry.kind == .characterDevice || entry.kind == .blockDevice)
  }

  private func problem(
    of entry: ManifestEntry, in directory: Handle, _ reader: ChunkReader
  ) throws(DiskError) -> String? {
    let shown = displayPath(entry.path)
    let name = lastName(of: entry.path)
    let status = try FileCalls.status(at: directory.descriptor, name, path: shown)
    // What stays by the user's wish is not the snapshot's.
    if run.rule.policy == .never, status.modifiedNanoseconds != entry.modifiedNanoseconds {
      return nil
    }
    guard EntryKind(status.kind) == entry.kind else { return "is a \(status.kind)" }
    switch entry.kind {
    case .symlink:
      let link = try FileCalls.readLink(
        at: directory.descriptor, name, sizeHint: status.size, path: shown)
      return link == entry.linkTarget ? nil : "leads elsewhere"
    case .file:
      guard status.size == entry.size else {
        return "has \(status.size) bytes, where \(entry.size) belong"
      }
      return try contentProblem(of: entry, in: directory, reader)
    case .directory, .fifo, .socket, .characterDevice, .blockDevice: return nil
    }
  }

  private func contentProblem(
    of entry: ManifestEntry, in directory: Handle, _ reader: ChunkReader
  ) throws(DiskError) -> String? {
    let shown = displayPath(entry.path)
    let file = Handle(
      try FileCalls.openForReading(
        at: directory.descriptor, lastName(of: entry.path), path: shown))
    FileCalls.forgetPages(file.descriptor)
    let run = run
    // Files are verified beside each other, each by one thread.
    let comparison = ContentComparison(
      file, path: entry.path, identifying: run.store.identifying, readsHoles: true,
      shouldStop: { run.shouldStop })
    return comparison.problem(of: entry.content, reader)
  }
}
