internal import MuninnFormat
internal import MuninnStore

/// How the newest snapshots lie: what they use of each container, and over what stretch of their
/// bytes, in path order, that is spread. Belongs to one thread.
final class NewestLayout {
  struct Place {
    /// Bytes of chunks, before compression.
    var usedByteCount: UInt64 = 0
    var first = UInt64.max
    var end: UInt64 = 0
  }

  /// By item of the usage.
  private(set) var places: [Int: Place] = [:]
  private var position: UInt64 = 0

  /// The next chunk in path order that was not met before.
  func note(_ item: Int, _ length: UInt32) {
    var place = places[item] ?? Place()
    place.usedByteCount += UInt64(length)
    place.first = min(place.first, position)
    position += UInt64(length)
    place.end = position
    places[item] = place
  }
}

/// What a restore of the newest snapshots has to touch.
package struct LayoutFigures: Sendable, Equatable {
  package var containers: UInt64 = 0
  /// Bytes of chunks that they need, and that lie in those containers.
  package var usedByteCount: UInt64 = 0
  package var rawByteCount: UInt64 = 0

  init(_ usage: ContainerUsage, _ layout: NewestLayout) {
    for (item, place) in layout.places {
      containers += 1
      usedByteCount += place.usedByteCount
      rawByteCount += usage.items[item].record.rawByteCount
    }
  }
}

/// Which containers a defragmentation rewrites: those that the newest snapshots use a part of or
/// use out of order, small ones where there are many, and sparse ones as a prune would.
struct DefragmentSelection {
  private static let leastShare = 0.92
  /// Threads of a backup fill their containers side by side, so that each is spread over a stretch
  /// of some times its size: that does not hurt a restore, which reads each container once.
  private static let maximumSpread: UInt64 = 32
  private static let containerByteCount: UInt64 = 32 << 20
  private static let smallByteCount: UInt64 = 24 << 20

  private(set) var items: [Int] = []

  init(_ usage: ContainerUsage, _ layout: NewestLayout, limit: UnusedLimit) {
    var chosen = Set(
      RewriteSelection(usage, limit: limit, maximumRewrite: nil).items)
    for (item, place) in layout.places {
      let raw = usage.items[item].record.rawByteCount
      let isPartial =
        Double(place.usedByteCount) < Double(raw) * DefragmentSelection.leastShare
      let stretch = place.end - place.first
      let isSpread =
        stretch > DefragmentSelection.maximumSpread
        * max(place.usedByteCount, DefragmentSelection.containerByteCount / 8)
      if isPartial || isSpread { chosen.insert(item) }
    }
    for isManifest in [false, true] {
      let small = usage.items.indices.filter {
        usage.items[$0].record.isManifest == isManifest
          && usage.items[$0].record.byteCount < DefragmentSelection.smallByteCount
      }
      let bytes = small.reduce(0) { $0 + usage.items[$1].record.byteCount }
      let full = bytes / DefragmentSelection.containerByteCount + 1
      // Each window leaves a few small ones of its own.
      if UInt64(small.count) > 4 + 2 * full { chosen.formUnion(small) }
    }
    items = chosen.filter { !usage.items[$0].isUnknown }.sorted()
  }
}
