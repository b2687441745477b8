internal import MuninnDisk
package import MuninnFormat

/// When each container of a repository was last read and found whole or damaged, as this machine
/// remembers it. Losing it costs time alone: everything counts as never read.
///
/// All integers little-endian: magic `MUNLEDGR` (8), version (4, 1), repository (16), run kind (1:
/// 0 none, 1 all, 2 sample), the run's seed (8), its fraction in millionths (4), when it began (8),
/// entries (8), then for each, sorted by id: container (16), when it was read whole (8, 0 for
/// never), when it was sampled (8), damaged (1); then XXH3-64 of all before. Times are nanoseconds
/// since 1970.
package struct VerificationLedger: Sendable, Equatable {
  package struct Entry: Sendable, Equatable {
    package var readNanoseconds: Int64 = 0
    package var sampledNanoseconds: Int64 = 0
    package var isDamaged = false

    package init(
      readNanoseconds: Int64 = 0, sampledNanoseconds: Int64 = 0, isDamaged: Bool = false
    ) {
      self.readNanoseconds = readNanoseconds
      self.sampledNanoseconds = sampledNanoseconds
      self.isDamaged = isDamaged
    }
  }

  /// A reading of everything, or of a sample, that did not come to its end.
  package struct Run: Sendable, Equatable {
    /// 1 for everything.
    package var fraction: Double
    package var seed: UInt64
    package var begunNanoseconds: Int64

    package init(fraction: Double, seed: UInt64, begunNanoseconds: Int64) {
      self.fraction = fraction
      self.seed = seed
      self.begunNanoseconds = begunNanoseconds
    }
  }

  package let repository: Identifier
  package var entries: [Identifier: Entry] = [:]
  package var run: Run?

  private static let magic = [UInt8]("MUNLEDGR".utf8)
  private static let entryByteCount = 33

  package init(repository: Identifier) { self.repository = repository }

  /// The containers that were found damaged when they were last read.
  package var damaged: Set<Identifier> { Set(entries.filter(\.value.isDamaged).keys) }

  package func encoded() -> [UInt8] {
    var writer = ByteWriter(reserving: 80 + entries.count * VerificationLedger.entryByteCount)
    writer.raw(VerificationLedger.magic)
    writer.integer(UInt32(1))
    writer.identifier(repository)
    writer.byte(run.map { $0.fraction >= 1 ? 1 : 2 } ?? 0)
    writer.integer(run?.seed ?? 0)
    writer.integer(UInt32(min(max(run?.fraction ?? 0, 0), 1) * 1e6))
    writer.integer(run?.begunNanoseconds ?? 0)
    writer.integer(UInt64(entries.count))
    for (id, entry) in entries.sorted(by: { $0.key < $1.key }) {
      writer.identifier(id)
      writer.integer(entry.readNanoseconds)
      writer.integer(entry.sampledNanoseconds)
      writer.byte(entry.isDamaged ? 1 : 0)
    }
    writer.integer(writer.bytes.withUnsafeBytes { checksum($0) })
    return writer.bytes
  }

  /// Throws for anything but a whole ledger of this repository; whoever reads begins a new one.
  package init(decoding bytes: [UInt8], repository: Identifier) throws(FormatError) {
    guard bytes.count >= 73,
      bytes.dropLast(8).withUnsafeBytes({ checksum($0) })
        == bytes.withUnsafeBytes({
          UInt64(
            littleEndian: $0.loadUnaligned(fromByteOffset: bytes.count - 8, as: UInt64.self))
        })
    else { throw FormatError(.checksumMismatch, "the ledger is damaged") }
    self.repository = repository
    var entries: [Identifier: Entry] = [:]
    run = try bytes.withUnsafeBytesTyped { (raw) throws(FormatError) in
      var reader = ByteReader(raw)
      guard try reader.array(8) == VerificationLedger.magic,
        try reader.integer(UInt32.self) == 1, try reader.identifier() == repository
      else { throw FormatError(.wrongKind, "not a ledger of this repository") }
      let kind = try reader.byte()
      let seed = try reader.integer(UInt64.self)
      let fraction = Double(try reader.integer(UInt32.self)) / 1e6
      let begun = try reader.integer(Int64.self)
      let count = try reader.integer(UInt64.self)
      guard count <= UInt64(reader.remaining / VerificationLedger.entryByteCount) else {
        throw FormatError(.truncated, "a ledger of \(count) entries")
      }
      for _ in 0..<count {
        let id = try reader.identifier()
        entries[id] = Entry(
          readNanoseconds: try reader.integer(Int64.self),
          sampledNanoseconds: try reader.integer(Int64.self), isDamaged: try reader.flag())
      }
      return kind == 0 ? nil : Run(fraction: fraction, seed: seed, begunNanoseconds: begun)
    }
    self.entries = entries
  }
}

/// A ledger that several threads write to, and that is saved as they go: what was verified before
/// an interruption stays verified.
package final class LedgerKeeper: Sendable {
  private struct State {
    var ledger: VerificationLedger
    var savedNanoseconds: UInt64
    var intervalNanoseconds: UInt64 = 5_000_000_000
  }

  private let state: Monitor<State>
  private let save: @Sendable ([UInt8]) -> Void

  /// `save` replaces the ledger's file; that it could not is nobody's trouble.
  package init(_ ledger: VerificationLedger, save: @escaping @Sendable ([UInt8]) -> Void) {
    state = Monitor(State(ledger: ledger, savedNanoseconds: Machine.monotonicNanoseconds()))
    self.save = save
  }

  package var ledger: VerificationLedger { state.withLock { $0.ledger } }

  /// Changes the ledger; it is saved now and then.
  package func update(_ change: (inout VerificationLedger) -> Void) {
    state.withLock { state in
      change(&state.ledger)
      let now = Machine.monotonicNanoseconds()
      guard now - state.savedNanoseconds >= state.intervalNanoseconds else { return }
      save(state.ledger.encoded())
      state.savedNanoseconds = Machine.monotonicNanoseconds()
      // A large ledger takes long to write: never more than a twentieth of the time.
      state.intervalNanoseconds = max(
        5_000_000_000, 20 * (state.savedNanoseconds - now))
    }
  }

  package func saveNow() { state.withLock { save($0.ledger.encoded()) } }
}
