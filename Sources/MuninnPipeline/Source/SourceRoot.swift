internal import Glibc
internal import MuninnDisk

/// Where a walk begins, and which paths below it are wanted.
struct SourceRoot {
  let path: [UInt8]
  /// Nil where the root is the one source directory.
  let wanted: WantedPaths?
  /// The device of the one source directory.
  let device: UInt64?
  /// Sources that are not there, while others are.
  let missing: [(path: [UInt8], reason: String)]
  /// What the first of the sources lies on.
  var storage: StorageKind {
    let first = wanted?.first ?? path
    let place = wanted == nil ? first : [0x2F] + first[..<(first.lastIndex(of: 0x2F) ?? 0)]
    guard let directory = try? openSourceRoot(place) else { return .unknown }
    return StorageKind.of(directory.descriptor)
  }

  /// Throws where a source is no absolute path, or none of them is there. `listed` are paths of a
  /// list, whose absence the walk finds.
  init(_ sources: [[UInt8]], listed: [[UInt8]] = []) throws(PipelineError) {
    for path in [sources, listed].joined() where path.first != 0x2F || path.contains(0) {
      throw PipelineError(.invalidInput, "the source path '\(displayPath(path))' is not absolute")
    }
    var present: [(path: [UInt8], status: FileStatus)] = []
    var missing: [(path: [UInt8], reason: String)] = []
    for source in sources {
      do throws(DiskError) {
        present.append((source, try SourceRoot.status(of: source)))
      } catch {
        missing.append((source, error.description))
      }
    }
    self.missing = missing
    guard !present.isEmpty || !listed.isEmpty else {
      throw PipelineError(
        .notFound, missing.first?.reason ?? "no source path was given",
        path: missing.first.map { displayPath($0.path) })
    }
    if sources.count == 1, listed.isEmpty, let only = present.first,
      only.status.kind == .directory
    {
      path = SourceRoot.normalised(only.path)
      wanted = nil
      device = only.status.device
      return
    }
    var places = SourcePlaces()
    path = [0x2F]
    let below = (present.map(\.path) + listed).map { places.place(of: $0) }
    // With the root itself among them everything is wanted.
    let isEverything = below.contains([])
    wanted = isEverything ? nil : WantedPaths(below)
    device = isEverything ? (try? SourceRoot.status(of: [0x2F]))?.device : nil
  }

  /// The source itself may be a symlink to what is meant.
  private static func status(of source: [UInt8]) throws(DiskError) -> FileStatus {
    if source.count > 4000 {
      let directory = try openSourceRoot(source)
      return try FileCalls.status(of: directory.descriptor, path: displayPath(source))
    }
    let file = try withCString(source) { (name) throws(DiskError) in
      try FileCalls.open(
        at: AT_FDCWD, name, flags: O_RDONLY | O_NONBLOCK | O_NOCTTY, path: displayPath(source))
    }
    return try FileCalls.status(of: file.descriptor, path: displayPath(source))
  }

  /// Without empty and `.` components, and with `..` resolved by name, as shells show paths.
  fileprivate static func normalised(_ path: [UInt8]) -> [UInt8] {
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

/// Where sources lie below `/`: a walk follows no symlink, so those on the way to a source are
/// resolved first.
private struct SourcePlaces {
  private var lastDirectory: (named: [UInt8], real: [UInt8])?

  /// The path below `/`, without the slash at its start.
  mutating func place(of source: [UInt8]) -> [UInt8] {
    let path = SourceRoot.normalised(source)
    guard let slash = path.lastIndex(of: 0x2F), path.count > 1 else { return [] }
    let directory = Array(path[..<slash])
    if lastDirectory?.named != directory {
      lastDirectory = (directory, SourcePlaces.realPath(of: directory) ?? directory)
    }
    let real = lastDirectory?.real ?? directory
    return Array((real + path[slash...]).drop { $0 == 0x2F })
  }

  private static func realPath(of directory: [UInt8]) -> [UInt8]? {
    guard !directory.isEmpty, let open = try? openSourceRoot(directory) else { return nil }
    let link = "/proc/self/fd/\(open.descriptor)"
    let real = try? FileCalls.readLink(at: AT_FDCWD, link, path: link)
    guard let real, real.first == 0x2F else { return nil }
    return real == [0x2F] ? [] : real
  }
}
