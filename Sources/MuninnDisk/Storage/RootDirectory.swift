import CMuninnSystem
import Glibc

/// An object opened for reading, and its size in bytes at that moment.
struct OpenObject: ~Copyable, Sendable {
  let file: OpenFile
  let size: UInt64

  var descriptor: CInt { file.descriptor }
}

/// The directory that a local repository is, held open: everything else is relative to it, so
/// moving or replacing its path does not mislead an operation halfway.
final class RootDirectory: Sendable {
  static let directoryMode: UInt16 = 0o700
  static let fileMode: UInt16 = 0o600

  let path: String
  private let file: OpenFile

  var descriptor: CInt { file.descriptor }

  init(path: String, create: Bool) throws(DiskError) {
    self.path = path
    if create { try Self.makeDirectories(path) }
    file = try FileCalls.open(
      at: AT_FDCWD, path, flags: O_RDONLY | O_DIRECTORY, path: path)
  }

  /// The path of an object, for error texts.
  func path(of name: String) -> String { name.isEmpty ? path : path + "/" + name }

  /// Opens an object for reading. Throws ENOENT for whatever is not a regular file: a directory is
  /// no object, and nothing here may block on a fifo.
  func openObject(_ name: String) throws(DiskError) -> OpenObject {
    let file: OpenFile
    do throws(DiskError) {
      file = try FileCalls.open(
        at: descriptor, name, flags: O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
        path: path(of: name))
    } catch {
      throw Self.absentObject(error)
    }
    let status = try FileCalls.status(of: file.descriptor, path: path(of: name))
    guard status.kind == .file else { throw SystemCall.failure(ENOENT, "open", path(of: name)) }
    return OpenObject(file: file, size: status.size)
  }

  /// The object's size, nil where there is none of that name.
  func objectSize(_ name: String) throws(DiskError) -> UInt64? {
    do throws(DiskError) {
      let status = try FileCalls.status(at: descriptor, name, path: path(of: name))
      return status.kind == .file ? status.size : nil
    } catch {
      guard Self.absentObject(error).isNotFound else { throw error }
      return nil
    }
  }

  /// Opens a directory below the root; "" is the root itself. A shard may be a symlink that an
  /// administrator made, so links are followed.
  func openDirectory(_ name: String) throws(DiskError) -> OpenFile {
    try FileCalls.open(
      at: descriptor, name.isEmpty ? "." : name, flags: O_RDONLY | O_DIRECTORY,
      path: path(of: name))
  }

  /// The names in a directory below the root.
  func listDirectory(_ name: String) throws(DiskError) -> DirectoryListing {
    let directory = try openDirectory(name)
    return try DirectoryListing.read(directory.descriptor, path: path(of: name))
  }

  /// Makes a directory below the root unless it is there.
  func makeDirectory(_ name: String) throws(DiskError) {
    try Self.makeDirectory(at: descriptor, name, path: path(of: name))
  }

  /// fsync of a directory below the root. Where directories cannot be synced or nothing can be
  /// written at all there is nothing to wait for.
  func syncDirectory(_ name: String) throws(DiskError) {
    let directory = try openDirectory(name)
    do throws(DiskError) {
      try FileCalls.sync(directory.descriptor, path: path(of: name))
    } catch {
      guard [EINVAL, EROFS, EOPNOTSUPP].contains(error.errno) else { throw error }
    }
  }

  /// "Not there" and "what should be a directory is a file" are the same to who looks for an
  /// object.
  static func absentObject(_ error: DiskError) -> DiskError {
    guard error.errno == ENOTDIR else { return error }
    return DiskError(errno: ENOENT, operation: error.operation, path: error.path)
  }

  /// Makes a directory and those above it, durably.
  private static func makeDirectories(_ path: String) throws(DiskError) {
    // From the longest prefix that exists downwards; "/" and the working directory always do.
    var missing: [String] = []
    var next = path
    while !next.isEmpty, next != "/", access(next, F_OK) != 0 {
      missing.append(next)
      while next.last == "/" { next.removeLast() }
      next = ObjectName.split(next).directory
    }
    for directory in missing.reversed() {
      try makeDirectory(at: AT_FDCWD, directory, path: directory)
      let parent = try FileCalls.open(
        at: AT_FDCWD, directory + "/..", flags: O_RDONLY | O_DIRECTORY, path: directory)
      try FileCalls.sync(parent.descriptor, path: directory)
    }
  }

  private static func makeDirectory(
    at directory: CInt, _ name: String, path: @autoclosure () -> String
  ) throws(DiskError) {
    do throws(DiskError) {
      try FileCalls.makeDirectory(at: directory, name, mode: directoryMode, path: path())
    } catch {
      if error.exists { return }
      throw error
    }
    // The umask may have taken away even the owner's bits.
    try FileCalls.setMode(at: directory, name, mode: directoryMode, path: path())
  }
}
