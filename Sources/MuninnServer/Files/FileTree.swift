import Glibc
import MuninnDisk

/// The files of a file system, reached from its data directory name by name: no link is followed,
/// so nothing outside can be reached. All calls block.
struct FileTree: Sendable {
  /// The absolute path of the data directory.
  let root: String

  /// An open file or directory, shared by what uses it and closed after the last.
  final class Handle: Sendable {
    private let file: OpenFile
    var descriptor: CInt { file.descriptor }
    init(_ file: consuming OpenFile) { self.file = file }
  }

  /// Opens the directory that `names` mean; missing ones are made where `creating` says so.
  func directory(
    _ names: ArraySlice<[UInt8]>, creating: Bool = false
  ) throws(Refusal) -> Handle {
    var current = try openRoot()
    for index in names.indices {
      let text = TreePath.text(names[...index])
      current = try directory(names[index], in: current, text, creating: creating)
    }
    return current
  }

  private func openRoot() throws(Refusal) -> Handle {
    try onFile("/") { () throws(DiskError) in
      Handle(try FileCalls.open(at: AT_FDCWD, root, flags: O_RDONLY | O_DIRECTORY, path: "/"))
    }
  }

  private func directory(
    _ name: [UInt8], in parent: Handle, _ text: String, creating: Bool
  ) throws(Refusal) -> Handle {
    try onFile(text) { () throws(DiskError) in
      try withCName(name) { name throws(DiskError) in
        do throws(DiskError) {
          return Handle(try FileCalls.openDirectory(at: parent.descriptor, name, path: text))
        } catch {
          guard error.isNotFound, creating else { throw error }
        }
        do throws(DiskError) {
          try FileCalls.makeDirectory(at: parent.descriptor, name, mode: 0o755, path: text)
          try FileCalls.sync(parent.descriptor, path: text)
        } catch {
          if !error.exists { throw error }
        }
        return Handle(try FileCalls.openDirectory(at: parent.descriptor, name, path: text))
      }
    }
  }

  /// What has that name; nil where nothing has.
  func status(of name: [UInt8], in directory: Handle, _ text: String) throws(Refusal)
    -> FileStatus?
  {
    try onFile(text) { () throws(DiskError) in
      try withCName(name) { name throws(DiskError) in
        do throws(DiskError) {
          return try FileCalls.status(at: directory.descriptor, name, path: text)
        } catch {
          if error.isNotFound { return nil }
          throw error
        }
      }
    }
  }

  /// Opens a regular file; 404 where there is none, 409 where it is something else.
  func file(_ path: TreePath) throws(Refusal) -> (handle: Handle, status: FileStatus) {
    let directory = try directory(path.parent)
    guard let status = try status(of: path.name, in: directory, path.text) else {
      throw Refusal(.notFound, "There is no file '\(path.text)'.")
    }
    guard status.kind == .file else { throw Self.notRegular(path) }
    return try onFile(path.text) { () throws(DiskError) in
      try withCName(path.name) { name throws(DiskError) in
        let file = try FileCalls.openForReading(at: directory.descriptor, name, path: path.text)
        // What was looked at may have been replaced meanwhile: what was opened counts.
        let status = try FileCalls.status(of: file.descriptor, path: path.text)
        return (Handle(file), status)
      }
    }
  }

  /// Removes a regular file; 404 where there is none.
  func remove(_ path: TreePath) throws(Refusal) {
    let directory = try directory(path.parent)
    guard let status = try status(of: path.name, in: directory, path.text) else {
      throw Refusal(.notFound, "There is no file '\(path.text)'.")
    }
    guard status.kind == .file else { throw Self.notRegular(path) }
    try onFile(path.text) { () throws(DiskError) in
      try withCName(path.name) { name throws(DiskError) in
        try FileCalls.unlink(at: directory.descriptor, name, path: path.text)
      }
      try FileCalls.sync(directory.descriptor, path: path.text)
    }
  }

  static func notRegular(_ path: TreePath) -> Refusal {
    Refusal(.conflict, "'\(path.text)' is not a regular file; only such can be sent or changed.")
  }
}

/// Calls `body` with the name as the C string that system calls take. The name holds no NUL.
func withCName<Result: ~Copyable, Failure: Error>(
  _ name: [UInt8], _ body: (UnsafePointer<CChar>) throws(Failure) -> Result
) throws(Failure) -> Result {
  let text = name.map { CChar(bitPattern: $0) } + [0]
  return try body(text)
}

/// Turns what the disk refused about the file `text` into an answer.
func onFile<Value>(
  _ text: String, _ body: () throws(DiskError) -> Value
) throws(Refusal) -> Value {
  do throws(DiskError) {
    return try body()
  } catch {
    let message = "'\(text)' (\(error.operation)): \(error.reason)."
    switch error.errno {
    case ENOENT: throw Refusal(.notFound, message)
    case ENOTDIR, EISDIR, EEXIST, ELOOP:
      throw Refusal(.conflict, message + " Links are not followed.")
    case EACCES, EPERM, EROFS: throw Refusal(.forbidden, message)
    case ENOSPC, EDQUOT, EFBIG: throw Refusal(.insufficientStorage, message)
    case ENAMETOOLONG, EINVAL: throw Refusal(.badRequest, message)
    default: throw Refusal(.internalServerError, message)
    }
  }
}
