import Glibc

/// A repository in a directory. Directories have mode 0700 and files 0600, whatever the umask.
///
/// Opening, reading and listing write nothing, so a repository that is read-only for this user or
/// mounted so can be read.
package final class LocalStorage: Storage {
  /// Open files kept for ranged reads.
  private static let cachedDescriptorCount = 64

  let root: RootDirectory
  let directories: DirectoryLedger
  let newFiles: NewFileMaker
  let descriptors: DescriptorCache
  let directWriting: DirectWriting

  /// Opens an existing directory, or with `create` makes it and those above it where missing.
  /// `usesNamelessFiles` false is for tests of what happens where O_TMPFILE is missing;
  /// `writesDirectly` nil takes what is faster in most cases, see `DirectWriting`.
  package init(
    path: String, create: Bool, usesNamelessFiles: Bool = true, writesDirectly: Bool? = nil
  ) throws(DiskError) {
    directWriting = DirectWriting(isWanted: writesDirectly ?? DirectWriting.isDefault)
    root = try RootDirectory(path: path, create: create)
    directories = DirectoryLedger(root: root)
    newFiles = NewFileMaker(root: root, usesNameless: usesNamelessFiles)
    descriptors = DescriptorCache(capacity: Self.cachedDescriptorCount)
  }

  package var location: String { root.path }

  func path(of name: String) -> String { root.path(of: name) }

  package func read(
    _ name: String, maximumByteCount: Int
  ) throws(DiskError) -> [UInt8] {
    try ObjectName.check(name, operation: "read")
    let object = try root.openObject(name)
    guard object.size <= UInt64(max(0, maximumByteCount)) else {
      throw SystemCall.failure(EFBIG, "read", path(of: name))
    }
    var failure: DiskError?
    let bytes = [UInt8](unsafeUninitializedCapacity: Int(object.size)) { buffer, initialized in
      do throws(DiskError) {
        initialized = try FileCalls.read(
          object.descriptor, at: 0, into: UnsafeMutableRawBufferPointer(buffer),
          path: path(of: name))
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    return bytes
  }

  package func read(
    _ name: String, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(DiskError) -> Int {
    let entry = try entry(for: name)
    // The cache may let go of it meanwhile, which would close it.
    defer { withExtendedLifetime(entry) {} }
    return try FileCalls.read(
      entry.object.descriptor, at: offset, into: buffer, path: path(of: name))
  }

  /// Memory that is given up at once is what the next read is given: it need not be fetched anew.
  package func readOnce(
    _ name: String, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(DiskError) -> Int {
    let entry = try entry(for: name)
    defer { withExtendedLifetime(entry) {} }
    let descriptor = entry.object.descriptor
    let count = UInt64(buffer.count)
    let cached = FileCalls.cachedPages(of: descriptor, at: offset, count: count)
    let got = try FileCalls.read(descriptor, at: offset, into: buffer, path: path(of: name))
    // What the system read ahead of the last time is there as well: less than half.
    if let cached, cached * 2 * UInt64(Buffer.alignment) < count {
      FileCalls.dropPages(of: descriptor, at: offset, count: count)
    }
    return got
  }

  private func entry(for name: String) throws(DiskError) -> DescriptorCache.Entry {
    try descriptors.entry(for: name) { () throws(DiskError) -> OpenObject in
      try ObjectName.check(name, operation: "read")
      return try root.openObject(name)
    }
  }

  package func size(of name: String) throws(DiskError) -> UInt64 {
    try ObjectName.check(name, operation: "statx")
    guard let size = try root.objectSize(name) else {
      throw SystemCall.failure(ENOENT, "statx", path(of: name))
    }
    return size
  }

  package func freeByteCount() throws(DiskError) -> UInt64? {
    try FileCalls.freeBytes(of: root.descriptor, path: root.path)
  }

  package func list(_ prefix: String) throws(DiskError) -> [StoredObject] {
    try list(prefix, after: "")
  }

  package func list(_ prefix: String, after name: String) throws(DiskError) -> [StoredObject] {
    var pending = [try ObjectName.checkedPrefix(prefix)]
    var objects: [StoredObject] = []
    while let directory = pending.popLast() {
      try list(directory, after: name, into: &objects, directories: &pending)
    }
    objects.sort { $0.name < $1.name }
    return objects
  }

  /// Lists one directory. What vanishes meanwhile is left out, and so is what can be no object.
  private func list(
    _ directory: String, after earlier: String, into objects: inout [StoredObject],
    directories: inout [String]
  ) throws(DiskError) {
    let file: OpenFile
    do throws(DiskError) {
      file = try root.openDirectory(directory)
    } catch {
      if RootDirectory.absentObject(error).isNotFound { return }
      throw error
    }
    let listing = try DirectoryListing.read(file.descriptor, path: path(of: directory))
    for index in 0..<listing.count {
      let last = String(decoding: listing.name(index), as: UTF8.self)
      let name = directory.isEmpty ? last : directory + "/" + last
      // What lies below a directory may sort behind a name that the directory's own precedes.
      let isEarlier = name < earlier && !earlier.hasPrefix(name)
      guard !isEarlier, ObjectName.isValid(name) else { continue }
      do throws(DiskError) {
        let status = try FileCalls.status(at: file.descriptor, last, path: path(of: name))
        switch status.kind {
        case .file:
          if name > earlier { objects.append(StoredObject(name: name, size: status.size)) }
        case .directory: directories.append(name)
        case .symlink, .fifo, .socket, .characterDevice, .blockDevice: break
        }
      } catch {
        if !error.isNotFound { throw error }
      }
    }
  }
}
