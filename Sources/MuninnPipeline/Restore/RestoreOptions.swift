package import MuninnFormat

/// What to restore, and how.
package struct RestoreOptions: Sendable {
  /// The snapshot's manifest.
  package var root: TreeRoot
  /// Totals of the snapshot, for progress.
  package var entryCount: UInt64
  package var byteCount: UInt64
  /// An absolute path: absent, or a directory that is empty, or holds what `journal` knows of, or
  /// what `overwrite` says the fate of. Missing parents are made.
  package var target: [UInt8]
  /// Paths below the root; a directory means all that is below it, and what lies above a path comes
  /// with it. Empty for everything.
  package var paths: [[UInt8]] = []
  /// Patterns in gitignore syntax: what they match is left out, with all that is below it.
  package var excludes: [String] = []
  /// Patterns in gitignore syntax: where there are any, only what they match is restored, with all
  /// that is below it.
  package var includes: [String] = []
  /// What happens to entries that are in the target already; nil refuses a target that has any.
  package var overwrite: OverwritePolicy?
  /// Remove what the target has and the snapshot has not, in the directories that are restored.
  package var deletesOthers = false
  /// Whether a large file that is there gets what differs written into it, instead of being
  /// replaced by a new one.
  package var updatesInPlace = true
  package var makesDevices = true
  /// Put everything on stable storage before the restore is done.
  package var syncs = false
  /// Read everything back from the disk in the end, and compare it with the snapshot.
  package var verifies = false
  /// Bytes of content written in a second at most, on average.
  package var bytesPerSecond: UInt64?
  /// Remembers the restore until it is done, so that it can be taken up again.
  package var journal: RestoreJournal?
  /// Make files in path order and reserve each one's space, but for its holes, before it is
  /// written.
  package var defragment = false
  /// Count the extents of the restored files in the end.
  package var countsExtents = false
  /// Where the tree that was backed up still lies, to count its extents too. Files that have
  /// changed since do not count.
  package var source: [UInt8]?
  /// Restore a file whose content cannot all be had as far as it can, with holes for the rest. One
  /// that a repair has marked is restored so in any case; others are left out where this is false.
  package var keepsPartialFiles = false
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

/// What a restore does with an entry that is in the target already.
package enum OverwritePolicy: Sendable, Equatable {
  /// It stays as it is.
  case never
  /// A file of the snapshot's size and time of modification has its content already; any other
  /// becomes what the snapshot says.
  case changed
  /// Size and times are not trusted: every file's content is compared.
  case always
}

/// What a restore did.
package struct RestoreOutcome: Sendable {
  /// Entries that are in the target now, regular files among them, and their bytes, holes included.
  package var entries: UInt64 = 0
  package var files: UInt64 = 0
  package var bytes: UInt64 = 0
  /// Bytes of content that were written; the others were there.
  package var bytesWritten: UInt64 = 0
  /// Of those, bytes that an earlier attempt at the same restore had written in vain.
  package var bytesRewritten: UInt64 = 0
  /// Entries that were there already, and stay as the policy wants it or are what they should be.
  package var entriesKept: UInt64 = 0
  /// Entries of the target that the snapshot does not have and that were removed.
  package var entriesDeleted: UInt64 = 0
  /// Whether this went on with a restore that had been interrupted.
  package var isResumed = false
  /// Files that were read back from the disk and are what the snapshot says.
  package var filesVerified: UInt64 = 0
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
