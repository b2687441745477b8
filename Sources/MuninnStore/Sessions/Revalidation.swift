internal import MuninnFormat

extension JournalState {
  /// What a commit has to say about the containers that its snapshot needs, beside naming its own:
  /// which of them it rescues.
  ///
  /// Asked for every state that a commit is tried on. Throws `fenced` where the session was taken
  /// for dead, `damaged` where a container is neither live nor condemned nor the session's own: a
  /// snapshot that lacks something is never committed.
  func revalidate(
    _ needed: Set<Identifier>, own: Set<Identifier>, session: Identifier
  ) throws(StoreError) -> [JournalOperation] {
    guard !upkeep.isFenced(session) else { throw .fenced }
    var rescued: [Identifier] = []
    for id in needed where containers[id] == nil && !own.contains(id) {
      guard upkeep.condemned[id] != nil else {
        throw StoreError(
          .damaged, "is needed by the new snapshot and no longer in the repository",
          object: ObjectName.container(id))
      }
      rescued.append(id)
    }
    return rescued.isEmpty ? [] : [.rescued(rescued.sorted())]
  }
}

extension StoreError {
  static let fenced = StoreError(
    .fenced,
    "this session was taken for dead and fenced, since its process could not be seen or its note "
      + "was old: nothing of it was committed. Start it again: it goes on with what was stored")
}
