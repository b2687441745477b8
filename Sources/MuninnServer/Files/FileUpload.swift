import Crypto
import Glibc
import MuninnDisk
import NIOCore
import Synchronization

/// A file that is being written beside the one it will replace. It has no name until it is
/// complete, so a backup, a download or a crash sees the old file or the new one, each whole.
///
/// Used by one request; dropping it unfinished leaves nothing behind. All calls block.
final class FileUpload: Sendable {
  private struct State: ~Copyable, Sendable {
    var digest = Insecure.MD5()
    var byteCount: UInt64 = 0
    /// The name that an unfinished file has where the disk knows no nameless ones.
    var temporaryName: [UInt8]?
  }

  private let directory: FileTree.Handle
  private let path: TreePath
  private let file: FileTree.Handle
  /// What the file will replace, as it was when the upload began.
  private let replaced: FileStatus?
  private let state: Mutex<State>

  /// Room for `expectedByteCount` is reserved at once where it is known, so that a full disk is
  /// noticed before the bytes are sent.
  init(
    in tree: FileTree, _ path: TreePath, expectedByteCount: UInt64?,
    _ mayReplace: (FileStatus?) throws(Refusal) -> Void
  ) throws(Refusal) {
    let directory = try tree.directory(path.parent, creating: true)
    let replaced = try tree.status(of: path.name, in: directory, path.text)
    if let replaced, replaced.kind != .file { throw FileTree.notRegular(path) }
    try mayReplace(replaced)
    let (file, name) = try Self.open(in: directory, path)
    self.directory = directory
    self.path = path
    self.file = file
    self.replaced = replaced
    state = Mutex(State(temporaryName: name))
    if let expectedByteCount, expectedByteCount > 0 {
      _ = try onFile(path.text) { () throws(DiskError) in
        try FileCalls.reserve(file.descriptor, expectedByteCount, path: path.text)
      }
    }
  }

  deinit {
    state.withLock { state in
      guard let name = state.temporaryName else { return }
      withCName(name) { _ = unlinkat(directory.descriptor, $0, 0) }
    }
  }

  private static func open(
    in directory: FileTree.Handle, _ path: TreePath
  ) throws(Refusal) -> (FileTree.Handle, [UInt8]?) {
    try onFile(path.text) { () throws(DiskError) in
      if let file = try FileCalls.openNameless(
        in: directory.descriptor, mode: 0o644, path: path.text)
      {
        return (FileTree.Handle(file), nil)
      }
      let name = temporaryName()
      let file = try withCName(name) { name throws(DiskError) in
        try FileCalls.open(
          at: directory.descriptor, name, flags: O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW,
          mode: 0o644, path: path.text)
      }
      return (FileTree.Handle(file), name)
    }
  }

  private static func temporaryName() -> [UInt8] {
    Array((TreePath.uploadPrefix + FileSystemRecord.freshID()).utf8)
  }

  func append(_ buffer: ByteBuffer) throws(Refusal) {
    try onFile(path.text) { () throws(DiskError) in
      try buffer.withUnsafeReadableBytes { bytes throws(DiskError) in
        try FileCalls.write(file.descriptor, bytes, path: path.text)
        state.withLock {
          $0.digest.update(bufferPointer: bytes)
          $0.byteCount += UInt64(bytes.count)
        }
      }
    }
  }

  /// The MD5 of what was written, in lower-case hexadecimal, and its length.
  func summary() -> (digest: String, byteCount: UInt64) {
    state.withLock { (FileDigest.text($0.digest.finalize()), $0.byteCount) }
  }

  /// Gives the complete file its name. When this returns, it is on stable storage.
  func publish(_ metadata: [ExtendedAttribute], digest: String) throws(Refusal) -> FileStatus {
    if let replaced {
      // Who may read it does not change with its content; another owner is not always allowed.
      try? FileCalls.setOwner(
        of: file.descriptor, user: replaced.userID, group: replaced.groupID, path: path.text)
      try? FileCalls.setMode(of: file.descriptor, mode: replaced.mode, path: path.text)
    }
    try FileMetadata.write(metadata, to: file.descriptor, path)
    return try onFile(path.text) { () throws(DiskError) in
      let written = try FileCalls.status(of: file.descriptor, path: path.text)
      // Metadata is a cache here: a disk without attributes has files all the same.
      try? FileDigest.remember(digest, of: file.descriptor, written)
      try FileCalls.sync(file.descriptor, path: path.text)
      let temporary = state.withLock { $0.temporaryName } ?? Self.temporaryName()
      try withCName(temporary) { from throws(DiskError) in
        if state.withLock({ $0.temporaryName == nil }) {
          try FileCalls.nameFile(file.descriptor, in: directory.descriptor, from, path: path.text)
        }
        state.withLock { $0.temporaryName = temporary }
        try withCName(path.name) { name throws(DiskError) in
          try FileCalls.rename(
            fromDirectory: directory.descriptor, from, toDirectory: directory.descriptor, name,
            path: path.text)
        }
        state.withLock { $0.temporaryName = nil }
      }
      try FileCalls.sync(directory.descriptor, path: path.text)
      return try FileCalls.status(of: file.descriptor, path: path.text)
    }
  }
}
