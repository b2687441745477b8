import CMuninnSystem
import Glibc
import Synchronization

/// How local storage makes files that get their name only when they are complete.
///
/// Where the file system knows nameless files (O_TMPFILE) a crash leaves nothing behind; elsewhere
/// they have a name below "tmp" until then.
struct NewFileMaker: ~Copyable, Sendable {
  let root: RootDirectory
  private let usesNameless: Atomic<Bool>

  init(root: RootDirectory, usesNameless: Bool) {
    self.root = root
    // Nameless files get their name through /proc.
    self.usesNameless = Atomic(usesNameless && access("/proc/self/fd", X_OK) == 0)
  }

  /// A new file that will get a name in `directory`, which exists (else ENOENT).
  func make(in directory: String) throws(DiskError) -> NewFile {
    guard usesNameless.load(ordering: .relaxed) else { return try makeNamed() }
    do throws(DiskError) {
      let file = try FileCalls.open(
        at: root.descriptor, directory.isEmpty ? "." : directory, flags: O_WRONLY,
        extra: .temporary, mode: RootDirectory.fileMode, path: { root.path(of: directory) })
      return try NewFile(root: root, file: file, temporaryName: nil)
    } catch {
      guard [EOPNOTSUPP, EISDIR, EINVAL].contains(error.errno) else { throw error }
      noteNamelessUnsupported()
      return try makeNamed()
    }
  }

  /// A new file that has a temporary name, and so can replace another.
  func makeNamed() throws(DiskError) -> NewFile {
    let directory = ObjectName.temporaryDirectory
    try root.makeDirectory(directory)
    while true {
      let random = Machine.randomBytes(12).map { byte in
        (byte < 16 ? "0" : "") + String(byte, radix: 16)
      }
      let name = directory + "/" + random.joined()
      do throws(DiskError) {
        let file = try FileCalls.open(
          at: root.descriptor, name, flags: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
          mode: RootDirectory.fileMode, path: root.path(of: name))
        return try NewFile(root: root, file: file, temporaryName: name)
      } catch {
        if !error.exists { throw error }
      }
    }
  }

  /// From now on files have temporary names.
  func noteNamelessUnsupported() { usesNameless.store(false, ordering: .relaxed) }
}

/// A file that has no object name yet; dropping it removes it. Used by one thread at a time.
final class NewFile {
  private let root: RootDirectory
  private let file: OpenFile
  /// Its name below the root until it gets its own, nil for a nameless file.
  private var temporaryName: String?

  var descriptor: CInt { file.descriptor }
  var isNameless: Bool { temporaryName == nil }

  fileprivate init(
    root: RootDirectory, file: consuming OpenFile, temporaryName: String?
  ) throws(DiskError) {
    self.root = root
    self.file = file
    self.temporaryName = temporaryName
    // Whatever the umask is: readable and writable by the owner, and nobody else.
    try FileCalls.setMode(of: descriptor, mode: RootDirectory.fileMode, path: root.path)
  }

  deinit { removeTemporaryName() }

  /// Gives the file its name. Returns false where the name is taken.
  func publish(as name: String) throws(DiskError) -> Bool {
    guard let temporaryName else {
      let result = SystemCall.shim {
        muninn_link_descriptor(descriptor, root.descriptor, name)
      }
      if result == -EEXIST { return false }
      try SystemCall.check(result, "link", { root.path(of: name) })
      return true
    }
    let linked = SystemCall.libc {
      linkat(root.descriptor, temporaryName, root.descriptor, name, 0)
    }
    switch linked {
    case -EEXIST:
      // Over NFS a repeated request may meet its own success: two names mean that ours is one.
      return try FileCalls.status(of: descriptor, path: root.path(of: name)).linkCount > 1
    case -EPERM, -EOPNOTSUPP, -ENOSYS, -EMLINK:
      return try renameNoReplace(temporaryName, name)
    default:
      try SystemCall.check(linked, "link", { root.path(of: name) })
      return true
    }
  }

  /// Gives a named file its final name, in place of what has it now.
  func replace(_ name: String) throws(DiskError) {
    guard let temporaryName else {
      throw SystemCall.failure(EINVAL, "rename", root.path(of: name))
    }
    try FileCalls.rename(
      fromDirectory: root.descriptor, temporaryName, toDirectory: root.descriptor, name,
      path: root.path(of: name))
    self.temporaryName = nil
  }

  private func renameNoReplace(_ temporaryName: String, _ name: String) throws(DiskError) -> Bool {
    do throws(DiskError) {
      try FileCalls.renameNoReplace(
        fromDirectory: root.descriptor, temporaryName, toDirectory: root.descriptor, name,
        path: root.path(of: name))
    } catch {
      if error.exists { return false }
      throw error
    }
    self.temporaryName = nil
    return true
  }

  /// A leftover does no harm, so an error is nobody's concern.
  private func removeTemporaryName() {
    guard let temporaryName else { return }
    self.temporaryName = nil
    _ = unlinkat(root.descriptor, temporaryName, 0)
  }
}
