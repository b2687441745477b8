import MuninnFormat

/// Which entries of a manifest a restore takes: the selected paths, what is below them, and the
/// directories above them.
struct PathSelection: Sendable {
  enum Choice {
    case none
    /// A directory above a selected path.
    case above
    case selected
  }

  /// In path order, none below another. Empty where everything is selected.
  let paths: [[UInt8]]
  /// In path order: every selected path, and every path above one.
  private let stops: [[UInt8]]

  /// What is left out, and, where there are any, what alone is taken.
  let excludes: PathPatterns
  let includes: PathPatterns

  /// Throws for a path that could lead outside the tree.
  init(
    _ wanted: [[UInt8]], includes: [String] = [], excludes: [String] = []
  ) throws(PipelineError) {
    self.includes = PathPatterns(includes)
    self.excludes = PathPatterns(excludes)
    for path in wanted where !isSafePath(path) {
      throw PipelineError(
        .invalidInput, "'\(displayPath(path))' is no path below a snapshot's root",
        path: displayPath(path))
    }
    var kept: [[UInt8]] = []
    for path in wanted.sorted(by: pathPrecedes) {
      if let last = kept.last, PathSelection.isBelowOrSame(path, last) { continue }
      kept.append(path)
    }
    if kept.first == [] { kept = [] }
    var above: Set<[UInt8]> = []
    for path in kept {
      above.insert([])
      for index in path.indices where path[index] == 0x2F { above.insert(Array(path[..<index])) }
    }
    paths = kept
    stops = kept.isEmpty ? [] : (kept + above).sorted(by: pathPrecedes)
  }

  var isEverything: Bool { paths.isEmpty && includes.isEmpty && excludes.isEmpty }

  /// Whether an entry is restored, by its path alone: as `ManifestWalk` decides that meets what is
  /// above it first.
  func takes(_ path: [UInt8], isDirectory: Bool) -> Bool {
    guard choice(path) == .selected else { return false }
    var isIncluded = includes.isEmpty
    for index in path.indices.dropFirst() where path[index] == 0x2F {
      let above = Array(path[..<index])
      if excludes.matches(above, isDirectory: true) { return false }
      if includes.matches(above, isDirectory: true) { isIncluded = true }
    }
    if excludes.matches(path, isDirectory: isDirectory) { return false }
    return isIncluded || includes.matches(path, isDirectory: isDirectory)
  }

  /// What the paths say of an entry, patterns aside.
  func choice(_ path: [UInt8]) -> Choice {
    if paths.isEmpty { return .selected }
    // The last selected path at or before this one is the only one that can be above it.
    let after = PathSelection.firstIndex(of: paths) { !pathPrecedes($0, path) }
    if after < paths.count, paths[after] == path { return .selected }
    if after > 0, PathSelection.isBelowOrSame(path, paths[after - 1]) { return .selected }
    // The first selected path behind this one is below it if any is.
    if after < paths.count, PathSelection.isBelowOrSame(paths[after], path) { return .above }
    return .none
  }

  /// The next path after `path` at which something wanted may begin; nil at the end.
  func next(after path: [UInt8]) -> [UInt8]? {
    let index = PathSelection.firstIndex(of: stops) { pathPrecedes(path, $0) }
    return index < stops.count ? stops[index] : nil
  }

  static func isBelowOrSame(_ path: [UInt8], _ top: [UInt8]) -> Bool {
    if top.isEmpty { return true }
    guard path.count >= top.count, path.starts(with: top) else { return false }
    return path.count == top.count || path[top.count] == 0x2F
  }

  /// The first index at which `isBehind` holds, which never turns false again.
  private static func firstIndex(of paths: [[UInt8]], where isBehind: ([UInt8]) -> Bool) -> Int {
    var low = 0
    var high = paths.count
    while low < high {
      let middle = (low + high) / 2
      if isBehind(paths[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
