import Glibc
package import MuninnDisk
import MuninnFormat

extension RestoreJournal {
  /// Removes everything in the target of an unfinished restore, and forgets that. Returns the
  /// number of removed entries.
  ///
  /// Throws `notFound` where there is none, or another directory has the target's name by now, and
  /// `invalidInput` where the target was not empty before: what is the restore's there and what was
  /// there nobody can tell, so the restore is forgotten and everything stays.
  package static func clean(
    directory: String, target: [UInt8], cancellation: Cancellation
  ) throws(PipelineError) -> UInt64 {
    let shown = displayPath(target)
    guard let attempt = try find(directory: directory, target: target) else {
      throw PipelineError(.notFound, "no unfinished restore to '\(shown)' is known", path: shown)
    }
    let journal = try RestoreJournal(
      directory: directory, repository: attempt.repository, snapshot: attempt.snapshot,
      target: target)
    guard attempt.targetWasEmpty else {
      journal.finish()
      throw PipelineError(
        .invalidInput,
        "the restore to '\(shown)' went onto an existing tree and cannot be taken back: it is"
          + " forgotten, and everything stays as it is",
        path: shown)
    }
    var count: UInt64 = 0
    let opened = try? FileCalls.openDirectory(at: AT_FDCWD, cString(target), path: shown)
    if let opened {
      let descriptor = opened.descriptor
      let status = try fromDisk { () throws(DiskError) in
        try FileCalls.status(of: descriptor, path: shown)
      }
      guard status.inode == attempt.inode else {
        throw PipelineError(
          .notFound, "'\(shown)' is not the directory that the restore wrote to", path: shown)
      }
      count = try empty(descriptor, target, cancellation)
      if attempt.targetWasAbsent {
        try fromDisk { () throws(DiskError) in
          try FileCalls.unlink(at: AT_FDCWD, cString(target), isDirectory: true, path: shown)
        }
      }
    }
    journal.finish()
    return count
  }

  private static func empty(
    _ directory: CInt, _ target: [UInt8], _ cancellation: Cancellation
  ) throws(PipelineError) -> UInt64 {
    var failure: DiskError?
    let removal = TreeRemoval(
      fail: { failure = failure ?? $1 }, shouldStop: { cancellation.isCancelled })
    let listing = try fromDisk { () throws(DiskError) in
      try FileCalls.setMode(of: directory, mode: 0o700, path: displayPath(target))
      try Metadata.unlock(directory, target)
      return try DirectoryListing.read(directory, path: displayPath(target))
    }
    for index in 0..<listing.count { removal.remove(listing.name(index), in: directory) }
    if cancellation.isCancelled { throw PipelineError.cancelled }
    if let failure { throw PipelineError(failure) }
    return removal.count
  }
}
