internal import MuninnDisk
package import MuninnFormat

extension Store {
  /// The state as of the newest record: from the newest checkpoint and the records after it, or
  /// from all records where there is none. Each record is checked against its predecessor's hash.
  ///
  /// A record that is missing, altered or out of order becomes a problem of the state and is
  /// stepped over, so that what the others say can still be read. What lies before the checkpoint
  /// is not looked at: see `verifyJournal`.
  package func loadJournal() throws(StoreError) -> JournalState {
    var state = try newestCheckpoint() ?? JournalState()
    try extend(&state)
    return state
  }

  /// Reads every record from 1 on, whatever the checkpoints say, and holds each checkpoint that is
  /// there against the records: what is wrong with either becomes a problem of the state.
  package func verifyJournal() throws(StoreError) -> JournalState {
    var state = JournalState()
    try extend(&state) { record, before in
      for case .checkpoint(let checkpoint) in record.operations {
        if let problem = fault(of: checkpoint, before: before) { return problem }
      }
      return nil
    }
    return state
  }

  /// What is wrong with a checkpoint, `before` being the state as of the record before the one that
  /// names it. An object that was deleted, since newer ones are there, is nothing wrong.
  private func fault(of checkpoint: CheckpointRecord, before: JournalState) -> StoreError? {
    do throws(StoreError) {
      let held = try readCheckpoint(checkpoint)
      guard checkpoint.record == before.head, before.problems.isEmpty, !before.hasBridges else {
        return nil
      }
      var before = before
      before.settle()
      if held == before.checkpoint() { return nil }
      return StoreError(
        .damaged, "does not hold what records 1 to \(checkpoint.record) say",
        object: ObjectName.checkpoint(checkpoint.id))
    } catch {
      return error.code == .notFound ? nil : error
    }
  }

  /// Brings `state` up to the newest record.
  package func extend(_ state: inout JournalState) throws(StoreError) {
    try extend(&state) { _, _ in nil }
  }

  private func extend(
    _ state: inout JournalState,
    inspecting inspect: (JournalRecord, _ before: JournalState) -> StoreError?
  ) throws(StoreError) {
    let names = try onDisk(ObjectName.journalPrefix) { () throws(DiskError) in
      try storage.list(
        ObjectName.journalPrefix, after: state.head > 0 ? ObjectName.record(state.head) : "")
    }
    defer { state.settle() }
    // By what is there: a name with an absurd number makes one gap, not a walk through it.
    let numbers = names.compactMap { ObjectName.recordNumber($0.name) }.sorted()
    for number in numbers where number > state.head {
      // A list that was made while records came may have a later one without the one before it.
      while number - state.head > 1, hasRecord(state.head + 1) {
        try take(state.head + 1, into: &state, inspecting: inspect)
      }
      if number - state.head > 1 { state.skip(gapBefore: number) }
      try take(number, into: &state, inspecting: inspect)
    }
  }

  func hasRecord(_ number: UInt64) -> Bool {
    (try? storage.size(of: ObjectName.record(number))) != nil
  }

  /// Applies record `number`, the next one, or steps over it where it is damaged.
  private func take(
    _ number: UInt64, into state: inout JournalState,
    inspecting inspect: (JournalRecord, _ before: JournalState) -> StoreError?
  ) throws(StoreError) {
    do throws(StoreError) {
      let (record, bytes) = try readRecord(number)
      let hash = sha256(bytes)
      guard record.previousHash == state.headHash || !state.isHeadKnown else {
        throw StoreError(
          .damaged,
          "does not follow record \(number - 1): one of the two was altered or exchanged",
          object: ObjectName.record(number))
      }
      try expectNoRetiredKey(bytes, number: number, after: &state)
      let problem = inspect(record, state)
      state.applyUnsettled(record, hash: hash, byteCount: bytes.count)
      if let problem { state.problems.append(problem) }
    } catch {
      if error.endsReading { throw error }
      state.skip(to: number, problem: error)
    }
  }

  /// SHA-256 of a record as it lies there; nil where it cannot be read.
  package func recordHash(_ number: UInt64) -> [UInt8]? {
    let name = ObjectName.record(number)
    return (try? storage.read(name, maximumByteCount: FormatLimit.recordByteCount)).map {
      sha256($0)
    }
  }

  /// Whether records after `number` may have left something in containers that nobody needs.
  /// Reads those records; where they are many, it takes it that they did.
  package func mayHaveLeftUnneeded(after number: UInt64, in state: JournalState) -> Bool {
    guard number <= state.head, state.head - number <= 4096 else { return true }
    for record in number..<state.head {
      guard let (read, _) = try? readRecord(record + 1) else { return true }
      for operation in read.operations {
        switch operation {
        case .forgotten(let ids): if !ids.isEmpty { return true }
        case .rescued, .adopted, .bridged: return true
        case .containers, .snapshot, .segments, .checkpoint, .repacked, .condemned, .swept,
          .fenced, .annotated, .settings:
          break
        }
      }
    }
    return false
  }

  func readRecord(_ number: UInt64) throws(StoreError) -> (JournalRecord, [UInt8]) {
    let name = ObjectName.record(number)
    let bytes = try onDisk(name) { () throws(DiskError) in
      try readingTwice { () throws(DiskError) in
        try storage.read(name, maximumByteCount: FormatLimit.recordByteCount)
      }
    }
    let envelope = try envelope(
      of: bytes, name: name, object: JournalRecord.objectID(number: number))
    let record = try decoding(name) { () throws(FormatError) in
      guard envelope.kind == .record else {
        throw FormatError(.wrongKind, "an object of kind \(envelope.kind)")
      }
      let seal = try Seal(envelope: envelope, keys: keys)
      let payload = try bytes.withUnsafeBytesTyped { (raw) throws(FormatError) in
        try seal.open(
          UnsafeRawBufferPointer(rebasing: raw[Envelope.byteCount...]), kind: .record, number: 0,
          limit: FormatLimit.recordByteCount
        ).payload
      }
      let record = try payload.withUnsafeBytesTyped { (raw) throws(FormatError) in
        try JournalRecord(decodingPayload: raw)
      }
      guard record.number == number else {
        throw FormatError(.wrongIdentity, "says that it is record \(record.number)")
      }
      return record
    }
    return (record, bytes)
  }

  /// Commits operations as one record: prepare on top of N, try N+1; where another was first, read
  /// it, let `prepare` look at the new state, and try again. Everything that the operations name
  /// must be durable already. Where `prepare` has none, nothing is committed.
  ///
  /// When it returns, the record is durable and `state` includes it. After an ambiguous answer the
  /// number is read again: identical bytes mean that this record won. Where a checkpoint is due, it
  /// is made too.
  package func commit(
    session: Identifier, state: inout JournalState,
    prepare: (JournalState) throws(StoreError) -> [JournalOperation]
  ) throws(StoreError) {
    try commitRecord(session: session, state: &state, prepare: prepare)
    checkpointIfDue(session: session, state: &state)
  }

  func commitRecord(
    session: Identifier, state: inout JournalState,
    prepare: (JournalState) throws(StoreError) -> [JournalOperation]
  ) throws(StoreError) {
    var firstConflict: UInt64?
    while true {
      if let problem = state.problems.first {
        throw StoreError(
          .damaged, "nothing can be committed while the journal is damaged: \(problem)",
          object: problem.object)
      }
      let operations = try prepare(state)
      if operations.isEmpty { return }
      let number = state.head + 1
      let record = JournalRecord(
        number: number, previousHash: state.headHash, session: session, nonce: randomIdentifier(),
        timeNanoseconds: Machine.nowNanoseconds(), operations: operations)
      let name = ObjectName.record(number)
      let bytes = try encode(record, name: name)
      if try settle(name, bytes, number) == bytes {
        state.apply(record, hash: sha256(bytes), byteCount: bytes.count)
        if let firstConflict { contention.endWait(since: firstConflict) }
        return
      }
      contention.noteConflict()
      firstConflict = firstConflict ?? Machine.monotonicNanoseconds()
      try extend(&state)
      try relyOn(state)
    }
  }

  /// Makes the newest record's name durable before anything is built on it: whoever created it may
  /// have crashed between its link and its sync.
  package func relyOn(_ state: JournalState) throws(StoreError) {
    guard state.head > 0 else { return }
    let name = ObjectName.record(state.head)
    try onDisk(name) { () throws(DiskError) in try storage.makeDurable(name) }
  }

  /// Puts a record where there is none, and returns what is durable under its number then.
  private func settle(_ name: String, _ bytes: [UInt8], _ number: UInt64) throws(StoreError)
    -> [UInt8]
  {
    var failure: DiskError?
    do throws(DiskError) {
      if try storage.putIfAbsent(name, bytes) { return bytes }
    } catch {
      failure = error
    }
    guard let failure else { return try readRecord(number).1 }
    // The work was lost, or only the answer: what lies there tells.
    do {
      let stored = try readRecord(number).1
      try storage.makeDurable(name)
      return stored
    } catch {
      throw StoreError(failure, object: name)
    }
  }

  func encode(_ record: JournalRecord, name: String) throws(StoreError) -> [UInt8] {
    let envelope = newEnvelope(
      kind: .record, object: JournalRecord.objectID(number: record.number))
    return try decoding(name) { () throws(FormatError) in
      let payload = record.encodedPayload()
      guard payload.count < FormatLimit.recordByteCount - 4096 else {
        throw FormatError(.invalidValue, "a journal record of \(payload.count) bytes")
      }
      let seal = try Seal(envelope: envelope, keys: keys)
      return envelope.encoded() + (try seal.frame(payload, kind: .record, number: 0))
    }
  }
}
