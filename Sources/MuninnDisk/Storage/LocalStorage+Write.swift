import CMuninnSystem
import Glibc

// What changes a local repository. The order is always: content, fsync, name, fsync of the
// directory.
extension LocalStorage {
  package func putIfAbsent(_ name: String, _ bytes: [UInt8]) throws(DiskError) -> Bool {
    try ObjectName.check(name, operation: "link")
    // Writers that race for a journal number mostly find it taken: that is known without a write.
    if try root.objectSize(name) != nil {
      try makeDurable(name)
      return false
    }
    let file = try makeFile(for: name)
    try write(bytes, to: file, name)
    guard try publishIfAbsent(file, as: name) else {
      try makeDurable(name)
      return false
    }
    try directories.sync(ObjectName.split(name).directory)
    return true
  }

  package func put(_ name: String, _ bytes: [UInt8]) throws(DiskError) {
    try ObjectName.check(name, operation: "rename")
    let directory = ObjectName.split(name).directory
    try directories.prepare(directory)
    let file = try newFiles.makeNamed()
    try write(bytes, to: file, name)
    do throws(DiskError) {
      try file.replace(name)
    } catch {
      guard error.isNotFound else { throw error }
      try directories.prepare(directory, wasMissing: true)
      try file.replace(name)
    }
    descriptors.remove(name)
    try directories.sync(directory)
  }

  package func create(
    _ name: String, expectedByteCount: UInt64
  ) throws(DiskError) -> any ObjectWriter {
    try ObjectName.check(name, operation: "create")
    if try root.objectSize(name) != nil {
      throw SystemCall.failure(EEXIST, "create", path(of: name))
    }
    return LocalObjectWriter(
      name: name, storage: self, file: try makeFile(for: name),
      expectedByteCount: expectedByteCount)
  }

  package func makeNamesDurable() throws(DiskError) { try directories.syncAll() }

  package func makeDurable(_ name: String) throws(DiskError) {
    try ObjectName.check(name, operation: "fsync")
    let object = try root.openObject(name)
    do throws(DiskError) {
      try FileCalls.sync(object.descriptor, path: path(of: name))
    } catch {
      // Nothing can be pending on a file system that takes no writes.
      guard error.errno == EROFS else { throw error }
    }
    try directories.sync(ObjectName.split(name).directory)
  }

  /// Gives an object another name, which nothing has, durably; also one whose bytes cannot be read.
  package func move(_ name: String, to target: String) throws(DiskError) {
    try ObjectName.check(name, operation: "rename")
    try ObjectName.check(target, operation: "rename")
    let directory = ObjectName.split(target).directory
    try directories.prepare(directory)
    descriptors.remove(name)
    try FileCalls.renameNoReplace(
      fromDirectory: root.descriptor, name, toDirectory: root.descriptor, target,
      path: path(of: name))
    try directories.sync(directory)
    try directories.sync(ObjectName.split(name).directory)
  }

  package func delete(_ name: String) throws(DiskError) {
    try ObjectName.check(name, operation: "unlink")
    descriptors.remove(name)
    do throws(DiskError) {
      try FileCalls.unlink(at: root.descriptor, name, path: path(of: name))
    } catch {
      // A directory is no object (EISDIR), so there is none of that name.
      guard RootDirectory.absentObject(error).isNotFound || error.errno == EISDIR else {
        throw error
      }
    }
  }

  /// Removes what crashed writers left below "tmp" and nobody touched for that long; returns how
  /// many files. Should one belong to a writer after all, its `put` or `finish` fails and nothing
  /// is lost.
  @discardableResult
  package func deleteAbandonedFiles(olderThanNanoseconds age: Int64) throws(DiskError) -> Int {
    let directory = ObjectName.temporaryDirectory
    let names: DirectoryListing
    do throws(DiskError) {
      names = try root.listDirectory(directory)
    } catch {
      if error.isNotFound { return 0 }
      throw error
    }
    let limit = Machine.nowNanoseconds() - age
    var count = 0
    for index in 0..<names.count {
      let name = directory + "/" + String(decoding: names.name(index), as: UTF8.self)
      do throws(DiskError) {
        let status = try FileCalls.status(at: root.descriptor, name, path: path(of: name))
        guard status.kind == .file, status.changedNanoseconds < limit else { continue }
        try FileCalls.unlink(at: root.descriptor, name, path: path(of: name))
        count += 1
      } catch {
        if !error.isNotFound { throw error }
      }
    }
    return count
  }

  /// Gives a written and synced file its name; EEXIST where that is taken. Durable later.
  func publish(_ file: NewFile, as name: String) throws(DiskError) {
    guard try publishIfAbsent(file, as: name) else {
      throw SystemCall.failure(EEXIST, "link", path(of: name))
    }
    directories.noteChange(ObjectName.split(name).directory)
  }

  private func publishIfAbsent(_ file: NewFile, as name: String) throws(DiskError) -> Bool {
    do throws(DiskError) {
      return try file.publish(as: name)
    } catch {
      if error.isNotFound {
        try directories.prepare(ObjectName.split(name).directory, wasMissing: true)
        return try file.publish(as: name)
      }
      // A system that makes nameless files and then gives them no name is asked no more.
      if file.isNameless { newFiles.noteNamelessUnsupported() }
      throw error
    }
  }

  private func makeFile(for name: String) throws(DiskError) -> NewFile {
    let directory = ObjectName.split(name).directory
    try directories.prepare(directory)
    do throws(DiskError) {
      return try newFiles.make(in: directory)
    } catch {
      guard error.isNotFound else { throw error }
      try directories.prepare(directory, wasMissing: true)
      return try newFiles.make(in: directory)
    }
  }

  private func write(_ bytes: [UInt8], to file: NewFile, _ name: String) throws(DiskError) {
    let result = bytes.withUnsafeBytes { bytes -> Result<Void, DiskError> in
      do throws(DiskError) {
        try FileCalls.write(file.descriptor, at: 0, bytes, path: path(of: name))
        return .success(())
      } catch {
        return .failure(error)
      }
    }
    try result.get()
    try FileCalls.sync(file.descriptor, path: path(of: name))
  }
}
