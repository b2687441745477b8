internal import MuninnFormat

extension Store {
  /// Refuses a record that is sealed under an older master key than one before it: after a rotation
  /// came into use, whoever has nothing but a retired key can add nothing.
  func expectNoRetiredKey(
    _ record: [UInt8], number: UInt64, after state: inout JournalState
  ) throws(StoreError) {
    guard header.suite != .none else { return }
    let name = ObjectName.record(number)
    let epoch = try decoding(name) { () throws(FormatError) in
      try record.withUnsafeBytesTyped { (raw) throws(FormatError) in
        try Envelope(decoding: raw).key.epoch
      }
    }
    guard epoch >= state.keyEpoch else {
      throw StoreError(
        .damaged,
        "is sealed under master key \(epoch), and a record before it under \(state.keyEpoch): it "
          + "was written with a retired key",
        object: name)
    }
    state.keyEpoch = epoch
  }
}
