internal import MuninnDisk
internal import MuninnFormat

extension ObjectName {
  /// Where repair keeps what it found damaged.
  package static let damagedPrefix = "damaged/"

  package static func damaged(_ name: String, _ folder: String) -> String {
    "\(damagedPrefix)\(folder)/\(name)"
  }
}

extension Store {
  /// Bytes that are copied at once.
  private static let copiedByteCount = 4 << 20

  /// A folder name for what is moved aside now: the time, UTC, to the nanosecond.
  package static func damagedFolder() -> String { Machine.timestamp(Machine.nowNanoseconds()) }

  /// Moves an object below `damaged/`: gives it that name where the storage can, else copies it,
  /// durably, and then deletes it under its own.
  ///
  /// Throws where it cannot be copied whole; it stays where it is then. An absent object is no
  /// error.
  package func moveAside(_ name: String, folder: String) throws(StoreError) {
    if let local = storage as? LocalStorage {
      do throws(DiskError) {
        try local.move(name, to: ObjectName.damaged(name, folder))
        return
      } catch {
        if error.isNotFound { return }
        // Some file systems cannot rename so: then it is copied.
      }
    }
    guard try copyAside(name, folder: folder) else { return }
    try onDisk(name) { () throws(DiskError) in try storage.delete(name) }
  }

  /// Copies an object below `damaged/`, durably; false where it is not there.
  package func copyAside(_ name: String, folder: String) throws(StoreError) -> Bool {
    let size: UInt64
    do throws(DiskError) { size = try storage.size(of: name) } catch {
      if error.isNotFound { return false }
      throw StoreError(error, object: name)
    }
    let target = ObjectName.damaged(name, folder)
    if let there = try? storage.size(of: target), there == size { return true }
    let writer = try onDisk(target) { () throws(DiskError) in
      try storage.create(target, expectedByteCount: size)
    }
    do throws(StoreError) {
      var offset: UInt64 = 0
      while offset < size {
        let count = Int(min(UInt64(Store.copiedByteCount), size - offset))
        let bytes = try read(name, at: offset, count: count)
        try onDisk(target) { () throws(DiskError) in
          try bytes.withUnsafeBytesTyped { (raw) throws(DiskError) in try writer.append(raw) }
        }
        offset += UInt64(count)
      }
      try onDisk(target) { () throws(DiskError) in
        try writer.finish()
        try storage.makeNamesDurable()
      }
    } catch {
      writer.discard()
      throw error
    }
    return true
  }
}
