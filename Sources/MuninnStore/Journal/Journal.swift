internal import MuninnDisk
package import MuninnFormat

extension Store {
  /// Reads the whole journal: records 1 to the newest, each checked against its predecessor's hash.
  ///
  /// A record that is missing, altered or out of order becomes a problem of the state and is
  /// stepped over, so that what the others say can still be read.
  package func loadJournal() throws(StoreError) -> JournalState {
    var state = JournalState()
    try extend(&state)
    return state
  }

  /// Brings `state` up to the newest record.
  package func extend(_ state: inout JournalState) throws(StoreError) {
    let names = try onDisk(ObjectName.journalPrefix) { () throws(DiskError) in
      try storage.list(ObjectName.journalPrefix)
    }
    // By what is there: a name with an absurd number makes one gap, not a walk through it.
    let numbers = names.compactMap { ObjectName.recordNumber($0.name) }.sorted()
    for number in numbers where number > state.head {
      if number - state.head > 1 { state.skip(gapBefore: number) }
      do throws(StoreError) {
        let (record, bytes) = try readRecord(number)
        let hash = sha256(bytes)
        guard record.previousHash == state.headHash || !state.problems.isEmpty else {
          throw StoreError(
            .damaged,
            "does not follow record \(number - 1): one of the two was altered or exchanged",
            object: ObjectName.record(number))
        }
        state.apply(record, hash: hash, byteCount: bytes.count)
      } catch {
        switch error.code {
        case .unsupportedFormat, .wrongKey, .accessDenied: throw error
        default: break
        }
        state.skip(to: number, problem: error)
      }
    }
  }

  private func readRecord(_ number: UInt64) throws(StoreError) -> (JournalRecord, [UInt8]) {
    let name = ObjectName.record(number)
    let bytes = try onDisk(name) { () throws(DiskError) in
      try storage.read(name, maximumByteCount: FormatLimit.recordByteCount)
    }
    let envelope = try envelope(
      of: bytes, name: name, object: JournalRecord.objectID(number: number))
    let record = try decoding(name) { () throws(FormatError) in
      guard envelope.kind == .record else {
        throw FormatError(.wrongKind, "an object of kind \(envelope.kind)")
      }
      let seal = try Seal(envelope: envelope, masterKey: masterKey)
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
  /// must be durable already.
  ///
  /// When it returns, the record is durable and `state` includes it. After an ambiguous answer the
  /// number is read again: identical bytes mean that this record won.
  package func commit(
    session: Identifier, state: inout JournalState,
    prepare: (JournalState) throws(StoreError) -> [JournalOperation]
  ) throws(StoreError) {
    while true {
      if let problem = state.problems.first {
        throw StoreError(
          .damaged, "nothing can be committed while the journal is damaged: \(problem)",
          object: problem.object)
      }
      let operations = try prepare(state)
      let number = state.head + 1
      let record = JournalRecord(
        number: number, previousHash: state.headHash, session: session, nonce: randomIdentifier(),
        timeNanoseconds: Machine.nowNanoseconds(), operations: operations)
      let name = ObjectName.record(number)
      let bytes = try encode(record, name: name)
      if try settle(name, bytes, number) == bytes {
        state.apply(record, hash: sha256(bytes), byteCount: bytes.count)
        return
      }
      try extend(&state)
      try relyOn(state)
    }
  }

  /// Makes the newest record's name durable before anything is built on it: whoever created it may
  /// have crashed between its link and its sync.
  func relyOn(_ state: JournalState) throws(StoreError) {
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

  private func encode(_ record: JournalRecord, name: String) throws(StoreError) -> [UInt8] {
    let envelope = newEnvelope(
      kind: .record, object: JournalRecord.objectID(number: record.number))
    return try decoding(name) { () throws(FormatError) in
      let payload = record.encodedPayload()
      guard payload.count < FormatLimit.recordByteCount - 4096 else {
        throw FormatError(.invalidValue, "a journal record of \(payload.count) bytes")
      }
      let seal = try Seal(envelope: envelope, masterKey: masterKey)
      return envelope.encoded() + (try seal.frame(payload, kind: .record, number: 0))
    }
  }
}
