import Glibc
import MuninnDisk

/// The regular files of a tree, in the order of a sorted depth-first walk.
enum SourceFiles {
  struct Entry {
    let path: String
    let size: UInt64
  }

  /// Symlinks are not followed; what cannot be read, or has no UTF-8 name, is left out.
  static func list(_ root: String) throws -> [Entry] {
    var found: [Entry] = []
    try walk(root) { path, status in
      if status.kind == .file { found.append(Entry(path: path, size: status.size)) }
    }
    return found
  }

  /// Hands every entry below `root` to `body`; returns how many there were.
  @discardableResult
  static func walk(_ root: String, _ body: (String, FileStatus) -> Void) throws -> Int {
    let status = try FileCalls.status(at: AT_FDCWD, root, path: root)
    guard status.kind == .directory else {
      body(root, status)
      return 1
    }
    let directory = try FileCalls.openDirectory(at: AT_FDCWD, root, path: root)
    return walk(directory, path: root, body)
  }

  private static func walk(
    _ directory: borrowing OpenFile, path: String, _ body: (String, FileStatus) -> Void
  ) -> Int {
    let descriptor = directory.descriptor
    guard let listing = try? DirectoryListing.read(descriptor, path: path) else { return 0 }
    var count = listing.count
    for index in 0..<listing.count {
      let bytes = listing.name(index)
      let child = path + "/" + String(decoding: bytes, as: UTF8.self)
      let name = bytes.map { CChar(bitPattern: $0) } + [0]
      guard let status = try? FileCalls.status(at: descriptor, name, path: child) else { continue }
      body(child, status)
      guard status.kind == .directory else { continue }
      guard let opened = try? FileCalls.openDirectory(at: descriptor, name, path: child) else {
        continue
      }
      count += walk(opened, path: child, body)
    }
    return count
  }

  /// The subdirectories of a corpus, sorted: its versions. The corpus itself where it has none.
  static func versions(_ corpus: String) throws -> [String] {
    let directory = try FileCalls.openDirectory(at: AT_FDCWD, corpus, path: corpus)
    let listing = try DirectoryListing.read(directory.descriptor, path: corpus)
    let names = (0..<listing.count).filter { listing.typeHint($0) == .directory }
      .map { corpus + "/" + String(decoding: listing.name($0), as: UTF8.self) }
    return names.isEmpty ? [corpus] : names
  }

  /// Maps a file's content and hands it to `body`; false where it cannot be opened or is empty.
  @discardableResult
  static func withContent(_ path: String, _ body: (UnsafeRawBufferPointer) throws -> Void) rethrows
    -> Bool
  {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_size > 0 else { return false }
    let length = Int(status.st_size)
    guard let base = mmap(nil, length, PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED
    else { return false }
    defer { munmap(base, length) }
    madvise(base, length, MADV_SEQUENTIAL)
    try body(UnsafeRawBufferPointer(start: base, count: length))
    return true
  }
}
