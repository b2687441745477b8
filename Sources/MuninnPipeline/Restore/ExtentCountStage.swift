import MuninnDisk
import MuninnFormat
import MuninnStore

/// Counts the extents that the target's file system keeps the restored files in.
struct ExtentCountStage {
  let run: RestoreRun
  let options: RestoreOptions
  let selection: PathSelection

  /// Nil where the file system does not tell. A file that cannot be asked does not count.
  func count() throws(PipelineError) -> UInt64? {
    var walk = try ManifestWalk(
      options.root, selection: selection, needsOrdinals: false, store: run.store)
    var total: UInt64 = 0
    var parent: (path: ArraySlice<UInt8>, handle: Handle)?
    // What is unreadable has been reported when it was planned.
    while let items = walk.nextPage({ _ in }) {
      if run.shouldStop { return nil }
      for item in items where item.entry.kind == .file && item.entry.size > 0 {
        if case .later = item.entry.hardLink { continue }
        let path = item.entry.path
        let above = path[..<(path.lastIndex(of: 0x2F) ?? 0)]
        do throws(DiskError) {
          if parent?.path != above { parent = (above, try run.tree.openParent(of: path)) }
          guard let handle = parent?.handle else { continue }
          let file = try FileCalls.openForReading(
            at: handle.descriptor, lastName(of: path), path: displayPath(path))
          guard
            let extents = try FileCalls.extentCount(of: file.descriptor, path: displayPath(path))
          else { return nil }
          total += extents
        } catch {
          continue
        }
      }
    }
    return total
  }
}
