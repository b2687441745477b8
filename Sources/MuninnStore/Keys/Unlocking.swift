internal import MuninnDisk
internal import MuninnFormat

/// What lies under `keys/` and `epochs/`: which slots there are, and which master key is the
/// newest.
struct KeyObjects {
  /// The number of the newest master key, and its id where the marker that says so can be read.
  let newest: (epoch: UInt32, id: Identifier?)
  let slots: [KeySlot]
  /// Slots that cannot be read, or belong to another repository.
  let damaged: [StoreError]

  /// Throws what the storage throws; what is damaged is in the result.
  init(in storage: any Storage, repository: Identifier, firstKey: KeyName) throws(StoreError) {
    newest = try KeyObjects.newest(in: storage, repository: repository, firstKey: firstKey)
    var slots: [KeySlot] = []
    var damaged: [StoreError] = []
    for name in try KeyObjects.names(ObjectName.keyPrefix, in: storage) {
      do throws(StoreError) {
        guard let slot = try KeyObjects.slot(name, repository: repository, in: storage) else {
          continue
        }
        slots.append(slot)
      } catch {
        guard error.code == .damaged || error.code == .unsupportedFormat else { throw error }
        damaged.append(error)
      }
    }
    self.slots = slots
    self.damaged = damaged
  }

  /// Whether a slot opens the repository as it is now, for whoever has its passphrase or key file.
  func isUsable(_ slot: KeySlot) -> Bool { standing(of: slot) == .usable }

  func standing(of slot: KeySlot) -> KeySlotSummary.Standing {
    if slot.key.epoch < newest.epoch { return .retired }
    if slot.key.epoch > newest.epoch { return .unfinished }
    // Of two rotations at the same time one loses; its slot is of no use.
    return newest.id == nil || newest.id == slot.key.id ? .usable : .unfinished
  }

  private static func names(_ prefix: String, in storage: any Storage) throws(StoreError)
    -> [String]
  {
    try onDisk(prefix) { () throws(DiskError) in try storage.list(prefix) }.map(\.name)
  }

  /// Nil where it went away meanwhile.
  private static func slot(
    _ name: String, repository: Identifier, in storage: any Storage
  ) throws(StoreError) -> KeySlot? {
    let bytes: [UInt8]
    do throws(DiskError) {
      bytes = try storage.read(name, maximumByteCount: KeySlot.byteCount)
    } catch {
      if error.isNotFound { return nil }
      throw StoreError(error, object: name)
    }
    return try decoding(name) { () throws(FormatError) in
      let slot = try bytes.withUnsafeBytesTyped { (raw) throws(FormatError) in
        try KeySlot(decoding: raw)
      }
      guard slot.repository == repository else {
        throw FormatError(.wrongIdentity, "belongs to repository \(slot.repository)")
      }
      guard ObjectName.key(slot.id) == name else {
        throw FormatError(.wrongIdentity, "is key slot \(slot.id) under another's name")
      }
      return slot
    }
  }

  /// The marker with the highest number counts, readable or not: its name alone says that the keys
  /// before it are retired.
  private static func newest(
    in storage: any Storage, repository: Identifier, firstKey: KeyName
  ) throws(StoreError) -> (epoch: UInt32, id: Identifier?) {
    let numbers = try names(ObjectName.epochPrefix, in: storage).compactMap {
      ObjectName.epochNumber($0)
    }
    guard let highest = numbers.max() else { return (1, firstKey.id) }
    let name = ObjectName.epoch(highest)
    let bytes = try? storage.read(name, maximumByteCount: 4096)
    let envelope = bytes.flatMap { bytes in
      bytes.withUnsafeBytes { try? Envelope(decoding: $0) }
    }
    guard let envelope, envelope.kind == .keyEpoch, envelope.repository == repository,
      envelope.key.epoch == highest
    else { return (highest, nil) }
    return (highest, envelope.key.id)
  }
}

/// Opens the repository's key ring. `envelope` is that of the header.
///
/// Nil where the repository is not encrypted and no key was given. Writes nothing.
func unlock(
  _ envelope: Envelope, in storage: any Storage, with material: KeyMaterial?
) throws(StoreError) -> KeyRing? {
  if envelope.suite == .none {
    guard material == nil else {
      throw StoreError(
        .wrongKey,
        "\(storage.location) is not encrypted, and a key was given: leave the key out if this is "
          + "the repository that you mean")
    }
    return nil
  }
  guard let material else {
    throw StoreError(
      .wrongKey, "\(storage.location) is encrypted: give its passphrase or its key file")
  }
  let objects = try KeyObjects(
    in: storage, repository: envelope.repository, firstKey: envelope.key)
  return try opened(objects, with: material, in: storage)
}

private func opened(
  _ objects: KeyObjects, with material: KeyMaterial, in storage: any Storage
) throws(StoreError) -> KeyRing {
  var best: KeySlotSummary.Standing?
  // A rotation removes the slots from before it last. So where none of those is left it came to its
  // end, and it is its marker that was lost.
  let isMarkerLost = !objects.slots.contains { objects.isUsable($0) }
  let newest = objects.slots.map(\.key.epoch).max()
  // The usable ones first: scrypt takes its time for each.
  let order: [KeySlotSummary.Standing] = [.usable, .retired, .unfinished]
  let fitting = objects.slots.filter { $0.fits(material) }
  for standing in order {
    for slot in fitting where objects.standing(of: slot) == standing {
      let keys = try decoding(ObjectName.key(slot.id)) { () throws(FormatError) in
        try slot.unwrap(with: material)
      }
      guard let keys else { continue }
      if standing == .usable { return keys }
      if standing == .unfinished, isMarkerLost, slot.key.epoch == newest { return keys }
      best = best ?? standing
    }
  }
  let kind = if case .passphrase = material { "passphrase" } else { "key file" }
  switch best {
  case .retired:
    throw StoreError(
      .wrongKey,
      "the \(kind) was retired when the key of \(storage.location) was rotated: use a newer one")
  case .unfinished, .damaged, .usable:
    throw StoreError(
      .wrongKey,
      "the \(kind) belongs to a rotation of the key of \(storage.location) that was never finished:"
        + " use the one from before it")
  case nil: break
  }
  let damage = objects.damaged.map(\.description).joined(separator: "; ")
  guard !objects.slots.isEmpty else {
    throw StoreError(
      .damaged,
      damage.isEmpty
        ? "\(storage.location) holds no key slot: put back a copy of its directory 'keys'"
        : "no key slot of \(storage.location) can be read, put back a copy of one: \(damage)")
  }
  throw StoreError(
    .wrongKey,
    "the \(kind) opens none of the \(fitting.count) key slots of \(storage.location) that it could"
      + (damage.isEmpty ? "" : "; damaged are: \(damage)"))
}
