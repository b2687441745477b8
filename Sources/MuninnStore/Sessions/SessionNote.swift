package import MuninnDisk
package import MuninnFormat

/// What `sessions/ID` says of a session at work.
///
/// Lines of text: a key, a space, the rest of the line. Nothing about safety hangs on it: a note
/// that lies, or is not there, can cost its session the work, or a collection its end, never data.
package struct SessionNote: Sendable, Equatable {
  package enum Work: String, Sendable {
    case backup
    case restore
    case check
    /// Moves chunks to other containers. What it stored and did not commit nobody adopts: it is
    /// all there already.
    case repack
  }

  package let session: Identifier
  package var work = Work.backup
  /// The newest record when the session registered: it knows what was condemned up to there.
  package var record: UInt64 = 0
  package var owner = ProcessIdentity()
  /// Since 1970, when the note was last written.
  package var renewedNanoseconds: Int64 = 0
  /// Since 1970, when the session registered.
  package var begunNanoseconds: Int64 = 0
  /// Whether the session ended without naming all that it stored: it is for others to adopt.
  package var isOver = false

  package init(session: Identifier) { self.session = session }

  func encoded() -> [UInt8] {
    let lines =
      [
        ("work", work.rawValue), ("record", String(record)), ("host", owner.host),
        ("machine", owner.machine), ("boot", owner.boot), ("namespace", owner.namespace),
        ("process", String(owner.process)), ("began", owner.began),
        ("renewed", String(renewedNanoseconds)), ("registered", String(begunNanoseconds)),
      ] + (isOver ? [("over", "yes")] : [])
    return lines.flatMap { key, value in
      Array("\(key) \(value.split(separator: "\n").joined(separator: " "))\n".utf8)
    }
  }

  /// What cannot be read counts as nothing said.
  init(session: Identifier, decoding bytes: [UInt8]) {
    self.session = session
    for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
      let words = line.split(separator: " ", maxSplits: 1)
      let value = words.count > 1 ? String(words[1]) : ""
      switch words.first {
      case "work": work = Work(rawValue: value) ?? .backup
      case "record": record = UInt64(value) ?? 0
      case "host": owner.host = value
      case "machine": owner.machine = value
      case "boot": owner.boot = value
      case "namespace": owner.namespace = value
      case "process": owner.process = Int32(value) ?? 0
      case "began": owner.began = value
      case "renewed": renewedNanoseconds = Int64(value) ?? 0
      case "registered": begunNanoseconds = Int64(value) ?? 0
      case "over": isOver = value == "yes"
      default: break
      }
    }
  }

  /// How old a note grows before its session, whose process cannot be seen from here, is taken for
  /// dead; and how often a session at work renews it.
  static let patienceNanoseconds: Int64 = 24 * 3600 * 1_000_000_000
  static let renewalNanoseconds: Int64 = 600 * 1_000_000_000

  /// Whether the session is taken for dead. A guess: it becomes a fact when its fence is committed.
  package func seemsDead(at nanoseconds: Int64) -> Bool {
    if isOver { return true }
    if let isOver = owner.isOver() { return isOver }
    let age = nanoseconds.subtractingReportingOverflow(renewedNanoseconds)
    return !age.overflow && age.partialValue > SessionNote.patienceNanoseconds
  }

  /// For people: who it is.
  package var description: String {
    "\(work.rawValue) by process \(owner.process) on \(owner.host)"
  }
}

/// A session's place among the others: its note, from before it reads the journal to its end.
package final class Registration: Sendable {
  package let id: Identifier
  private let store: Store
  private let note: Monitor<SessionNote>
  private let isOver = Monitor(false)
  private let renewer = Monitor<WorkerThread?>(nil)

  /// Registers, and returns the journal as it is after that: so every condemnation that the session
  /// may not know comes after the number in its note.
  package static func begin(
    _ store: Store, _ work: SessionNote.Work
  ) throws(StoreError) -> (registration: Registration, journal: JournalState) {
    // Whatever is newest: a condemnation that this reading misses is in one of the two below.
    var journal = try store.loadJournal()
    let registration = try Registration(store, work, record: journal.head)
    do throws(StoreError) {
      store.reach(.registered)
      try store.extend(&journal)
      store.follow(journal)
    } catch {
      registration.end()
      throw error
    }
    return (registration, journal)
  }

  private init(_ store: Store, _ work: SessionNote.Work, record: UInt64) throws(StoreError) {
    self.store = store
    id = Identifier(high: randomIdentifier().high, low: 0)
    var note = SessionNote(session: id)
    note.work = work
    note.record = record
    note.owner = ProcessIdentity.current()
    note.begunNanoseconds = Machine.nowNanoseconds()
    self.note = Monitor(note)
    try write()
    renewer.withLock {
      $0 = WorkerThread.start(name: "muninn-renew") { [self] in
        // One that cannot be written now may be the next time, long before anyone loses patience.
        while !isOver.wait(nanoseconds: SessionNote.renewalNanoseconds, until: { $0 }) {
          try? write()
        }
      }
    }
  }

  private func write() throws(StoreError) {
    let note = self.note.withLock { note in
      note.renewedNanoseconds = Machine.nowNanoseconds()
      return note
    }
    let name = ObjectName.session(id)
    try onDisk(name) { () throws(DiskError) in try store.storage.put(name, note.encoded()) }
  }

  /// Ends the session. With a note left behind, others know that what it stored and did not commit
  /// is to be adopted or deleted; where that cannot be written they find it by its name alone.
  package func end(leavingNote: Bool = false) {
    isOver.update { $0 = true }
    renewer.withLock { $0.take() }?.join()
    if leavingNote {
      note.withLock { $0.isOver = true }
      if (try? write()) != nil { return }
    }
    try? store.storage.delete(ObjectName.session(id))
  }
}

extension Store {
  /// The sessions that are registered now. One that ends meanwhile is left out.
  package func sessions() throws(StoreError) -> [SessionNote] {
    let objects = try onDisk(ObjectName.sessionPrefix) { () throws(DiskError) in
      try storage.list(ObjectName.sessionPrefix)
    }
    var notes: [SessionNote] = []
    for object in objects {
      guard let id = ObjectName.id(object.name) else { continue }
      do throws(DiskError) {
        notes.append(
          SessionNote(
            session: id,
            decoding: try storage.read(object.name, maximumByteCount: 1 << 16)))
      } catch {
        if !error.isNotFound { throw StoreError(error, object: object.name) }
      }
    }
    return notes
  }
}
