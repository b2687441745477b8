import MuninnDisk

/// A regular file that is there and has no content yet, open for writing, and how much of its
/// metadata it has from birth. Belongs to one thread.
final class MadeFile {
  let descriptor: CInt
  let isOwnerDone: Bool
  let isModeDone: Bool
  /// Nil once it is closed.
  private var file: OpenFile?

  init(_ file: consuming OpenFile, isOwnerDone: Bool, isModeDone: Bool) {
    descriptor = file.descriptor
    self.file = consume file
    self.isOwnerDone = isOwnerDone
    self.isModeDone = isModeDone
  }

  func close(path: @autoclosure () -> String) throws(DiskError) {
    guard let file = file.take() else { return }
    try file.close(path: path())
  }
}
