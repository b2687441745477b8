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
  /// Reserve each file's space before it is written, and count extents in the end.
  package var defragment = false
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
  /// Extents of all restored files, where they were asked for and the file system tells.
  package var extents: UInt64?
  /// The first thousand.
  package var failures: [PathFailure] = []
  package var failureCount: UInt64 = 0

  package init() {}
}
