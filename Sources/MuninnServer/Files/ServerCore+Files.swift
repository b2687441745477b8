import HTTPTypes
import MuninnDisk
import NIOCore

extension ServerCore {
  /// The tree of a file system, for a request about one of its files.
  ///
  /// The server's own files are nobody's, also where a file system holds the base directory.
  func tree(of fileSystem: FileSystemRecord, for path: TreePath?) async throws -> FileTree {
    let base = base
    let own = [stateDirectory] + ownFiles
    return try await Blocking.run { () throws(Refusal) in
      guard try Directory.state(fileSystem.data) != .absent else {
        throw Refusal(.conflict, "The data directory '\(fileSystem.data)' is missing.")
      }
      let root = try Directory.resolved(fileSystem.data)
      if let path, Location.isInside(base, root) {
        let whole = path.names.reduce(into: root == "/" ? "" : root) {
          $0 += "/" + String(decoding: $1, as: UTF8.self)
        }
        if whole == base || own.contains(where: { Location.isInside(whole, $0) }) {
          throw Refusal(.forbidden, "'\(path.text)' is the server's own.")
        }
      }
      return FileTree(root: root)
    }
  }
}

/// Bytes of an open file, read piece by piece as a client takes them.
struct FileContent: Sendable {
  private static let pieceByteCount: UInt64 = 1 << 18

  let file: FileTree.Handle
  let path: TreePath
  private(set) var offset: UInt64
  private(set) var rest: UInt64

  init(_ file: FileTree.Handle, _ path: TreePath, offset: UInt64, count: UInt64) {
    self.file = file
    self.path = path
    self.offset = offset
    rest = count
  }

  /// The next piece, nil at the end. A file that became shorter meanwhile is an error: the length
  /// has been promised.
  mutating func next() async throws -> ByteBuffer? {
    guard rest > 0 else { return nil }
    let count = Int(min(rest, Self.pieceByteCount))
    let (file, path, offset) = (file, path, offset)
    let buffer = try await Blocking.run { () throws(Refusal) in
      var buffer = ByteBufferAllocator().buffer(capacity: count)
      let got = try onFile(path.text) { () throws(DiskError) in
        try Self.read(file.descriptor, offset, count, into: &buffer, path.text)
      }
      guard got == count else {
        throw Refusal(.conflict, "'\(path.text)' became shorter while it was sent.")
      }
      return buffer
    }
    self.offset += UInt64(count)
    rest -= UInt64(count)
    return buffer
  }

  private static func read(
    _ descriptor: CInt, _ offset: UInt64, _ count: Int, into buffer: inout ByteBuffer,
    _ path: String
  ) throws(DiskError) -> Int {
    var result: Result<Int, DiskError> = .success(0)
    buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { bytes in
      do throws(DiskError) {
        let target = UnsafeMutableRawBufferPointer(rebasing: bytes[..<count])
        let got = try FileCalls.read(descriptor, at: offset, into: target, path: path)
        result = .success(got)
        return got
      } catch {
        result = .failure(error)
        return 0
      }
    }
    return try result.get()
  }
}
