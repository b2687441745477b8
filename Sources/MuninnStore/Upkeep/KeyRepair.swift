internal import MuninnDisk
internal import MuninnFormat

extension Store {
  /// What is wrong with the objects that open an encrypted repository: slots that cannot be read,
  /// and the marker of the newest master key.
  package func keyProblems() throws(StoreError) -> [StoreError] {
    guard let keys else { return [] }
    let objects = try keyObjects()
    // A newer one was put by somebody else since this store was opened.
    guard objects.newest.epoch <= keys.newest.epoch else { return objects.damaged }
    return objects.damaged + [markerProblem(keys)].compactMap { $0 }
  }

  private func markerProblem(_ keys: KeyRing) -> StoreError? {
    guard keys.newest.epoch > 1 else { return nil }
    let name = ObjectName.epoch(keys.newest.epoch)
    do throws(StoreError) {
      let bytes = try onDisk(name) { () throws(DiskError) in
        try storage.read(name, maximumByteCount: 4096)
      }
      let object = Identifier(high: 0, low: UInt64(keys.newest.epoch))
      let envelope = try envelope(of: bytes, name: name, object: object)
      guard envelope.kind == .keyEpoch, envelope.key == keys.newest else {
        throw StoreError(.damaged, "is the marker of another master key", object: name)
      }
      try decoding(name) { () throws(FormatError) in
        let seal = try Seal(envelope: envelope, keys: keys)
        try bytes.withUnsafeBytesTyped { (raw) throws(FormatError) in
          let frame = UnsafeRawBufferPointer(rebasing: raw[Envelope.byteCount...])
          let size = try seal.open(frame, kind: .keyEpoch, number: 0, limit: 64).frame
          guard size == frame.count else {
            throw FormatError(.invalidValue, "\(frame.count - size) bytes follow its frame")
          }
        }
      }
      return nil
    } catch {
      return error
    }
  }

  /// Moves aside slots that cannot be read, which open nothing, and writes the newest master key's
  /// marker anew where it is damaged or lost.
  package func repairKeys(folder: String) throws(StoreError) {
    guard let keys else { return }
    for problem in try keyProblems() {
      guard let name = problem.object else { continue }
      // What a newer build wrote is no damage.
      guard problem.code == .damaged || problem.code == .notFound else { throw problem }
      if name.hasPrefix(ObjectName.keyPrefix) {
        try moveAside(name, folder: folder)
        continue
      }
      _ = try copyAside(name, folder: folder)
      let bytes = try markerBytes(of: keys)
      try onDisk(name) { () throws(DiskError) in try storage.put(name, bytes) }
    }
  }
}
