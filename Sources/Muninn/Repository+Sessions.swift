internal import MuninnDisk
internal import MuninnFormat
internal import MuninnStore

/// Who is at work on a repository, as its note says.
public struct SessionReport: Sendable, Codable, Equatable {
  /// What becomes of the session's note.
  public enum State: String, Sendable, Codable {
    /// Its process runs, or it cannot be seen from here and has renewed its note within a day.
    case working
    /// It seems dead: the next backup adopts what it stored, or the next prune deletes it.
    case dead
    /// It ended and left something to be adopted or deleted.
    case over
  }

  /// The 16 hexadecimal digits that begin the names of all that the session stored.
  public let id: String
  /// `backup`, `restore`, `check` and the like.
  public let work: String
  public let state: State
  public let host: String
  public let process: Int32
  /// Seconds since 1970, UTC, when it began and when it last renewed its note; nil where the note
  /// does not say.
  public let began: Double?
  public let renewed: Double?
  /// The newest journal record when it began. A prune leaves what was condemned later to others.
  public let record: UInt64
}

extension Repository {
  /// Who is at work on the repository, longest at work first. A listing registers nowhere, and is
  /// never among them.
  public func sessions() async throws(MuninnError) -> [SessionReport] {
    try await onEngineThread { [self] (_) throws(MuninnError) in
      let notes = try asMuninn(store: { () throws(StoreError) in try store.sessions() })
      let now = Machine.nowNanoseconds()
      return notes.map { SessionReport($0, at: now) }
        .sorted { ($0.began ?? 0, $0.id) < ($1.began ?? 0, $1.id) }
    }
  }
}

extension SessionReport {
  init(_ note: SessionNote, at nanoseconds: Int64) {
    func seconds(_ time: Int64) -> Double? { time == 0 ? nil : Double(time) / 1e9 }
    self.init(
      id: String(note.session.description.prefix(16)), work: note.work.rawValue,
      state: note.isOver ? .over : note.seemsDead(at: nanoseconds) ? .dead : .working,
      host: note.owner.host, process: note.owner.process, began: seconds(note.begunNanoseconds),
      renewed: seconds(note.renewedNanoseconds), record: note.record)
  }
}
