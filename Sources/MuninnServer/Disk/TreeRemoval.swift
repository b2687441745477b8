import Glibc

/// Removes a directory tree of any depth with two open directories, without following links.
///
/// Subdirectories are moved up to the top under a name of their own before they are emptied, so no
/// path grows longer than two components and nothing recurses. Other file systems mounted inside
/// are left alone and reported.
enum TreeRemoval {
  /// Empties `path`, and removes it too where `removingTop` says so. A tree that is gone already is
  /// no error.
  static func remove(_ path: String, removingTop: Bool) throws(Refusal) {
    let top = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    guard top >= 0 else {
      if errno == ENOENT { return }
      throw Directory.refusal(errno, "cannot be removed", path)
    }
    defer { close(top) }
    var moved = 0
    var pending: [String] = []
    try empty(top, path: path, top: top, moved: &moved, pending: &pending)
    while let name = pending.popLast() {
      let directory = openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
      guard directory >= 0 else {
        if errno == ENOENT { continue }
        throw Directory.refusal(errno, "cannot be removed", path)
      }
      defer { close(directory) }
      try empty(directory, path: path, top: top, moved: &moved, pending: &pending)
      guard unlinkat(top, name, AT_REMOVEDIR) == 0 else {
        throw Directory.refusal(errno, "cannot be removed", path)
      }
    }
    if removingTop, rmdir(path) != 0, errno != ENOENT {
      throw Directory.refusal(errno, "cannot be removed", path)
    }
  }

  private static func empty(
    _ directory: Int32, path: String, top: Int32, moved: inout Int, pending: inout [String]
  ) throws(Refusal) {
    // A directory that its owner may not write to is still the owner's to empty.
    _ = fchmod(directory, 0o700)
    let copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard copy >= 0, let stream = fdopendir(copy) else {
      if copy >= 0 { close(copy) }
      throw Directory.refusal(errno, "cannot be read", path)
    }
    defer { closedir(stream) }
    while let entry = readdir(stream) {
      let failure: Int32 = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        // Sound: readdir ends d_name with a zero byte within the record. The name stays bytes all
        // the way.
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { name in
          removeEntry(name, in: directory, top: top, moved: &moved, pending: &pending)
        }
      }
      guard failure == 0 else { throw Directory.refusal(failure, "cannot be emptied", path) }
    }
  }

  /// The error number, or 0.
  private static func removeEntry(
    _ name: UnsafePointer<CChar>, in directory: Int32, top: Int32, moved: inout Int,
    pending: inout [String]
  ) -> Int32 {
    if strcmp(name, ".") == 0 || strcmp(name, "..") == 0 { return 0 }
    if unlinkat(directory, name, 0) == 0 || errno == ENOENT { return 0 }
    guard errno == EISDIR || errno == EPERM else { return errno }
    if directory == top, strncmp(name, prefix, prefix.utf8.count) == 0 {
      // Moved here in this very run, or left over from one that was interrupted.
      // Twice in `pending` does no harm.
      pending.append(String(cString: name))
      return 0
    }
    _ = fchmodat(directory, name, 0o700, 0)
    while true {
      moved += 1
      let place = prefix + String(moved)
      if renameat(directory, name, top, place) == 0 {
        pending.append(place)
        return 0
      }
      // The place may be taken by a directory that is left over from an interrupted run.
      guard errno == ENOTEMPTY || errno == EEXIST else { return errno }
    }
  }

  private static let prefix = ".muninn-removed-"
}
