import Glibc
import MuninnDisk
import MuninnFormat

/// The target directory, open, and what it was before the restore.
struct Target: ~Copyable {
  let file: OpenFile
  let wasAbsent: Bool
  let wasEmpty: Bool
  /// Whether names that differ in case alone are one name there.
  let foldsCase: Bool

  consuming func takeFile() -> OpenFile { file }
}

/// Makes sure that the target is a directory that may be written to.
enum TargetStage {
  /// Makes the target and the directories above it where they are missing. Throws `invalidInput`
  /// for a target that is something else, or that is not empty and `rule` expects nothing there.
  static func prepare(_ target: [UInt8], _ rule: ExistingRule) throws(PipelineError) -> Target {
    let shown = displayPath(target)
    guard target.first == 0x2F, !target.contains(0) else {
      throw PipelineError(
        .invalidInput, "'\(shown)' is no absolute path to restore to", path: shown)
    }
    let wasAbsent = try fromDisk { () throws(DiskError) in try makeMissing(target) }
    let file = try open(cString(target), shown)
    let descriptor = file.descriptor
    let isEmpty = try fromDisk { () throws(DiskError) in
      try DirectoryListing.read(descriptor, path: shown).count == 0
    }
    guard isEmpty || rule.expectsAny else {
      throw PipelineError(
        .invalidInput,
        "'\(shown)' is not empty: restore to an absent or empty directory, or say with --overwrite"
          + " what becomes of what is there",
        path: shown)
    }
    if isEmpty {
      try close(file, to: shown)
    } else if rule.isResuming, rule.policy == nil {
      // As the earlier attempt left it, which may have completed it.
      try fromDisk { () throws(DiskError) in
        try Metadata.unlock(descriptor, target)
        try FileCalls.setMode(of: descriptor, mode: 0o700, path: shown)
      }
    }
    let foldsCase = foldsCase(descriptor)
    return Target(file: file, wasAbsent: wasAbsent, wasEmpty: isEmpty, foldsCase: foldsCase)
  }

  /// Whether the file system, or the directory by its flags, takes `A` and `a` for one name.
  private static func foldsCase(_ directory: CInt) -> Bool {
    let folding = FileAttributeFlags(rawValue: 0x4000_0000)
    if let flags = try? FileCalls.attributeFlags(of: directory, path: ""), flags.contains(folding) {
      return true
    }
    // vfat, exfat, ntfs, ntfs3, hfs+, cifs, smb2.
    let types: Set<UInt64> = [
      0x4D44, 0x2011_BAB0, 0x5346_544E, 0x7366_746E, 0x482B, 0xFF53_4D42, 0xFE53_4D42,
    ]
    return (try? FileCalls.fileSystemType(of: directory, path: "")).map(types.contains) ?? false
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

  /// Returns whether the target was absent.
  private static func makeMissing(_ target: [UInt8]) throws(DiskError) -> Bool {
    let isThere = (try? FileCalls.status(at: AT_FDCWD, cString(target), path: "")) != nil
    if isThere { return false }
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
    return true
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
