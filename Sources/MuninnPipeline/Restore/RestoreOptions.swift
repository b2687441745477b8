package import MuninnFormat

/// What to restore, and how.
package struct RestoreOptions: Sendable {
  /// The snapshot's manifest.
  package var root: TreeRoot
  /// Totals of the snapshot, for progress.
  package var entryCount: UInt64
  package var byteCount: UInt64
  /// An absolute path: absent, or an empty directory. Missing parents are made.
  package var target: [UInt8]
  /// Paths below the root; a directory means all that is below it, and what lies above a path comes
  /// with it. Empty for everything.
  package var paths: [[UInt8]] = []
  /// Make files in path order and reserve each one's space, but for its holes, before it is
  /// written.
  package var defragment = false
  /// Count the extents of the restored files in the end.
  package var countsExtents = false
  /// Where the tree that was backed up still lies, to count its extents too. Files that have
  /// changed since do not count.
  package var source: [UInt8]?
  package var threads: Int
  /// Where the new identities of the restored files are written to, for the next backup of the
  /// target. Only a restore of everything has them.
  package var identityCatalogue: CatalogueDestination?

  package init(
    root: TreeRoot, entryCount: UInt64, byteCount: UInt64, target: [UInt8], threads: Int
  ) {
    self.root = root
    self.entryCount = entryCount
    self.byteCount = byteCount
    self.target = target
    self.threads = threads
  }
}

/// An identity catalogue that a restore is to write.
package struct CatalogueDestination: Sendable {
  package let path: String
  package let snapshot: Identifier

  package init(path: String, snapshot: Identifier) {
    self.path = path
    self.snapshot = snapshot
  }
}

/// What a restore did.
package struct RestoreOutcome: Sendable {
  /// Entries that are in the target now, regular files among them, and their bytes, holes included.
  package var entries: UInt64 = 0
  package var files: UInt64 = 0
  package var bytes: UInt64 = 0
  package var containersRead: UInt64 = 0
  package var containerBytesRead: UInt64 = 0
  /// Extents of the restored files, where they were asked for and the file system tells.
  package var extents: ExtentCounts?
  /// The same of the files that they are copies of, where those still lie in the source.
  package var sourceExtents: ExtentCounts?
  /// The first thousand.
  package var failures: [PathFailure] = []
  package var failureCount: UInt64 = 0

  package init() {}
}
