internal import Glibc
internal import MuninnDisk

/// Where a walk begins, and which paths below it are wanted.
struct SourceRoot {
  let path: [UInt8]
  /// Nil where the root is the one source directory.
  let wanted: PathTrie?
  /// Sources that are not there, while others are.
  let missing: [(path: [UInt8], reason: String)]

  /// Throws where a source is no absolute path, or none of them is there.
  init(_ sources: [[UInt8]]) throws(PipelineError) {
    var present: [(path: [UInt8], isDirectory: Bool)] = []
    var missing: [(path: [UInt8], reason: String)] = []
    for source in sources {
      guard source.first == 0x2F, !source.contains(0) else {
        throw PipelineError(
          .invalidInput, "the source path '\(displayPath(source))' is not absolute")
      }
      do throws(DiskError) {
        // The source itself may be a symlink to what is meant.
        let file = try withCString(source) { (name) throws(DiskError) in
          try FileCalls.open(
            at: AT_FDCWD, name, flags: O_RDONLY | O_NONBLOCK, path: displayPath(source))
        }
        let status = try FileCalls.status(of: file.descriptor, path: displayPath(source))
        present.append((SourceRoot.normalised(source), status.kind == .directory))
      } catch {
        missing.append((source, error.description))
      }
    }
    guard let first = present.first else {
      throw PipelineError(
        .notFound, missing.first?.reason ?? "no source path was given",
        path: missing.first.map { displayPath($0.path) })
    }
    self.missing = missing
    if sources.count == 1, first.isDirectory {
      path = first.path
      wanted = nil
      return
    }
    var trie = PathTrie()
    for source in present {
      trie.insert(source.path.split(separator: 0x2F).map(Array.init)[...])
    }
    path = [0x2F]
    wanted = trie
  }

  /// Without empty and `.` components, and with `..` resolved by name, as shells show paths.
  private static func normalised(_ path: [UInt8]) -> [UInt8] {
    var kept: [ArraySlice<UInt8>] = []
    for component in path.split(separator: 0x2F) {
      if component.elementsEqual([0x2E]) { continue }
      if component.elementsEqual([0x2E, 0x2E]) {
        _ = kept.popLast()
      } else {
        kept.append(component)
      }
    }
    return kept.isEmpty ? [0x2F] : kept.reduce(into: []) { $0 += [0x2F] + $1 }
  }
}
