import Glibc
import MuninnDisk
import MuninnFormat

/// Makes sure that the target is an empty directory of ours.
enum TargetStage {
  /// Makes the target and the directories above it where they are missing. Throws `invalidInput`
  /// for a target that is something else, or not empty.
  static func prepare(_ target: [UInt8]) throws(PipelineError) -> OpenFile {
    let shown = displayPath(target)
    guard target.first == 0x2F, !target.contains(0) else {
      throw PipelineError(
        .invalidInput, "'\(shown)' is no absolute path to restore to", path: shown)
    }
    let path = cString(target)
    try fromDisk { () throws(DiskError) in try makeMissing(target) }
    let file = try open(path, shown)
    let listing = try fromDisk { () throws(DiskError) in
      try DirectoryListing.read(file.descriptor, path: shown)
    }
    guard listing.count == 0 else {
      throw PipelineError(
        .invalidInput, "'\(shown)' is not empty: restore to an absent or empty directory",
        path: shown)
    }
    try close(file, to: shown)
    return file
  }

  private static func open(_ path: [CChar], _ shown: String) throws(PipelineError) -> OpenFile {
    do throws(DiskError) {
      return try FileCalls.openDirectory(at: AT_FDCWD, path, path: shown)
    } catch {
      guard error.errno == ENOTDIR || error.errno == ELOOP else { throw PipelineError(error) }
      throw PipelineError(
        .invalidInput, "'\(shown)' is not a directory: restore to an absent or empty one",
        path: shown)
    }
  }

  private static func makeMissing(_ target: [UInt8]) throws(DiskError) {
    let isThere = (try? FileCalls.status(at: AT_FDCWD, cString(target), path: "")) != nil
    if isThere { return }
    var end = 1
    while end <= target.count {
      if end == target.count || target[end] == 0x2F, target[end - 1] != 0x2F {
        let part = target[..<end]
        do throws(DiskError) {
          try FileCalls.makeDirectory(
            at: AT_FDCWD, cString(part), mode: 0o777, path: displayPath(part))
        } catch {
          // A directory above the target may be one that is there and that we cannot write to.
          let isThere = (try? FileCalls.status(at: AT_FDCWD, cString(part), path: "")) != nil
          if !isThere { throw error }
        }
      }
      end += 1
    }
  }

  /// Keeps others out until the metadata of the root entry comes, and nothing is inherited from a
  /// default ACL.
  private static func close(_ file: borrowing OpenFile, to path: String) throws(PipelineError) {
    for name in ["system.posix_acl_default", "system.posix_acl_access"] {
      // Most file systems and directories have none.
      try? FileCalls.removeExtendedAttribute(
        of: file.descriptor, name: [UInt8](name.utf8), path: path)
    }
    try fromDisk { () throws(DiskError) in
      try FileCalls.setMode(of: file.descriptor, mode: 0o700, path: path)
    }
  }
}
