import Glibc
import MuninnDisk
import MuninnFormat
import MuninnStore

/// Counts the extents that the restored files lie in, and those of the files that were backed up
/// where they are still there: what was, and what came of it.
struct ExtentCountStage {
  let run: RestoreRun
  let options: RestoreOptions
  let selection: PathSelection

  /// Nil where a file system does not tell. A file that cannot be asked does not count.
  func count() throws(PipelineError) -> (restored: ExtentCounts?, source: ExtentCounts?) {
    var restored: ExtentCounter? = try fromDisk { () throws(DiskError) in
      try ExtentCounter(run.tree)
    }
    // The source may be gone, and need not be readable.
    var source = options.source.flatMap { try? ExtentCounter(directory: $0) }
    var walk = try ManifestWalk(
      options.root, selection: selection, needsOrdinals: false, store: run.store)
    // What is unreadable has been reported when it was planned.
    while restored != nil, let items = walk.nextPage({ _ in }) {
      if run.shouldStop { return (nil, nil) }
      for item in items where item.entry.kind == .file && item.entry.size > 0 {
        if case .later = item.entry.hardLink { continue }
        if restored?.add(item.entry, ifUnchanged: false) == false { restored = nil }
        if source?.add(item.entry, ifUnchanged: true) == false { source = nil }
      }
    }
    return (restored?.counts, source?.counts.files == 0 ? nil : source?.counts)
  }
}

/// Counts the extents of files of one tree, which come in path order.
private struct ExtentCounter {
  private(set) var counts = ExtentCounts()
  private let tree: TargetTree
  private var parent: (path: ArraySlice<UInt8>, handle: Handle)?

  /// Syncs the tree's file system once, so that every byte has its place.
  init(_ tree: TargetTree) throws(DiskError) {
    self.tree = tree
    try FileCalls.syncFileSystem(of: tree.root.descriptor, path: "the restored tree")
  }

  init(directory path: [UInt8]) throws(DiskError) {
    try self.init(
      TargetTree(
        root: try FileCalls.openDirectory(
          at: AT_FDCWD, cString(path), path: displayPath(path))))
  }

  /// Returns false where the file system does not tell.
  mutating func add(_ entry: ManifestEntry, ifUnchanged: Bool) -> Bool {
    let path = entry.path
    let above = path[..<(path.lastIndex(of: 0x2F) ?? 0)]
    do throws(DiskError) {
      if parent?.path != above { parent = (above, try tree.openParent(of: path)) }
      guard let handle = parent?.handle else { return true }
      let file = try FileCalls.openForReading(
        at: handle.descriptor, lastName(of: path), path: displayPath(path))
      if ifUnchanged {
        let status = try FileCalls.status(of: file.descriptor, path: displayPath(path))
        guard status.kind == .file, status.size == entry.size,
          status.modifiedNanoseconds == entry.modifiedNanoseconds
        else { return true }
      }
      guard let count = try FileCalls.extentCount(of: file.descriptor, path: displayPath(path))
      else { return false }
      counts.add(count)
    } catch {
      // Whatever is in the way, this file cannot be asked.
    }
    return true
  }
}
