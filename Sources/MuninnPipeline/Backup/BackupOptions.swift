package import MuninnFormat

/// What a backup reads, and what it compares with.
package struct BackupOptions: Sendable {
  /// Absolute source paths. One directory becomes the root; several sources keep their absolute
  /// paths.
  package var sources: [[UInt8]]
  /// Read every file, whatever the parent says of it.
  package var isFull = false
  /// Patterns in gitignore syntax, matched below the root.
  package var excludes: [String] = []
  /// Threads that read, chunk and compress, besides those that walk, assemble and sync.
  package var threads: Int
  /// LZ4 level: 1 is the fast method, 3 to 12 are LZ4-HC's.
  package var level = 1
  package var parent: SnapshotRecord?
  /// The identities of the parent's entries on this machine, where a restore recorded them.
  package var identityCatalogue: String?

  package init(sources: [[UInt8]], threads: Int) {
    self.sources = sources
    self.threads = threads
  }
}

/// What a backup found; the snapshot's record is in `snapshot` once it is committed.
package struct BackupOutcome: Sendable {
  package let snapshot: SnapshotRecord
  /// The first 1,000, in path order.
  package let failures: [PathFailure]
}
