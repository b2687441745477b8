import Synchronization

/// What a poll of a backup status asks for, in memory as the database has it: file systems by name,
/// and backup statuses as text. Hundreds of clients that poll wait for no query and no thread.
///
/// Every commit puts what it changed here, in the order of commits, before its caller goes on. What
/// a query found is taken in only where nothing was committed since the query began.
final class StatusCache: Sendable {
  /// What is kept at most, about; beyond it everything is asked for anew.
  private static let byteLimit = 16 << 20

  private struct State {
    var commits = 0
    var records: [String: FileSystemRecord] = [:]
    var statuses: [String: String] = [:]
    var byteCount = 0
  }

  private let state = Mutex(State())

  /// To be had before a query, and handed over with what it found.
  var commits: Int { state.withLock { $0.commits } }

  func fileSystem(key: String) -> FileSystemRecord? { state.withLock { $0.records[key] } }
  func status(of fileSystem: String) -> String? { state.withLock { $0.statuses[fileSystem] } }

  func keep(_ record: FileSystemRecord, asOf commits: Int) {
    state.withLock { if $0.commits == commits { Self.keep(record, &$0) } }
  }

  func keep(status: String, of fileSystem: String, asOf commits: Int) {
    state.withLock { if $0.commits == commits { Self.keep(status, of: fileSystem, &$0) } }
  }

  func committed(_ record: FileSystemRecord) {
    state.withLock {
      $0.commits += 1
      Self.keep(record, &$0)
    }
  }

  func committed(status: String?, of fileSystem: String) {
    state.withLock { state in
      state.commits += 1
      guard let status else {
        state.byteCount -= state.statuses.removeValue(forKey: fileSystem)?.utf8.count ?? 0
        return
      }
      Self.keep(status, of: fileSystem, &state)
    }
  }

  func removed(fileSystem id: String) {
    state.withLock { state in
      state.commits += 1
      state.byteCount -= state.statuses.removeValue(forKey: id)?.utf8.count ?? 0
      for (key, record) in state.records where record.id == id {
        state.records[key] = nil
        state.byteCount -= Self.byteCount(record)
      }
    }
  }

  private static func keep(_ record: FileSystemRecord, _ state: inout State) {
    makeRoom(for: byteCount(record), &state)
    let old = state.records.updateValue(record, forKey: record.key)
    state.byteCount += byteCount(record) - (old.map(byteCount) ?? 0)
  }

  private static func keep(_ status: String, of fileSystem: String, _ state: inout State) {
    makeRoom(for: status.utf8.count, &state)
    let old = state.statuses.updateValue(status, forKey: fileSystem)
    state.byteCount += status.utf8.count - (old?.utf8.count ?? 0)
  }

  private static func makeRoom(for count: Int, _ state: inout State) {
    guard state.byteCount + count > byteLimit else { return }
    state.records.removeAll()
    state.statuses.removeAll()
    state.byteCount = 0
  }

  /// The names and paths in it are short beside what a document may be.
  private static func byteCount(_ record: FileSystemRecord) -> Int {
    record.document.utf8.count + 512
  }
}
