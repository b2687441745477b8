import Glibc
package import MuninnDisk

/// What a call comes to: a value or an errno.
private enum Outcome<Value> {
  case success(Value)
  case failure(CInt)
}

/// A repository in memory that keeps what is visible and what is durable apart, fails when it is told
/// to, and can crash: the disk that tests put below the engine.
///
/// Every call is counted, each of a writer's as well, so that a test can run an operation once,
/// read `callCount`, and then run it once per call with a fault or a crash there.
package final class MemoryStorage: Storage {
  /// One call as the log shows it.
  package struct Call: Sendable, Equatable, CustomStringConvertible {
    package let operation: String
    package let name: String
    package var description: String { "\(operation) \(name)" }
  }

  struct State: Sendable {
    var visible: [String: [UInt8]] = [:]
    /// What a crash leaves at least, unless its name was deleted since.
    var durable: [String: [UInt8]] = [:]
    /// Content of writers that have not finished, for tearing.
    var unfinished: [UInt64: (name: String, content: [UInt8])] = [:]
    var nextWriter: UInt64 = 0
    /// Counts crashes; a writer from before the last one is dead.
    var life: UInt64 = 0
    var calls: [Call] = []
    var faults = FaultPlan()
    var capacity: UInt64?
    /// Names that the next list misses, as one does that was made while they came.
    var missedByNextList: Set<String> = []
    /// Whether the call that is going on does a part of its work only.
    var isShort = false
  }

  package let location: String
  let state: Monitor<State>

  package init(location: String = "memory") {
    self.location = location
    state = Monitor(State())
  }

  /// The same objects, all of them durable.
  package init(copyOf other: MemoryStorage) {
    location = other.location
    let objects = other.state.withLock { $0.visible }
    var copy = State()
    copy.visible = objects
    copy.durable = objects
    state = Monitor(copy)
  }

  package func read(_ name: String, maximumByteCount: Int) throws(DiskError) -> [UInt8] {
    let bytes = try content("read", name)
    guard bytes.count <= maximumByteCount else { throw failure(EFBIG, "read", name) }
    return bytes
  }

  package func read(
    _ name: String, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(DiskError) -> Int {
    let bytes = try content("read", name)
    guard offset < UInt64(bytes.count) else { return 0 }
    let part = bytes[Int(offset)...].prefix(buffer.count)
    buffer.copyBytes(from: part)
    return part.count
  }

  package func size(of name: String) throws(DiskError) -> UInt64 {
    UInt64(try content("statx", name).count)
  }

  package func putIfAbsent(_ name: String, _ bytes: [UInt8]) throws(DiskError) -> Bool {
    try perform("putIfAbsent", name) { state -> Outcome<Bool> in
      if let known = state.visible[name] {
        state.durable[name] = known
        return .success(false)
      }
      guard state.hasRoom(for: bytes.count) else { return .failure(ENOSPC) }
      state.visible[name] = bytes
      state.durable[name] = bytes
      return .success(true)
    }
  }

  package func put(_ name: String, _ bytes: [UInt8]) throws(DiskError) {
    try perform("put", name) { state -> Outcome<Void> in
      guard state.hasRoom(for: bytes.count) else { return .failure(ENOSPC) }
      state.visible[name] = bytes
      state.durable[name] = bytes
      return .success(())
    }
  }

  package func create(
    _ name: String, expectedByteCount: UInt64
  ) throws(DiskError) -> any ObjectWriter {
    let (writer, life) = try perform("create", name) { state -> Outcome<(UInt64, UInt64)> in
      guard state.visible[name] == nil else { return .failure(EEXIST) }
      state.nextWriter += 1
      state.unfinished[state.nextWriter] = (name, [])
      return .success((state.nextWriter, state.life))
    }
    return MemoryWriter(storage: self, name: name, identifier: writer, life: life)
  }

  package func makeNamesDurable() throws(DiskError) {
    try perform("makeNamesDurable", nil) { state in
      state.durable.merge(state.visible) { _, visible in visible }
      return .success(())
    }
  }

  package func makeDurable(_ name: String) throws(DiskError) {
    try perform("makeDurable", name) { state -> Outcome<Void> in
      guard let bytes = state.visible[name] else { return .failure(ENOENT) }
      state.durable[name] = bytes
      return .success(())
    }
  }

  package func list(_ prefix: String) throws(DiskError) -> [StoredObject] {
    let directory = try ObjectName.checkedPrefix(prefix)
    return try perform("list", nil, shown: prefix) { state -> Outcome<[StoredObject]> in
      let below = directory.isEmpty ? "" : directory + "/"
      let missed = state.missedByNextList
      state.missedByNextList = []
      let objects = state.visible.filter { name, _ in
        (below.isEmpty || name.hasPrefix(below)) && !missed.contains(name)
      }.map { StoredObject(name: $0.key, size: UInt64($0.value.count)) }
      return .success(objects.sorted { $0.name < $1.name })
    }
  }

  package func delete(_ name: String) throws(DiskError) {
    try perform("delete", name) { state in
      state.visible[name] = nil
      return .success(())
    }
  }

  package func freeByteCount() throws(DiskError) -> UInt64? {
    try perform("statvfs", nil) { state in
      .success(state.capacity.map { $0 - min($0, state.usedByteCount) })
    }
  }

  private func content(_ operation: String, _ name: String) throws(DiskError) -> [UInt8] {
    try perform(operation, name) { state -> Outcome<[UInt8]> in
      guard let bytes = state.visible[name] else { return .failure(ENOENT) }
      return .success(bytes)
    }
  }

  private func failure(_ errno: CInt, _ operation: String, _ name: String) -> DiskError {
    DiskError(errno: errno, operation: operation, path: location + "/" + name)
  }
}

extension MemoryStorage.State {
  fileprivate var usedByteCount: UInt64 {
    visible.values.reduce(0) { $0 + UInt64($1.count) }
      + unfinished.values.reduce(0) { $0 + UInt64($1.content.count) }
  }

  fileprivate func hasRoom(for count: Int) -> Bool {
    capacity.map { usedByteCount + UInt64(count) <= $0 } ?? true
  }
}

// How calls go: counted, then failed or done.
extension MemoryStorage {
  private func perform<Value>(
    _ operation: String, _ name: String?, shown: String = "",
    _ body: (inout State) -> Outcome<Value>
  ) throws(DiskError) -> Value {
    if let name { try ObjectName.check(name, operation: "check") }
    let name = name ?? shown
    let result = state.withLock { state -> Outcome<Value> in
      let number = state.calls.count
      state.calls.append(Call(operation: operation, name: name))
      guard let fault = state.faults.fault(at: number) else { return body(&state) }
      let durable = state.durable
      state.isShort = fault.effect == .part
      defer { state.isShort = false }
      if fault.effect != .none { _ = body(&state) }
      if fault.effect == .notDurable { state.durable = durable }
      return .failure(fault.errno)
    }
    switch result {
    case .success(let value): return value
    case .failure(let errno): throw failure(errno, operation, name)
    }
  }

  fileprivate func append(
    _ bytes: UnsafeRawBufferPointer, _ writer: MemoryWriter
  ) throws(DiskError) {
    let content = Array(bytes)
    try perform("append", writer.name) { state -> Outcome<Void> in
      guard state.life == writer.life else { return .failure(ESTALE) }
      guard state.hasRoom(for: content.count) else { return .failure(ENOSPC) }
      let written = content.prefix(state.isShort ? content.count / 2 : content.count)
      state.unfinished[writer.identifier]?.content.append(contentsOf: written)
      return .success(())
    }
  }

  fileprivate func finish(_ writer: MemoryWriter) throws(DiskError) {
    try perform("finish", writer.name) { state -> Outcome<Void> in
      guard state.life == writer.life else { return .failure(ESTALE) }
      guard state.visible[writer.name] == nil else { return .failure(EEXIST) }
      guard let written = state.unfinished.removeValue(forKey: writer.identifier) else {
        return .failure(EBADF)
      }
      state.visible[writer.name] = written.content
      return .success(())
    }
  }

  fileprivate func discard(_ writer: MemoryWriter) {
    state.withLock { state in
      guard state.life == writer.life else { return }
      state.unfinished[writer.identifier] = nil
    }
  }
}

/// Writes one object of a `MemoryStorage`.
// Unchecked, because the protocol's contract is that one thread at a time uses it.
private final class MemoryWriter: ObjectWriter, @unchecked Sendable {
  let name: String
  let identifier: UInt64
  let life: UInt64
  private let storage: MemoryStorage
  private(set) var byteCount: UInt64 = 0
  private var failure: DiskError?
  private var isOver = false

  init(storage: MemoryStorage, name: String, identifier: UInt64, life: UInt64) {
    self.storage = storage
    self.name = name
    self.identifier = identifier
    self.life = life
  }

  deinit { discard() }

  func append(_ bytes: UnsafeRawBufferPointer) throws(DiskError) {
    try attempt { () throws(DiskError) in try storage.append(bytes, self) }
    byteCount += UInt64(bytes.count)
  }

  func finish() throws(DiskError) {
    try attempt { () throws(DiskError) in try storage.finish(self) }
    isOver = true
  }

  func discard() {
    if !isOver { storage.discard(self) }
    isOver = true
  }

  /// After an error every call throws it again: nothing may go on as if it had not been.
  private func attempt(_ body: () throws(DiskError) -> Void) throws(DiskError) {
    if let failure { throw failure }
    guard !isOver else { throw DiskError(errno: EBADF, operation: "write", path: name) }
    do throws(DiskError) {
      try body()
    } catch {
      failure = error
      throw error
    }
  }
}
