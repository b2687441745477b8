internal import MuninnDisk
internal import MuninnFormat
internal import MuninnStore

extension Repository {
  /// Whether everything in it is encrypted, as decided when it was made.
  public var isEncrypted: Bool { store.header.suite != .none }

  /// All key slots, the oldest first; none where the repository is not encrypted.
  public func keys() async throws(MuninnError) -> [KeySlotInfo] {
    try await onEngineThread { [self] (_) throws(MuninnError) in
      try asMuninn(store: { () throws(StoreError) in
        isEncrypted ? try store.keySlots().map { KeySlotInfo($0) } : []
      })
    }
  }

  /// Adds a passphrase or key file that opens the repository. Returns the id of its slot.
  ///
  /// Throws `invalidInput` where the repository is not encrypted or the label is longer than 255
  /// bytes, and `wrongKey` where its key was rotated since it was opened. The label is readable
  /// without a key.
  @discardableResult
  public func addKey(
    _ key: RepositoryKey, label: String = ""
  ) async throws(MuninnError) -> String {
    try await onEngineThread { [self] (_) throws(MuninnError) in
      try asMuninn(store: { () throws(StoreError) in
        try store.addKey(NewKey(key, label: label)).description
      })
    }
  }

  /// Removes a slot by its id or an unambiguous beginning of it, of at least 4 digits.
  ///
  /// Throws `notFound` where there is none, `invalidInput` for the last one that opens the
  /// repository.
  public func removeKey(_ id: String) async throws(MuninnError) {
    try await onEngineThread { [self] (_) throws(MuninnError) in
      let slots = try asMuninn(store: { () throws(StoreError) in try store.keySlots() })
      let matches = slots.filter { $0.id.description.hasPrefix(id.lowercased()) }
      guard id.utf8.count >= 4, matches.count == 1 else {
        throw MuninnError(
          id.utf8.count < 4 ? .invalidInput : .notFound,
          matches.isEmpty
            ? "\(location) has no key slot '\(id)'"
            : "'\(id)' means \(matches.count) key slots of \(location): give at least 4 digits, "
              + "and as many as tell them apart")
      }
      try asMuninn(store: { () throws(StoreError) in try store.removeKey(matches[0].id) })
    }
  }

  /// Makes a new master key for everything that is written from now on, which `key` alone opens.
  /// What was written before stays as it is and readable.
  ///
  /// All other slots are removed, since their passphrases are needed to wrap the new master key for
  /// them: add them again. Backups that run meanwhile end well if nothing was committed under the
  /// new key before them, else with `wrongKey`.
  public func rotateKey(
    to key: RepositoryKey, label: String = ""
  ) async throws(MuninnError) -> KeyRotation {
    try await onEngineThread { [self] (_) throws(MuninnError) in
      try asMuninn(store: { () throws(StoreError) in
        let result = try store.rotateKey(to: NewKey(key, label: label))
        return KeyRotation(
          slot: result.slot.description, removed: result.removed.map { KeySlotInfo($0) },
          leftover: result.leftover.map { KeySlotInfo($0) })
      })
    }
  }
}

extension NewKey {
  init(_ key: RepositoryKey, label: String) {
    self.init(key.material, label: Array(label.utf8), cost: key.cost)
  }
}
