internal import MuninnDisk
internal import MuninnFormat
internal import MuninnPipeline

/// A restore that began and did not end: it was stopped, or the process or the system went down.
public struct UnfinishedRestore: Sendable, Codable, Equatable {
  /// The snapshot that is being restored, and the repository it is of.
  public let snapshot: String
  public let repositoryID: String
  public let target: String
  /// When the first attempt began, in seconds since 1970, UTC, and how many there were.
  public let started: Double
  public let attempts: UInt32
  /// Whether the target held nothing before, so that all that is in it can be removed.
  public let hadEmptyTarget: Bool

  /// The unfinished restore to `target`, an absolute path; nil where there is none. The directory
  /// is that of the restore's request: nil for the state directory.
  ///
  /// Throws `busy` where that restore is running.
  public static func find(
    target: String, journalDirectory: String? = nil, options: OpenOptions = OpenOptions()
  ) async throws(MuninnError) -> UnfinishedRestore? {
    let directory = journalDirectory ?? LocalState(directory: options.stateDirectory).directory
    return try await onEngineThread { (_) throws(MuninnError) in
      let attempt = try asMuninn(pipeline: { () throws(PipelineError) in
        try RestoreJournal.find(directory: directory, target: pathBytes(display: target))
      })
      return attempt.map { UnfinishedRestore($0) }
    }
  }

  /// Removes what an unfinished restore has written to `target`, and forgets it. Returns the number
  /// of entries that were removed.
  ///
  /// Only a target that was empty before can be cleaned: everything in it goes, and the directory
  /// too where the restore had made it. A restore onto an existing tree cannot be taken back; it is
  /// forgotten, and `invalidInput` says so. Throws `notFound` where there is no unfinished restore,
  /// or the directory is another one now, and `busy` where the restore is running.
  public static func clean(
    target: String, journalDirectory: String? = nil, options: OpenOptions = OpenOptions()
  ) async throws(MuninnError) -> UInt64 {
    let directory = journalDirectory ?? LocalState(directory: options.stateDirectory).directory
    return try await onEngineThread { (cancellation) throws(MuninnError) in
      try asMuninn(pipeline: { () throws(PipelineError) in
        try RestoreJournal.clean(
          directory: directory, target: pathBytes(display: target), cancellation: cancellation)
      })
    }
  }

  init(_ attempt: RestoreJournal.Attempt) {
    snapshot = attempt.snapshot.description
    repositoryID = attempt.repository.description
    target = displayPath(attempt.target)
    started = Double(attempt.startedNanoseconds) / 1e9
    attempts = attempt.number
    hadEmptyTarget = attempt.targetWasEmpty
  }
}
