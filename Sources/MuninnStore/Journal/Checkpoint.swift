internal import MuninnDisk
package import MuninnFormat

// Checkpoints: the state in one object, so that opening takes as long as the repository is large
// and not as long as it is old. They can always be made again from the records.
extension Store {
  /// The state as of the newest checkpoint that can be read; nil where there is none.
  ///
  /// The hint says where it is. Wrong, old, damaged or absent it costs time alone: the records are
  /// then searched from the newest back.
  func newestCheckpoint() throws(StoreError) -> JournalState? {
    if let record = headHint(), let state = try checkpoint(namedBy: record) { return state }
    let objects = try onDisk(ObjectName.checkpointPrefix) { () throws(DiskError) in
      try storage.list(ObjectName.checkpointPrefix)
    }
    var untried = Set(objects.compactMap { ObjectName.id($0.name) })
    guard !untried.isEmpty else { return nil }
    let records = try onDisk(ObjectName.journalPrefix) { () throws(DiskError) in
      try storage.list(ObjectName.journalPrefix)
    }
    for name in records.reversed() where !untried.isEmpty {
      guard let number = ObjectName.recordNumber(name.name),
        let found = try checkpointOperation(in: number)
      else { continue }
      if untried.remove(found.id) != nil, let state = try read(found) { return state }
    }
    return nil
  }

  private func checkpoint(namedBy record: UInt64) throws(StoreError) -> JournalState? {
    guard let found = try checkpointOperation(in: record) else { return nil }
    return try read(found)
  }

  /// Nil also where the record cannot be read: whoever reads the journal meets it again.
  private func checkpointOperation(in number: UInt64) throws(StoreError) -> CheckpointRecord? {
    do throws(StoreError) {
      for operation in try readRecord(number).0.operations {
        if case .checkpoint(let checkpoint) = operation, checkpoint.record < number {
          return checkpoint
        }
      }
    } catch {
      if error.endsReading { throw error }
    }
    return nil
  }

  /// Nil where the object is lost or damaged.
  func read(_ checkpoint: CheckpointRecord) throws(StoreError) -> JournalState? {
    do throws(StoreError) {
      return JournalState(try readCheckpoint(checkpoint))
    } catch {
      if error.endsReading { throw error }
      return nil
    }
  }

  /// Reads a checkpoint's object and holds it against what the journal says of it.
  func readCheckpoint(_ checkpoint: CheckpointRecord) throws(StoreError) -> Checkpoint {
    let name = ObjectName.checkpoint(checkpoint.id)
    let object = try onDisk(name) { () throws(DiskError) in
      try storage.read(name, maximumByteCount: FormatLimit.checkpointByteCount)
    }
    guard UInt64(object.count) == checkpoint.byteCount, sha256(object) == checkpoint.hash else {
      throw StoreError(.damaged, "is not the checkpoint that the journal names", object: name)
    }
    let envelope = try envelope(of: object, name: name, object: checkpoint.id)
    return try decoding(name) { () throws(FormatError) in
      guard envelope.kind == .checkpoint else {
        throw FormatError(.wrongKind, "an object of kind \(envelope.kind)")
      }
      let payload = try object.withUnsafeBytesTyped { (raw) throws(FormatError) in
        try self.payload(of: raw, envelope)
      }
      let decoded = try payload.withUnsafeBytesTyped { (raw) throws(FormatError) in
        try Checkpoint(decodingPayload: raw)
      }
      guard decoded.record == checkpoint.record, decoded.recordHash == checkpoint.recordHash else {
        throw FormatError(.wrongIdentity, "holds the state as of record \(decoded.record)")
      }
      return decoded
    }
  }

  /// The payloads of all frames, one behind the other.
  private func payload(
    of object: UnsafeRawBufferPointer, _ envelope: Envelope
  ) throws(FormatError) -> [UInt8] {
    let seal = try Seal(envelope: envelope, keys: keys)
    var payload: [UInt8] = []
    var offset = Envelope.byteCount
    var number: UInt32 = 0
    while offset < object.count {
      let (part, byteCount) = try seal.open(
        UnsafeRawBufferPointer(rebasing: object[offset...]), kind: .checkpoint, number: number,
        limit: min(FormatLimit.recordByteCount, FormatLimit.checkpointByteCount - payload.count))
      payload.append(contentsOf: part)
      offset += byteCount
      number += 1
    }
    return payload
  }

  /// Makes a checkpoint where one is due. That it could not be made is nobody's trouble: the next
  /// commit tries again.
  func checkpointIfDue(session: Identifier, state: inout JournalState) {
    guard state.isCheckpointDue, state.problems.isEmpty else { return }
    try? writeCheckpoint(session: session, state: &state)
  }

  /// Writes the state as of the newest record, names it in a record of its own, points the hint at
  /// that, and deletes the objects of all but the two newest.
  package func writeCheckpoint(
    session: Identifier, state: inout JournalState
  ) throws(StoreError) {
    let id = Identifier(high: session.high, low: randomIdentifier().low)
    let name = ObjectName.checkpoint(id)
    let bytes = try encode(state.checkpoint(), id: id, name: name)
    let isNew = try onDisk(name) { () throws(DiskError) in
      try storage.putIfAbsent(name, bytes)
    }
    guard isNew else { throw StoreError(.alreadyExists, "the name is taken", object: name) }
    let checkpoint = CheckpointRecord(
      id: id, byteCount: UInt64(bytes.count), hash: sha256(bytes), record: state.head,
      recordHash: state.headHash)
    reach(.checkpointed)
    try commitRecord(session: session, state: &state) { _ in [.checkpoint(checkpoint)] }
    let hint = try encode(HeadHint(record: state.head))
    try onDisk(ObjectName.head) { () throws(DiskError) in
      try storage.put(ObjectName.head, hint)
      // Records that name these stay; who reads an old one tries the next.
      for old in state.checkpoints.dropLast(JournalState.keptCheckpointCount) {
        try storage.delete(ObjectName.checkpoint(old.id))
      }
    }
  }

  private func encode(
    _ checkpoint: Checkpoint, id: Identifier, name: String
  ) throws(StoreError) -> [UInt8] {
    let envelope = newEnvelope(kind: .checkpoint, object: id)
    return try decoding(name) { () throws(FormatError) in
      let payload = checkpoint.encodedPayload()
      guard payload.count <= FormatLimit.checkpointByteCount else {
        throw FormatError(.invalidValue, "a checkpoint of \(payload.count) bytes")
      }
      let seal = try Seal(envelope: envelope, keys: keys)
      var bytes = envelope.encoded()
      var number: UInt32 = 0
      for start in stride(from: 0, to: payload.count, by: Checkpoint.frameByteCount) {
        let part = payload[start...].prefix(Checkpoint.frameByteCount)
        bytes += try seal.frame(Array(part), kind: .checkpoint, number: number)
        number += 1
      }
      return bytes
    }
  }

  private func encode(_ hint: HeadHint) throws(StoreError) -> [UInt8] {
    let envelope = newEnvelope(kind: .head, object: .zero)
    return try decoding(ObjectName.head) { () throws(FormatError) in
      envelope.encoded()
        + (try Seal(envelope: envelope, keys: keys).frame(
          hint.encodedPayload(), kind: .head, number: 0, level: 0))
    }
  }

  private func headHint() -> UInt64? {
    guard let bytes = try? storage.read(ObjectName.head, maximumByteCount: 4096),
      let envelope = try? envelope(of: bytes, name: ObjectName.head, object: .zero),
      envelope.kind == .head, let seal = try? Seal(envelope: envelope, keys: keys)
    else { return nil }
    let hint = try? bytes.withUnsafeBytesTyped { (raw) throws(FormatError) in
      let frame = UnsafeRawBufferPointer(rebasing: raw[Envelope.byteCount...])
      let payload = try seal.open(frame, kind: .head, number: 0, limit: 64).payload
      return try payload.withUnsafeBytesTyped { (raw) throws(FormatError) in
        try HeadHint(decodingPayload: raw)
      }
    }
    return hint?.record
  }
}

extension StoreError {
  /// What no other copy or older state can help: reading on would say something wrong.
  var endsReading: Bool {
    switch code {
    case .unsupportedFormat, .wrongKey, .accessDenied: true
    default: false
    }
  }
}
