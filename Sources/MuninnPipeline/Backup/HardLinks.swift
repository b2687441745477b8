internal import MuninnDisk
internal import MuninnFormat

/// A name of a file that had another name before it in the walk.
struct LaterName: Sendable {
  /// The path of the first one.
  let first: [UInt8]
  /// Whether every name of the inode has been met with this one.
  let isLast: Bool
}

/// Which entries of the walk are names of one inode. Belongs to the thread of the walk.
///
/// Memory is kept for inodes of which names are still missing alone: its key, a count and the first
/// path, some 200 bytes. A name outside of the source is missing to the end.
struct HardLinks {
  private struct Key: Hashable {
    let device: UInt64
    let inode: UInt64

    init(_ status: FileStatus) {
      device = status.device
      inode = status.inode
    }
  }

  private var groups: [Key: (first: [UInt8], missing: UInt32)] = [:]

  mutating func link(_ walked: WalkedEntry) -> HardLink {
    let status = walked.status
    guard status.linkCount > 1, status.kind != .directory else { return .none }
    let key = Key(status)
    guard let group = groups[key] else {
      groups[key] = (walked.path, status.linkCount - 1)
      return .first
    }
    groups[key] = group.missing > 1 ? (group.first, group.missing - 1) : nil
    return .later(group.first)
  }

  /// Whether no name of the entry's inode is missing any more.
  func isComplete(_ walked: WalkedEntry) -> Bool { groups[Key(walked.status)] == nil }
}

/// The entries of files that further names are to come for, by the first one's path. Belongs to the
/// thread that assembles.
///
/// Memory: an entry each with its path, attributes and extents until the last name has come.
struct LinkedFiles {
  /// In a box, so that the dictionary's free places are small.
  private final class Known: Sendable {
    let entry: ManifestEntry
    init(_ entry: ManifestEntry) { self.entry = entry }
  }

  private var known: [[UInt8]: Known] = [:]

  /// Remembers the first name of a file, or one that had to stand in for it.
  mutating func note(_ entry: ManifestEntry, as first: [UInt8]) { known[first] = Known(entry) }

  /// The entry of a further name; nil where the first one could not be read.
  mutating func entry(of walked: WalkedEntry, _ name: LaterName) -> ManifestEntry? {
    let box = name.isLast ? known.removeValue(forKey: name.first) : known[name.first]
    guard var entry = box?.entry else { return nil }
    entry.path = walked.path
    entry.hardLink = .later(name.first)
    return entry
  }
}
