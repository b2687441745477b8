internal import MuninnDisk
package import MuninnFormat

/// What a backup reads, and what it compares with.
package struct BackupOptions: Sendable {
  /// Absolute source paths. One directory becomes the root; several sources keep their absolute
  /// paths.
  package var sources: [[UInt8]]
  /// What is backed up instead of sources.
  package var stream: StreamSource?
  /// Read every file, whatever the parent says of it, and say where that was wrong.
  package var isFull = false
  /// Whether an unchanged file may have got another inode number.
  package var ignoresInode = false
  /// Absolute paths of a list, taken besides the sources.
  package var listedSources: [[UInt8]] = []
  /// What of the sources is taken.
  package var rules = WalkRules()
  /// Threads that read, chunk and compress, besides those that walk, assemble and sync.
  package var threads: Int
  /// LZ4 level: 0 stores raw, 1 is the fast method, 3 to 12 are LZ4-HC's.
  package var level = 1
  /// How many of the threads read files at the same time; nil as many as suit the storage.
  package var readers: Int?
  /// Bytes a second that are read from the source at most.
  package var readRate: UInt64?
  /// How much of its time each of the threads may compute, in per cent.
  package var cpuPercent: Int?
  /// Leave what was read in the page cache, also what was not there before.
  package var keepsPageCache = false
  /// Read what the repository has of a duplicate, and take it for one only if the bytes are the
  /// same.
  package var verifiesDuplicates = false
  package var parent: SnapshotRecord?
  /// Partial snapshots of the same source, the newest first: what they hold counts before what the
  /// parent does. The backup's snapshot takes their place.
  package var partials: [SnapshotRecord] = []
  /// How often what was backed up so far is committed as a partial snapshot, and also where the
  /// backup is interrupted; nil for never, 0 for as often as it can be.
  package var partialNanoseconds: Int64?
  /// The identities of the parent's entries on this machine, where a restore recorded them.
  package var identityCatalogue: String?
  /// What the parent needs of its containers, where this machine remembers it.
  package var parentUsage: SnapshotNeeds?
  /// Bytes that are written again out of sparse containers at most, as a part of the parent's
  /// content; 0 rewrites nothing.
  package var rewriteLimit = 0.01

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
  /// Files that are not what the parent has although their metadata says so: the first 1,000, in
  /// path order, and how many there are.
  package let differing: (first: [PathFailure], count: UInt64)
  /// Files that were changing each time they were read: the first 1,000, and how many there are.
  package let unstable: (first: [PathFailure], count: UInt64)
  /// What the snapshot needs of its containers.
  package let usage: SnapshotNeeds
  /// Chunks that were written again out of sparse containers, and their bytes.
  package let rewritten: (chunks: UInt64, bytes: UInt64)
  package let fragmentation: Fragmentation
  /// Chunks that were stored anew, in pieces, because what the repository has under their
  /// fingerprint and tag is something else or cannot be read.
  package let refusedDuplicates: UInt64
}

extension BackupOptions {
  /// Threads for a network, whatever the cores: most of them wait.
  private static let networkReaders = 8

  /// The options with as many readers as suit what the source lies on, unless they say how many.
  func suited(to root: SourceRoot?) -> BackupOptions {
    var options = self
    if options.readers == nil, let root {
      switch root.storage {
      case .spinning: options.readers = 1
      case .network: options.readers = max(threads, BackupOptions.networkReaders)
      case .solid, .unknown: options.readers = threads
      }
    }
    // More readers than threads are more threads.
    options.threads = max(threads, options.readers ?? threads)
    return options
  }
}
