internal import MuninnFormat

/// Which paths below a directory are wanted: a run of a sorted list, so that a list of any length
/// takes the memory of its paths alone.
struct WantedPaths: Sendable {
  private final class List: Sendable {
    let paths: [[UInt8]]
    init(_ paths: [[UInt8]]) { self.paths = paths }
  }

  private let list: List
  private let range: Range<Int>
  /// Bytes of the directory's own path, with the slash behind it.
  private let prefixCount: Int

  /// Of paths below the root, without a slash at the start. What lies below another one of them
  /// comes with that.
  init(_ paths: [[UInt8]]) {
    var kept: [[UInt8]] = []
    for path in paths.sorted(by: pathPrecedes) {
      if let last = kept.last, path.starts(with: last),
        last.isEmpty || path.count == last.count || path[last.count] == 0x2F
      {
        continue
      }
      kept.append(path)
    }
    list = List(kept)
    range = 0..<kept.count
    prefixCount = 0
  }

  private init(_ list: List, _ range: Range<Int>, prefixCount: Int) {
    self.list = list
    self.range = range
    self.prefixCount = prefixCount
  }

  /// The first of them, in the order of a walk.
  var first: [UInt8]? { range.isEmpty ? nil : list.paths[range.lowerBound] }

  /// Calls `body` with each name in the directory that leads to something, in the order of a walk,
  /// and what is wanted below it: nil for everything.
  func forEachName(_ body: (ArraySlice<UInt8>, WantedPaths?) -> Void) {
    var at = range.lowerBound
    while at < range.upperBound {
      let path = list.paths[at]
      let end = path[prefixCount...].firstIndex(of: 0x2F) ?? path.count
      let name = path[prefixCount..<end]
      if end == path.count {
        body(name, nil)
        at += 1
        continue
      }
      let start = at
      while at < range.upperBound, isBelow(list.paths[at], path[..<end]) { at += 1 }
      body(name, WantedPaths(list, start..<at, prefixCount: end + 1))
    }
  }

  private func isBelow(_ path: [UInt8], _ directory: ArraySlice<UInt8>) -> Bool {
    path.count > directory.count && path[directory.count] == 0x2F
      && path.starts(with: directory)
  }
}
