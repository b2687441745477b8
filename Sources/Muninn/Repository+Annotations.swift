internal import MuninnFormat
internal import MuninnStore

/// What the owner of a repository decided for all who use it.
public struct RepositoryOptions: Sendable, Codable, Equatable {
  /// For so many seconds after a snapshot was forgotten, `prune` leaves alone what it needed. It
  /// counts for what is forgotten while it is set.
  public var minimumAgeSeconds: UInt64 = 0

  public init() {}
}

extension Repository {
  /// Adds and removes tags of snapshots, named by ids or unambiguous beginnings of them, and
  /// returns them as they are then.
  ///
  /// Throws `notFound` for an unknown id, `invalidInput` for an empty tag.
  @discardableResult
  public func tag(
    _ ids: [String], adding added: [String] = [], removing removed: [String] = []
  ) async throws(MuninnError) -> [Snapshot] {
    guard !(added + removed).contains("") else {
      throw MuninnError(.invalidInput, "a tag must not be empty")
    }
    return try await annotate(ids) { annotation in
      annotation.addedTags = added.map { Array($0.utf8) }
      annotation.removedTags = removed.map { Array($0.utf8) }
    }
  }

  /// Protects snapshots from being forgotten, by whatever rule or name, until the hold is lifted.
  ///
  /// Throws `notFound` for an unknown id.
  @discardableResult
  public func hold(
    _ ids: [String], reason: String = ""
  ) async throws(MuninnError) -> [Snapshot] {
    try await annotate(ids) { annotation in
      annotation.hold = .set
      annotation.reason = Array(reason.utf8)
    }
  }

  /// Lifts holds. One that is not there is lifted already.
  @discardableResult
  public func liftHold(_ ids: [String]) async throws(MuninnError) -> [Snapshot] {
    try await annotate(ids) { $0.hold = .lifted }
  }

  private func annotate(
    _ ids: [String], _ say: @escaping @Sendable (inout Annotation) -> Void
  ) async throws(MuninnError) -> [Snapshot] {
    try await onEngineThread { [self] (_) throws(MuninnError) in
      var journal = try currentJournal()
      var named: [Identifier] = []
      try change(&journal) { (journal) throws(MuninnError) in
        named = []
        for id in ids {
          let snapshot = try select(.id(id), in: journal).id
          if !named.contains(snapshot) { named.append(snapshot) }
        }
        if named.isEmpty { return [] }
        return [
          .annotated(
            named.map { snapshot in
              var annotation = Annotation(snapshot: snapshot)
              say(&annotation)
              return annotation
            })
        ]
      }
      return named.compactMap { journal.snapshot($0) }.map { Snapshot($0, journal) }
    }
  }

  /// What was decided for this repository.
  public func options() async throws(MuninnError) -> RepositoryOptions {
    try await onEngineThread { [self] (_) throws(MuninnError) in
      RepositoryOptions(try currentJournal().upkeep.settings)
    }
  }

  /// Changes what was decided, for everyone from now on. `body` may be called more than once, with
  /// what others changed meanwhile.
  @discardableResult
  public func changeOptions(
    _ body: @escaping @Sendable (inout RepositoryOptions) -> Void
  ) async throws(MuninnError) -> RepositoryOptions {
    try await onEngineThread { [self] (_) throws(MuninnError) in
      var journal = try currentJournal()
      try change(&journal) { (journal) throws(MuninnError) in
        var options = RepositoryOptions(journal.upkeep.settings)
        let before = options
        body(&options)
        guard options != before else { return [] }
        var settings = journal.upkeep.settings
        settings.minimumAge = options.minimumAgeSeconds
        return [.settings(settings)]
      }
      return RepositoryOptions(journal.upkeep.settings)
    }
  }
}

extension RepositoryOptions {
  fileprivate init(_ settings: RepositorySettings) { minimumAgeSeconds = settings.minimumAge }
}
