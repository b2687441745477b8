internal import MuninnDisk
package import MuninnFormat

/// What a new key slot is made of.
package struct NewKey: Sendable {
  package let material: KeyMaterial
  /// For people; readable without a key.
  package var label: [UInt8]
  /// Lower in tests alone.
  package var cost: ScryptCost

  package init(_ material: KeyMaterial, label: [UInt8] = [], cost: ScryptCost = .standard) {
    self.material = material
    self.label = label
    self.cost = cost
  }
}

/// Key slots are added, removed and replaced; each change is one put or one delete at the moment
/// that counts, so that a crash leaves the keys from before or those from after.
extension Store {
  /// All slots, the oldest first.
  package func keySlots() throws(StoreError) -> [KeySlotSummary] {
    let objects = try keyObjects()
    let intact = objects.slots.sorted {
      ($0.createdNanoseconds, $0.id) < ($1.createdNanoseconds, $1.id)
    }
    return intact.map { KeySlotSummary($0, standing: objects.standing(of: $0)) }
      + objects.damaged.compactMap { error in
        error.object.flatMap(ObjectName.id).map { KeySlotSummary(damaged: $0) }
      }
  }

  /// Adds a slot over the master keys as they are. Returns its id.
  ///
  /// Throws `invalidInput` for what cannot be a passphrase or key file, and `wrongKey` where the
  /// repository's key was rotated since it was opened.
  package func addKey(_ key: NewKey) throws(StoreError) -> Identifier {
    let keys = try currentKeys()
    let slot = try newSlot(key, over: keys)
    try put(slot)
    // A rotation that came between has not seen the slot, or has removed it: either way it is of
    // no use, and whoever added it is to know.
    guard try keyObjects().isUsable(slot) else {
      try? storage.delete(ObjectName.key(slot.id))
      throw Store.rotatedMeanwhile
    }
    return slot.id
  }

  /// Removes a slot. Throws `notFound` where there is none of that id, and `invalidInput` for the
  /// last one that opens the repository.
  package func removeKey(_ id: Identifier) throws(StoreError) {
    let name = ObjectName.key(id)
    let objects = try keyObjects()
    let target = objects.slots.first { $0.id == id }
    guard target != nil || objects.damaged.contains(where: { $0.object == name }) else {
      throw StoreError(.notFound, "\(storage.location) has no key slot \(id)")
    }
    guard objects.slots.contains(where: { $0.id != id && objects.isUsable($0) }) else {
      throw StoreError(
        .invalidInput,
        "key slot \(id) cannot be removed: no other opens the repository, add one first")
    }
    try onDisk(name) { () throws(DiskError) in try storage.delete(name) }
    // Where somebody else removed the others at the same time, this one is put back.
    guard let target, objects.isUsable(target) else { return }
    let left = try keyObjects()
    guard left.slots.contains(where: { left.isUsable($0) }) else {
      try put(target)
      throw StoreError(
        .invalidInput,
        "key slot \(id) was not removed: the others were removed meanwhile, and it is the last")
    }
  }

  /// Makes a new master key, which seals everything that is written from now on, and a slot with it
  /// and the older ones. The other slots are removed: their passphrases are not known here, so the
  /// new key cannot be wrapped for them.
  ///
  /// The order is what makes it safe: first the slot, which opens nothing yet; then the marker of
  /// the epoch, put where none is, which is the moment; then the old slots go. `leftover` are those
  /// that could not be removed. They open nothing any more.
  package func rotateKey(
    to key: NewKey
  ) throws(StoreError) -> (
    slot: Identifier, removed: [KeySlotSummary], leftover: [KeySlotSummary]
  ) {
    let keys = try currentKeys()
    let next = try decoding("the new key") { () throws(FormatError) in
      try keys.adding(MasterKey.random())
    }
    let slot = try newSlot(key, over: next)
    // Seen before the moment: what comes after it is made with the new key, and stays.
    let old = try keySlots()
    try put(slot)
    do throws(StoreError) {
      try putMarker(of: next)
    } catch {
      try? storage.delete(ObjectName.key(slot.id))
      throw error
    }
    use(next)
    // Somebody may have removed what was of no use yet.
    let name = ObjectName.key(slot.id)
    _ = try onDisk(name) { () throws(DiskError) in
      try storage.putIfAbsent(name, slot.encoded())
    }
    let outcome = old.map { slot in
      (slot, isGone: (try? storage.delete(ObjectName.key(slot.id))) != nil)
    }
    return (
      slot.id, outcome.filter(\.isGone).map(\.0), outcome.filter { !$0.isGone }.map(\.0)
    )
  }

  /// Puts the marker that makes the ring's newest key the repository's.
  private func putMarker(of keys: KeyRing) throws(StoreError) {
    let name = ObjectName.epoch(keys.newest.epoch)
    let bytes = try markerBytes(of: keys)
    do throws(DiskError) {
      if try storage.putIfAbsent(name, bytes) { return }
    } catch {
      // The answer was lost, or the work: what lies there tells.
      guard (try? storage.read(name, maximumByteCount: bytes.count)) == bytes,
        (try? storage.makeDurable(name)) != nil
      else { throw StoreError(error, object: name) }
      return
    }
    throw Store.rotatedMeanwhile
  }

  func markerBytes(of keys: KeyRing) throws(StoreError) -> [UInt8] {
    let envelope = Envelope(
      kind: .keyEpoch, suite: header.suite, repository: header.repository,
      object: Identifier(high: 0, low: UInt64(keys.newest.epoch)),
      salt: Machine.randomBytes(Envelope.saltByteCount), key: keys.newest)
    let frame = try decoding(ObjectName.epoch(keys.newest.epoch)) { () throws(FormatError) in
      try Seal(envelope: envelope, keys: keys).frame([], kind: .keyEpoch, number: 0, level: 0)
    }
    return envelope.encoded() + frame
  }

  /// The ring that this store was opened with, if it is still the newest.
  private func currentKeys() throws(StoreError) -> KeyRing {
    guard let keys else {
      throw StoreError(
        .invalidInput,
        "\(storage.location) is not encrypted and has no keys: only a new repository can be made "
          + "with one")
    }
    let newest = try keyObjects().newest
    guard newest.epoch == keys.newest.epoch, newest.id == nil || newest.id == keys.newest.id else {
      throw Store.rotatedMeanwhile
    }
    return keys
  }

  func keyObjects() throws(StoreError) -> KeyObjects {
    guard let keys else {
      return try KeyObjects(
        in: storage, repository: header.repository, firstKey: KeyName(epoch: 1, id: .zero))
    }
    return try KeyObjects(
      in: storage, repository: header.repository, firstKey: keys.first)
  }

  private func newSlot(_ key: NewKey, over keys: KeyRing) throws(StoreError) -> KeySlot {
    try makeSlot(key, over: keys, repository: header.repository)
  }

  private func put(_ slot: KeySlot) throws(StoreError) { try putSlot(slot, in: storage) }

  private static let rotatedMeanwhile = StoreError(
    .wrongKey,
    "the repository's key was rotated by somebody else: open the repository again with the new key")
}

func makeSlot(
  _ key: NewKey, over keys: KeyRing, repository: Identifier
) throws(StoreError) -> KeySlot {
  do throws(FormatError) {
    return try KeySlot(
      wrapping: keys, with: key.material, cost: key.cost, repository: repository,
      id: randomIdentifier(), salt: Machine.randomBytes(Envelope.saltByteCount),
      label: key.label, createdNanoseconds: Machine.nowNanoseconds())
  } catch {
    throw StoreError(.invalidInput, error.message)
  }
}

func putSlot(_ slot: KeySlot, in storage: any Storage) throws(StoreError) {
  let name = ObjectName.key(slot.id)
  let bytes = slot.encoded()
  let isNew = try onDisk(name) { () throws(DiskError) in try storage.putIfAbsent(name, bytes) }
  guard isNew else {
    throw StoreError(.alreadyExists, "is there already", object: name)
  }
}
