internal import MuninnFormat
internal import MuninnPipeline
internal import MuninnStore

extension MuninnError {
  init(_ error: StoreError) {
    let code: Code =
      switch error.code {
      case .notARepository: .notARepository
      case .alreadyExists: .alreadyExists
      case .notFound: .notFound
      case .unsupportedFormat: .unsupportedFormat
      case .damaged: .damaged
      case .rolledBack: .rolledBack
      case .wrongKey: .wrongKey
      case .noSpace: .noSpace
      case .accessDenied: .accessDenied
      case .invalidInput: .invalidInput
      case .fenced: .busy
      case .cancelled: .cancelled
      case .inputOutput: .inputOutput
      }
    self.init(code, error.description, path: error.object)
  }

  init(_ error: PipelineError) {
    if let store = error.store {
      self.init(store)
      partialSnapshot = error.partial?.description
      return
    }
    let code: Code =
      switch error.code {
      case .invalidInput: .invalidInput
      case .notFound: .notFound
      case .damaged: .damaged
      case .noSpace: .noSpace
      case .accessDenied: .accessDenied
      case .cancelled: .cancelled
      case .busy: .busy
      case .inputOutput, .store: .inputOutput
      }
    self.init(code, error.message, path: error.path)
    partialSnapshot = error.partial?.description
  }
}

func asMuninn<R>(store body: () throws(StoreError) -> R) throws(MuninnError) -> R {
  do { return try body() } catch { throw MuninnError(error) }
}

func asMuninn<R>(pipeline body: () throws(PipelineError) -> R) throws(MuninnError) -> R {
  do { return try body() } catch { throw MuninnError(error) }
}

private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

extension Snapshot {
  init(
    _ record: SnapshotRecord, _ journal: JournalState? = nil,
    supersededBy successor: Identifier? = nil
  ) {
    let hold = journal?.upkeep.holds[record.id]
    self.init(
      id: record.id.description, parent: record.parent?.description,
      kind: record.isPartial ? .partial : record.isFull ? .full : .incremental,
      started: Double(record.startedNanoseconds) / 1e9,
      completed: Double(record.completedNanoseconds) / 1e9, host: text(record.host),
      user: text(record.user), programVersion: text(record.programVersion),
      paths: record.paths.map { displayPath($0) }, tags: record.tags.map(text),
      fileSystemID: record.fileSystem?.description,
      fileSystemName: record.fileSystemName.isEmpty ? nil : text(record.fileSystemName),
      document: record.document.isEmpty ? nil : text(record.document),
      statistics: BackupStatistics(record.counts), isHeld: hold != nil,
      holdReason: hold.flatMap { $0.isEmpty ? nil : text($0) },
      repairs: record.repairs?.description, supersededBy: successor?.description)
  }
}

extension BackupStatistics {
  init(_ counts: SnapshotCounts) {
    entries = counts.entries
    files = counts.files
    directories = counts.directories
    filesNew = counts.filesNew
    filesChanged = counts.filesChanged
    filesUnchanged = counts.filesUnchanged
    bytes = counts.bytes
    bytesRead = counts.bytesRead
    bytesNew = counts.bytesNew
    bytesStored = counts.bytesStored
    chunksNew = counts.chunksNew
    chunksDuplicate = counts.chunksDuplicate
    errors = counts.errors
  }
}

extension ManifestEntry {
  /// The first name of a file that this entry is a further one of.
  fileprivate var firstName: [UInt8]? {
    if case .later(let first) = hardLink { first } else { nil }
  }
}

extension Entry {
  init(_ entry: ManifestEntry) {
    let kind: Kind =
      switch entry.kind {
      case .file: .file
      case .directory: .directory
      case .symlink: .symlink
      case .fifo: .fifo
      case .socket: .socket
      case .characterDevice: .characterDevice
      case .blockDevice: .blockDevice
      }
    self.init(
      path: displayPath(entry.path), kind: kind, mode: UInt32(entry.mode), userID: entry.userID,
      groupID: entry.groupID, userName: text(entry.userName), groupName: text(entry.groupName),
      size: entry.size, modifiedNanoseconds: entry.modifiedNanoseconds,
      linkTarget: entry.kind == .symlink ? displayPath(entry.linkTarget) : nil,
      changedNanoseconds: entry.changedNanoseconds,
      birthNanoseconds: entry.birthNanoseconds == 0 ? nil : entry.birthNanoseconds,
      hardLinkTo: entry.firstName.map { displayPath($0) },
      attributeNames: entry.attributes.map { displayPath($0.name) },
      inodeFlags: entry.inodeFlags, isUnstable: entry.isUnstable, isDamaged: entry.isDamaged)
  }
}
