import CMuninnSystem
import Glibc

/// Writes one object of a local repository: large writes at multiples of their size, each handed to
/// the device early, so that the sync at the end finds little left to do.
///
/// `@unchecked Sendable`: the protocol's contract is that one thread at a time uses it.
final class LocalObjectWriter: ObjectWriter, @unchecked Sendable {
  private static let writeByteCount = 1 << 20
  /// How much to gather before asking for write-back: requests of a size that disks like.
  private static let writeBackByteCount: UInt64 = 4 << 20

  private let name: String
  private let storage: LocalStorage
  private let buffer = Buffer(capacity: writeByteCount)
  /// Nil after `finish` and `discard`.
  private var file: NewFile?
  private var failure: DiskError?
  private var buffered = 0
  private var written: UInt64 = 0
  private var writtenBack: UInt64 = 0

  init(name: String, storage: LocalStorage, file: NewFile) {
    self.name = name
    self.storage = storage
    self.file = file
  }

  var byteCount: UInt64 { written + UInt64(buffered) }

  func append(_ bytes: UnsafeRawBufferPointer) throws(DiskError) {
    let file = try openFile("write")
    var rest = bytes
    while !rest.isEmpty {
      if buffered == 0 && rest.count >= Self.writeByteCount {
        let whole = rest.count - rest.count % Self.writeByteCount
        try write(UnsafeRawBufferPointer(rebasing: rest.prefix(whole)), to: file)
        rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(whole))
        continue
      }
      let part = UnsafeRawBufferPointer(rebasing: rest.prefix(Self.writeByteCount - buffered))
      UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[buffered...]).copyMemory(from: part)
      buffered += part.count
      rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(part.count))
      if buffered == Self.writeByteCount { try flush(to: file) }
    }
  }

  func finish() throws(DiskError) {
    let file = try openFile("finish")
    try flush(to: file)
    do throws(DiskError) {
      try FileCalls.sync(file.descriptor, path: path)
      try storage.publish(file, as: name)
    } catch {
      failure = error
      throw error
    }
    self.file = nil
  }

  func discard() { file = nil }

  private var path: String { storage.path(of: name) }

  private func openFile(_ operation: StaticString) throws(DiskError) -> NewFile {
    if let failure { throw failure }
    guard let file else { throw SystemCall.failure(EBADF, operation, path) }
    return file
  }

  private func flush(to file: NewFile) throws(DiskError) {
    let count = buffered
    buffered = 0
    try write(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count]), to: file)
  }

  private func write(_ bytes: UnsafeRawBufferPointer, to file: NewFile) throws(DiskError) {
    do throws(DiskError) {
      try FileCalls.write(file.descriptor, at: written, bytes, path: path)
    } catch {
      failure = error
      throw error
    }
    written += UInt64(bytes.count)
    if written - writtenBack >= Self.writeBackByteCount {
      // Only a hint: errors come out at the sync.
      _ = muninn_start_write_back(
        file.descriptor, Int64(writtenBack), Int64(written - writtenBack))
      writtenBack = written
    }
  }
}
