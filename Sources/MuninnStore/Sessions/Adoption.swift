internal import MuninnDisk
internal import MuninnFormat

/// Taking over what dead sessions stored and did not commit.
struct Adoption {
  private let store: Store
  private let session: Identifier
  /// Complete containers of sessions that seem dead, durable, by session.
  private var found: [UInt64: [ContainerRecord]] = [:]

  /// Fences the backups that seem dead and adopts their complete containers, in one record.
  /// Returns how many it adopted. `state` is the newest after it.
  static func run(
    _ store: Store, session: Identifier, state: inout JournalState
  ) throws(StoreError) -> Int {
    let now = Machine.nowNanoseconds()
    let dead = try store.sessions().filter { note in
      note.work == .backup && note.session != session && note.seemsDead(at: now)
    }
    guard !dead.isEmpty else { return 0 }
    var adoption = Adoption(store: store, session: session)
    try adoption.inspect(Set(dead.map(\.session.high)), state)
    store.reach(.inspected)
    return try adoption.commit(dead.map(\.session), &state)
  }

  private init(store: Store, session: Identifier) {
    self.store = store
    self.session = session
  }

  private mutating func inspect(
    _ dead: Set<UInt64>, _ state: JournalState
  ) throws(StoreError) {
    let objects = try onDisk(ObjectName.containerPrefix) { () throws(DiskError) in
      try store.storage.list(ObjectName.containerPrefix)
    }
    for object in objects {
      guard let id = ObjectName.id(object.name), dead.contains(id.high), state.isUnnamed(id),
        !state.upkeep.isFenced(id)
      else { continue }
      // One that cannot be read, or not be made durable, is left to the next collection.
      guard let record = try? record(of: id), (try? store.storage.makeDurable(object.name)) != nil
      else { continue }
      found[id.high, default: []].append(record)
    }
  }

  private func record(of id: Identifier) throws(StoreError) -> ContainerRecord {
    let name = ObjectName.container(id)
    let container = try store.openContainer(id)
    let head = try store.read(name, at: 0, count: Envelope.byteCount)
    let envelope = try store.envelope(of: head, name: name, object: id)
    return ContainerRecord(
      id: id, isManifest: envelope.kind == .manifestContainer, byteCount: container.byteCount,
      chunkCount: UInt32(container.directory.chunkCount),
      rawByteCount: container.directory.lengths.reduce(0) { $0 + UInt64($1) })
  }

  private func commit(
    _ dead: [Identifier], _ state: inout JournalState
  ) throws(StoreError) -> Int {
    var count = 0
    try store.commit(session: session, state: &state) { (state) throws(StoreError) in
      count = 0
      guard !state.upkeep.isFenced(session) else { throw .fenced }
      // Who was fenced before is left alone: another adopted, or will delete.
      let fenced = dead.filter { !state.upkeep.isFenced($0) }
      let adopted = fenced.flatMap { found[$0.high] ?? [] }.filter { state.isUnnamed($0.id) }
      count = adopted.count
      if fenced.isEmpty { return [] }
      return [.fenced(fenced)] + (adopted.isEmpty ? [] : [.adopted(adopted)])
    }
    for session in dead { try? store.storage.delete(ObjectName.session(session)) }
    return count
  }
}
