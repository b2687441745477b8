package import MuninnFormat

extension Store {
  /// Commits a change of the journal alone: what snapshots are there, and what is said of them. It
  /// needs no session, since nothing is stored.
  ///
  /// `prepare` says what to commit on top of a state, and is asked again for each state that is
  /// tried. Nothing is committed where it has nothing to say. `state` is the newest in the end.
  package func change(
    _ state: inout JournalState,
    _ prepare: (JournalState) throws(StoreError) -> [JournalOperation]
  ) throws(StoreError) {
    try relyOn(state)
    try commit(session: randomIdentifier(), state: &state, prepare: prepare)
  }
}
