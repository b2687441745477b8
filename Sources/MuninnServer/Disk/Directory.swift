import Glibc

/// Blocking questions about directories, answered with what a client can act on.
enum Directory {
  enum State: Sendable, Equatable { case absent, empty, filled, notDirectory }

  static func state(_ path: String) throws(Refusal) -> State {
    var information = stat()
    guard stat(path, &information) == 0 else {
      if errno == ENOENT { return .absent }
      throw refusal(errno, "cannot be looked at", path)
    }
    guard information.st_mode & S_IFMT == S_IFDIR else { return .notDirectory }
    guard let stream = opendir(path) else { throw refusal(errno, "cannot be read", path) }
    defer { closedir(stream) }
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        // Sound: readdir ends d_name with a zero byte within the record.
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { return .filled }
    }
    return .empty
  }

  /// Makes `path` and what is missing above it. Returns whether `path` itself is new.
  @discardableResult
  static func make(_ path: String, mode: mode_t = 0o755) throws(Refusal) -> Bool {
    if mkdir(path, mode) == 0 { return true }
    switch errno {
    case EEXIST:
      if try state(path) == .notDirectory {
        throw Refusal(.badRequest, "'\(path)' exists and is not a directory.")
      }
      return false
    case ENOENT:
      guard let slash = path.lastIndex(of: "/"), slash > path.startIndex else {
        throw refusal(ENOENT, "cannot be made", path)
      }
      try make(String(path[..<slash]), mode: mode)
      if mkdir(path, mode) == 0 { return true }
      if errno == EEXIST { return false }
      throw refusal(errno, "cannot be made", path)
    default:
      throw refusal(errno, "cannot be made", path)
    }
  }

  /// Removes a directory that nothing is in. One that something is in stays.
  static func removeIfEmpty(_ path: String) { _ = rmdir(path) }

  /// `path` with all links resolved; where its end does not exist yet, that end is kept as it is.
  static func resolved(_ path: String) throws(Refusal) -> String {
    if let real = realpath(path, nil) {
      defer { free(real) }
      return String(cString: real)
    }
    guard errno == ENOENT, let slash = path.lastIndex(of: "/") else {
      throw refusal(errno, "cannot be looked at", path)
    }
    let parent = slash == path.startIndex ? "/" : try resolved(String(path[..<slash]))
    return parent == "/" ? String(path[slash...]) : parent + path[slash...]
  }

  static func refusal(_ code: Int32, _ what: String, _ path: String) -> Refusal {
    let reason = String(cString: strerror(code))
    let message = "'\(path)' \(what): \(reason)."
    switch code {
    case EACCES, EPERM, EROFS: return Refusal(.forbidden, message)
    case ENOSPC, EDQUOT: return Refusal(.insufficientStorage, message)
    case ENOTDIR, ENAMETOOLONG, ELOOP, ENOENT: return Refusal(.badRequest, message)
    default: return Refusal(.internalServerError, message)
    }
  }
}
