internal import MuninnDisk
internal import MuninnFormat

extension Store {
  /// What is wrong with the header or its copy: each is to be there, and the same bytes.
  /// The copy may be missing as long as nothing was committed: init may have crashed before it, and
  /// the first session writes it.
  package func headerProblems(isEmpty: Bool = false) -> [StoreError] {
    var problems: [StoreError] = []
    if let headerProblem { problems.append(headerProblem) }
    do throws(DiskError) {
      let copy = try storage.read(ObjectName.repositoryCopy, maximumByteCount: 1 << 16)
      if headerProblem == nil, copy != headerBytes {
        problems.append(
          StoreError(
            .damaged, "is not the same as the header", object: ObjectName.repositoryCopy))
      }
    } catch {
      if error.isNotFound, isEmpty { return problems }
      problems.append(StoreError(error, object: ObjectName.repositoryCopy))
    }
    return problems
  }

  /// Writes the header's copy where it is missing.
  func completeHeader() throws(StoreError) {
    do throws(DiskError) { _ = try storage.size(of: ObjectName.repositoryCopy) } catch {
      guard error.isNotFound else { return }
      try onDisk(ObjectName.repositoryCopy) { () throws(DiskError) in
        try storage.put(ObjectName.repositoryCopy, headerBytes)
      }
    }
  }

  /// Puts the good one of header and copy in the other's place, which is copied aside.
  package func repairHeader(folder: String) throws(StoreError) {
    let names = [ObjectName.repository, ObjectName.repositoryCopy]
    for name in names {
      let bytes = try? storage.read(name, maximumByteCount: 1 << 16)
      if bytes == headerBytes { continue }
      _ = try copyAside(name, folder: folder)
      try onDisk(name) { () throws(DiskError) in try storage.put(name, headerBytes) }
    }
  }
}
